/** What the benchmarks found, as text: order statistics, and tables that read well on a terminal and as Markdown. Pure. */

/** The value at `fraction` (0 to 1) of the sorted values, by the nearest rank. */
export function percentile(values: readonly number[], fraction: number): number {
  if (values.length === 0) throw new RangeError("No values to take a percentile of");
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(fraction * sorted.length) - 1)]!;
}

export function median(values: readonly number[]): number {
  const [low, high] = [
    percentile(values, 0.5),
    -percentile(
      values.map((value) => -value),
      0.5,
    ),
  ];
  return (low + high) / 2;
}

export interface Line {
  intercept: number;
  slope: number;
}

/** The line with the least squares of its distances from the points. */
export function fitLine(points: readonly { x: number; y: number }[]): Line {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(points.map((point) => point.x)), mean(points.map((point) => point.y))];
  const spread = points.reduce((sum, point) => sum + (point.x - x) ** 2, 0);
  const slope = spread === 0 ? 0 : points.reduce((sum, point) => sum + (point.x - x) * (point.y - y), 0) / spread;
  return { intercept: y - slope * x, slope };
}

/** Something measured against what is wanted of it. */
export interface Finding {
  what: string;
  /** Undefined where it could not be measured; `note` then says why. */
  value: number | undefined;
  unit: string;
  target: number;
  atLeast: boolean;
  note?: string;
}

export function meetsTarget({ value, target, atLeast }: Finding): boolean {
  return value !== undefined && (atLeast ? value >= target : value <= target);
}

export function findingRows(findings: readonly Finding[]): string[][] {
  return findings.map((finding) => {
    const { what, value, unit, target, atLeast, note } = finding;
    const wanted = `${atLeast ? "≥" : "≤"} ${formatNumber(target)}${unit}`;
    if (value === undefined) return [what, "not measured", wanted, note ?? ""];
    return [what, `${formatNumber(value)}${unit}`, wanted, meetsTarget(finding) ? "PASS" : "MISS"];
  });
}

/** Three significant digits, whole numbers with separators. */
export function formatNumber(value: number): string {
  if (Math.abs(value) >= 100) return String(Math.round(value)).replace(/\B(?=(?:\d{3})+$)/g, ",");
  return String(Number(value.toPrecision(3)));
}

/** From the least to the most. */
export function formatRange(values: readonly number[]): string {
  return `${formatNumber(Math.min(...values))} to ${formatNumber(Math.max(...values))}`;
}

/** A Markdown table with columns of even width, the first to the left (or more of them) and the others to the right. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[], left = 1): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(3, ...all.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => (column < left ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join(" | ")} |\n`;
  const rule = widths.map((width, column) => (column < left ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return line(header) + line(rule) + rows.map(line).join("");
}
