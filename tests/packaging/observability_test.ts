/** The Grafana dashboard and the Prometheus alerts ask for metrics, labels and values that the daemon has. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { readAllMetrics } from "../support/all_metrics.ts";
import { parseExposition } from "../support/exposition.ts";
import { readExpression } from "../support/promql.ts";

const readPackaged = (name: string) =>
  readFileSync(fileURLToPath(new URL(`../../packaging/${name}`, import.meta.url).href), "utf8");

/** What Prometheus itself adds to each series. */
const ADDED_LABELS = ["instance", "job"];

/** The values of each label, by the sample's name. */
const known = new Map<string, Map<string, Set<string>>>([["up", new Map()]]);
for (const { samples } of parseExposition(await readAllMetrics())) {
  for (const { name, labels } of samples) {
    const values = known.get(name) ?? new Map<string, Set<string>>();
    known.set(name, values);
    for (const [label, value] of Object.entries(labels)) values.set(label, (values.get(label) ?? new Set()).add(value));
  }
}

/** What is wrong with an expression, and with the labels that its legend or text shows. */
function faults(text: string, shown: readonly string[] = []): string[] {
  const { selectors, grouped } = readExpression(text);
  const found = selectors.length === 0 ? [`${text}: asks for no metric`] : [];
  for (const { metric, matchers } of selectors) {
    const labels = known.get(metric);
    if (labels === undefined) found.push(`${text}: there is no metric ${metric}`);
    for (const { label, operator, value } of matchers) {
      if (ADDED_LABELS.includes(label) || labels === undefined) continue;
      const values = labels.get(label);
      if (values === undefined) found.push(`${text}: ${metric} has no label ${label}`);
      else if (operator === "=" && !values.has(value)) found.push(`${text}: ${label} of ${metric} is never ${value}`);
    }
  }
  const labelled = new Set([
    ...ADDED_LABELS,
    ...selectors.flatMap(({ metric }) => [...(known.get(metric)?.keys() ?? [])]),
  ]);
  for (const label of [...grouped, ...shown]) {
    if (!labelled.has(label)) found.push(`${text}: no metric in it has the label ${label}`);
  }
  return found;
}

interface Rule {
  alert: string;
  expr: string;
  for?: string;
  labels: { severity: string };
  annotations: { summary: string; description: string };
}

interface Panel {
  id: number;
  type: string;
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: { refId: string; expr: string; legendFormat: string }[];
}

describe("packaging/prometheus/dplaned.rules.yml", () => {
  const { groups } = parse(readPackaged("prometheus/dplaned.rules.yml"), { strict: true }) as {
    groups: { name: string; rules: Rule[] }[];
  };
  const rules = groups.flatMap((group) => group.rules);

  it("asks for what there is", () => {
    assert.ok(rules.length > 10);
    for (const { expr, annotations } of rules) {
      const shown = [...JSON.stringify(annotations).matchAll(/\$labels\.(\w+)/g)].map(([, label]) => label!);
      assert.deepEqual(faults(expr, shown), []);
    }
  });

  it("has alerts that say what is wrong and what to do, once each", () => {
    const names = rules.map(({ alert }) => alert);
    assert.equal(new Set(names).size, names.length);
    for (const { alert, labels, annotations, for: duration = "1m" } of rules) {
      assert.match(alert, /^Dplaned[A-Z]\w+$/);
      assert.match(duration, /^\d+[sm]$/);
      assert.ok(["critical", "warning"].includes(labels.severity), alert);
      assert.match(annotations.summary, /^.*\$labels\.instance.*\.$/, alert);
      // A command to type, a file to look at or a thing to change.
      assert.match(annotations.description, /`[^`]+`|\blog\b/, alert);
      assert.match(annotations.description, /\.$/, alert);
    }
  });

  it("names commands that there are", async () => {
    const { parseArguments } = await import("../../core/northbound/cli/grammar.ts");
    const commands = rules.flatMap(({ annotations }) => [...annotations.description.matchAll(/`dplaned ([^`]+)`/g)]);
    assert.ok(commands.length > 8);
    for (const [, words] of commands) {
      const args = words!
        .replace(/\{\{.*?\}\}/, "filter")
        .replace("PREFIX", "192.0.2.0/24")
        .split(/\s+/);
      assert.ok("command" in parseArguments(args), words!);
    }
  });
});

describe("packaging/grafana/dplaned.json", () => {
  const dashboard = JSON.parse(readPackaged("grafana/dplaned.json")) as {
    uid: string;
    panels: Panel[];
    templating: { list: { name: string; query: string }[] };
  };
  const graphs = dashboard.panels.filter(({ type }) => type !== "row");
  // Grafana puts its own variables in before Prometheus sees them.
  const filled = (text: string) => text.replaceAll("$__rate_interval", "1m");

  it("asks for what there is", () => {
    assert.ok(graphs.length > 20);
    for (const { title, targets = [] } of graphs) {
      assert.ok(targets.length > 0, title);
      for (const { expr, legendFormat } of targets) {
        const shown = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label!);
        assert.deepEqual(faults(filled(expr), shown), [], title);
      }
    }
  });

  it("shows the instances that are chosen, by variables that it has", () => {
    const variables = dashboard.templating.list.map(({ name }) => name);
    for (const { targets = [] } of graphs) {
      for (const { expr } of targets) {
        for (const { matchers } of readExpression(filled(expr)).selectors) {
          assert.ok(
            matchers.some(({ label, value }) => label === "instance" && value === "$instance"),
            expr,
          );
        }
      }
    }
    const used = [...JSON.stringify(dashboard).matchAll(/\$\{?([a-z]+)\b/g)].map(([, name]) => name!);
    assert.deepEqual([...new Set(used)].sort(), variables.sort());
    for (const { query } of dashboard.templating.list) {
      const asked = /^label_values\((.*), (\w+)\)$/.exec(query);
      if (asked) assert.deepEqual(faults(asked[1]!, [asked[2]!]), []);
    }
  });

  it("has panels with a title each, side by side", () => {
    const ids = dashboard.panels.map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    const taken = new Set<string>();
    for (const { title, gridPos } of dashboard.panels) {
      assert.ok(title !== "" && gridPos.x + gridPos.w <= 24, title);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.ok(!taken.has(`${x},${y}`), `${title} lies over another panel`);
          taken.add(`${x},${y}`);
        }
      }
    }
  });
});

describe("the check of expressions", () => {
  it("takes what is right", () => {
    const right = 'sum by (stage) (rate(dplaned_update_duration_seconds_sum{stage!="total"}[5m])) > 0.5';
    assert.deepEqual(faults(right, ["stage", "instance"]), []);
    assert.deepEqual(
      faults("time() - dplaned_audit_last_timestamp_seconds > 900 and dplaned_ready offset 5m == 1"),
      [],
    );
  });

  const wrong = [
    "dplaned_reddy == 0",
    'dplaned_results_total{stat="fib_failed"}',
    'dplaned_results_total{status="failed"}',
    "sum by (provider) (dplaned_ready)",
    "1 > 0",
  ];
  for (const text of wrong) it(`finds ${text}`, () => assert.equal(faults(text).length, 1));

  it("finds labels in texts, functions and brackets that are wrong", () => {
    assert.equal(faults("dplaned_ready", ["provider"]).length, 1);
    assert.throws(() => readExpression("ratte(dplaned_ready[5m])"), /ratte is no function/);
    assert.throws(() => readExpression("sum(dplaned_ready"), /brackets do not pair/);
    assert.throws(() => readExpression("dplaned_ready{status=1}"), /is no matcher/);
  });
});
