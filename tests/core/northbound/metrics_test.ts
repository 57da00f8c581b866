/** The metrics keep to what Prometheus asks of names, units and help: https://prometheus.io/docs/practices/naming/ */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readAllMetrics } from "../../support/all_metrics.ts";
import { type MetricFamily, parseExposition } from "../../support/exposition.ts";

const families = parseExposition(await readAllMetrics());

/** What is wrong with a metric's name, type, help or samples. */
function faults({ name, type, help, samples }: MetricFamily): string[] {
  const names = new Set(samples.map((sample) => sample.name));
  const series = new Set(samples.map((sample) => JSON.stringify([sample.name, sample.labels])));
  const rules: [broken: boolean, fault: string][] = [
    [!/^(?:dplaned|process)_[a-z]+(?:_[a-z]+)*$/.test(name), "is not dplaned_words_in_small_letters"],
    [!["counter", "gauge", "histogram"].includes(type), `has the type ${JSON.stringify(type)}`],
    [(type === "counter") !== name.endsWith("_total"), "must end in _total if it is a counter, and only then"],
    [/_(?:count|sum|bucket)$/.test(name), "ends in what is kept for histograms"],
    [
      /_(?:ms|us|ns|milli\w*|micro\w*|nano\w*|minutes|hours|kib|mib|kb|mb|percent)(?:_|$)/.test(name),
      "has no base unit",
    ],
    [/(?:^|\W)(?:milli|micro|nano)seconds|\b(?:KiB|MiB|ms)\b/.test(help), "tells of another unit than the base unit"],
    [/_(?:counter|gauge|histogram)(?:_|$)/.test(name), "has its type in its name"],
    [!/^\S.{8,}\.$/.test(help), "has no sentence of help"],
    [samples.length === 0, "has no sample"],
    [series.size < samples.length, "has a series twice"],
    [type !== "histogram" && (names.size > 1 || !names.has(name)), "has samples of other names"],
    [type === "counter" && samples.some(({ value }) => !(value >= 0)), "counts below zero"],
    [samples.some(({ labels }) => Object.keys(labels).some((label) => !/^[a-z]+$/.test(label))), "has odd labels"],
    [
      samples.some(({ labels }) => Object.keys(labels).some((label) => name.endsWith(`_by_${label}`))),
      "repeats a label",
    ],
  ];
  return rules.filter(([broken]) => broken).map(([, fault]) => `${name} ${fault}`);
}

describe("metrics", () => {
  it("are named and described as Prometheus asks", () => {
    assert.ok(families.length > 100, `there are only ${families.length}`);
    assert.deepEqual(families.flatMap(faults), []);
  });

  it("come once each", () => {
    const names = families.map(({ name }) => name);
    assert.deepEqual(
      names.filter((name, index) => names.indexOf(name) !== index),
      [],
    );
  });

  it("are histograms whose buckets rise to their count", () => {
    for (const { name, samples } of families.filter(({ type }) => type === "histogram")) {
      for (const stage of new Set(samples.map(({ labels }) => labels["stage"]))) {
        const own = samples.filter(({ labels }) => labels["stage"] === stage);
        const buckets = own.filter((sample) => sample.name === `${name}_bucket`);
        const bounds = buckets.map(({ labels }) => Number(labels["le"]!.replace("+Inf", "Infinity")));
        const values = buckets.map(({ value }) => value);
        assert.deepEqual(
          bounds,
          bounds.toSorted((a, b) => a - b),
        );
        assert.deepEqual(
          values,
          values.toSorted((a, b) => a - b),
        );
        assert.equal(bounds.at(-1), Infinity);
        assert.equal(own.find((sample) => sample.name === `${name}_count`)?.value, values.at(-1));
        assert.ok(own.some((sample) => sample.name === `${name}_sum`));
      }
    }
  });

  it("that break a rule are found", () => {
    const good = {
      name: "dplaned_x_total",
      type: "counter",
      help: "Things that were done.",
      samples: [] as MetricFamily["samples"],
    };
    good.samples.push({ name: good.name, labels: { kind: "a" }, value: 1 });
    assert.deepEqual(faults(good), []);
    const named = (name: string) => ({ ...good, name, samples: [{ name, labels: {}, value: 1 }] });
    const bad = [
      named("dplaned_x"),
      named("other_x_total"),
      named("dplaned_x_ms_total"),
      { ...good, type: "gauge" },
      { ...good, type: "" },
      { ...good, help: "" },
      { ...good, help: "How long it took, in milliseconds." },
      { ...good, samples: [] },
      { ...good, samples: [good.samples[0]!, good.samples[0]!] },
      { ...good, samples: [{ ...good.samples[0]!, value: -1 }] },
    ];
    for (const family of bad) assert.ok(faults(family).length > 0, JSON.stringify(family));
  });
});
