/** Prometheus' text format, read strictly enough for tests. */

export interface MetricFamily {
  name: string;
  type: string;
  help: string;
  samples: { name: string; labels: Readonly<Record<string, string>>; value: number }[];
}

/** The metrics of a scrape, in its order. Throws where a line is none of the format, or stands under the wrong metric. */
export function parseExposition(text: string): MetricFamily[] {
  const families: MetricFamily[] = [];
  for (const line of text.trimEnd().split("\n")) {
    const [, keyword, named, rest] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    const last = families.at(-1);
    if (keyword === "HELP") families.push({ name: named!, help: rest!, type: "", samples: [] });
    else if (keyword === "TYPE" && named === last?.name) last!.type = rest!;
    else if (line !== "") addSample(last, line);
  }
  return families;
}

function addSample(family: MetricFamily | undefined, line: string): void {
  const [, name, pairs = "", value] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
  if (name === undefined || family === undefined || !name.startsWith(family.name))
    throw new Error(`misplaced: ${line}`);
  const labels = Object.fromEntries(
    [...pairs.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, text]) => [key!, text!]),
  );
  family.samples.push({ name, labels, value: Number(value!.replace("+Inf", "Infinity")) });
}
