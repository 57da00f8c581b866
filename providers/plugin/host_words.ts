/**
 * What the process of a plugin says in words and numbers: what it wants, what it logs, what went wrong, what it has counted.
 * Nothing of it is believed: whatever cannot be meant throws a RangeError, and texts are cut. Pure; any thread.
 */
import { PLUGIN_METRICS_MAX, type PluginMetric } from "../../core/model/plugin_counters.ts";
import { type Failure, type Line, type Loaded, REPORT_FIELDS, readJson } from "./frames.ts";

const LEVELS: readonly string[] = ["debug", "info", "warn", "error"] satisfies Line["level"][];

/** Characters of a text that are kept, and of the name of a metric. */
const TEXT_MAX = 4096;
const NAME_MAX = 64;
const COUNT_MAX = 2 ** 32 - 1;

export function readFailure(body: Uint8Array): Failure {
  const { message, count } = readObject(body);
  return { message: textOf(message), count: Math.min(COUNT_MAX, Math.max(1, Number(count) || 1)) };
}

export function readLine(body: Uint8Array): Line {
  const { level, message, fields } = readObject(body);
  if (!LEVELS.includes(level as string)) throw new RangeError("a line without a level");
  return { level: level as Line["level"], message: textOf(message), fields: isObject(fields) ? fields : {} };
}

export function readLoaded(body: Uint8Array): Loaded {
  const { decides, undoes, exports, metrics } = readObject(body);
  if (!Array.isArray(metrics) || metrics.length > PLUGIN_METRICS_MAX) throw new RangeError("no list of metrics");
  return {
    decides: decides === true,
    undoes: undoes === true,
    exports: exports === true,
    metrics: metrics.map(metricOf),
  };
}

/** The values of a report: those of REPORT_FIELDS, and of as many metrics; what is no number is 0. */
export function readReport(body: Uint8Array<ArrayBuffer>, metrics: number): Float64Array {
  const length = (REPORT_FIELDS.length + metrics) * 8;
  if (body.length !== length) throw new RangeError(`a report of ${body.length} bytes instead of ${length}`);
  return new Float64Array(body.buffer).map((value) => (Number.isFinite(value) ? value : 0));
}

function metricOf(value: unknown): PluginMetric {
  if (!isObject(value)) throw new RangeError("a metric that is none");
  const { name, type, help } = value;
  return {
    name: textOf(name)
      .slice(0, NAME_MAX)
      .replace(/[^a-z0-9_]/g, "_"),
    type: type === "gauge" ? "gauge" : "counter",
    help: textOf(help),
  };
}

function readObject(body: Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = readJson(body);
  } catch {
    throw new RangeError("a body that is no JSON");
  }
  if (!isObject(value)) throw new RangeError("a body that is no object");
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string {
  return String(value).slice(0, TEXT_MAX);
}
