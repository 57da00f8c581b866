/** The module of a plugin: loaded, and looked at whether it keeps to the contract. In the process of a plugin. */
import { pathToFileURL } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { PLUGIN_METRICS_MAX } from "../../core/model/plugin_counters.ts";
import type { Metric, Provider } from "../../core/plugin/dplaned.d.ts";
import type { Loaded } from "./frames.ts";

/** The version of core/plugin/dplaned.d.ts. */
export const PLUGIN_API_VERSION = 1;

export type Plugin = Provider<unknown>;

const MEMBERS = {
  apiVersion: "number",
  options: "function",
  metrics: "object",
  start: "function",
  update: "function",
  process: "function",
  undo: "function",
  nexthop: "function",
  export: "function",
  finish: "function",
} as const satisfies Record<keyof Provider, string>;

const METRIC_NAME = /^[a-z][a-z0-9_]{0,63}$/;

/** Loads the module at an absolute path. Throws an Error that says what is wrong, where, and what to do. */
export async function loadPlugin(path: string): Promise<Plugin> {
  let module: { default?: unknown };
  try {
    module = (await import(pathToFileURL(path).href)) as { default?: unknown };
  } catch (error) {
    throw new Error(describeLoadError(error, path));
  }
  return checkPlugin(module.default, path);
}

/** The default export as a provider. Throws an Error that says in what it is none. */
export function checkPlugin(exported: unknown, path: string): Plugin {
  if (typeof exported !== "object" || exported === null) {
    throw new Error(`${path} has no provider as its default export (export default { apiVersion: 1, … })`);
  }
  const plugin = exported as Record<string, unknown>;
  const version = plugin["apiVersion"];
  if (version !== PLUGIN_API_VERSION) {
    const wanted = version === undefined ? "names no apiVersion" : `is written for apiVersion ${String(version)}`;
    throw new Error(`${path} ${wanted}; this dplaned has ${PLUGIN_API_VERSION} (dplaned provider types)`);
  }
  for (const [name, value] of Object.entries(plugin)) {
    if (!Object.hasOwn(MEMBERS, name)) {
      const members = Object.keys(MEMBERS).join(", ");
      throw new Error(`${path}: a provider has no member ${JSON.stringify(name)}; it has ${members}`);
    }
    const type = MEMBERS[name as keyof typeof MEMBERS];
    if (value !== undefined && typeof value !== type) throw new Error(`${path}: ${name} is not a ${type}`);
  }
  if (plugin["update"] !== undefined && plugin["process"] !== undefined) {
    throw new Error(
      `${path} has both update and process; take one: update is called for each update, process for many`,
    );
  }
  return exported as Plugin;
}

/** What the daemon has to know of a plugin. Throws an Error at a metric that there cannot be. */
export function describePlugin(plugin: Plugin, path: string): Loaded {
  const metrics = Object.entries(plugin.metrics ?? {}).map(([name, metric]) => checkMetric(name, metric, path));
  if (metrics.length > PLUGIN_METRICS_MAX) {
    throw new Error(`${path} has ${metrics.length} metrics; there is room for ${PLUGIN_METRICS_MAX}`);
  }
  return {
    decides: plugin.update !== undefined || plugin.process !== undefined,
    undoes: plugin.undo !== undefined,
    exports: plugin.export !== undefined,
    metrics,
  };
}

function checkMetric(name: string, metric: Metric, path: string): Loaded["metrics"][number] {
  if (!METRIC_NAME.test(name)) {
    throw new Error(
      `${path}: metric ${JSON.stringify(name)}: a name has small letters, digits and underscores, 64 at most`,
    );
  }
  const { type, help } = metric ?? {};
  if (type !== "counter" && type !== "gauge") throw new Error(`${path}: metric ${name}: type is "counter" or "gauge"`);
  if (typeof help !== "string" || help === "") throw new Error(`${path}: metric ${name}: help says what it counts`);
  if (name.endsWith("_total"))
    throw new Error(`${path}: metric ${name}: leave out _total, which counters get by themselves`);
  return { name, type, help };
}

/** What Bun says of a module that it cannot compile. */
interface BuildPosition {
  file: string;
  line: number;
  column: number;
}

/** `/etc/dplaned/providers/filter.ts:3:6: Unexpected }`, as both runtimes can be brought to say it. */
function describeLoadError(error: unknown, path: string): string {
  const { message, position, errors } = error as {
    message?: string;
    position?: BuildPosition | null;
    errors?: unknown[];
  };
  if (Array.isArray(errors) && errors.length > 0) return describeLoadError(errors[0], path);
  const [first = "it cannot be loaded"] = (message ?? String(error)).replace(/^\w*Error: /, "").split("\n");
  if (position) return `${position.file}:${position.line}:${position.column}: ${first}`;
  const place = placeOf(error);
  return `${place === "" ? path : place}: ${first}${hintForLoadError(first)}`;
}

function hintForLoadError(message: string): string {
  if (/find (?:package|module) ['"](?!\.|\/|file:)|not a dependency/.test(message)) {
    return " (npm packages are not looked for: bundle them into the file, with esbuild or bun build)";
  }
  return "";
}

/** `FILE:LINE:COLUMN` of what threw, where it was a file and not dplaned itself; else empty. */
export function placeOf(error: unknown): string {
  const stack = stripVTControlCharacters(String((error as { stack?: string } | null)?.stack ?? "")).replaceAll(
    "file://",
    "",
  );
  for (const line of stack.split("\n")) {
    const [, place] = /(?:\(|at )(\/[^\s()]+:\d+:\d+)\)?$/.exec(line.trim()) ?? [];
    if (place !== undefined && !place.startsWith("/$bunfs/") && !isOwnFile(place)) return place;
  }
  return "";
}

/** A file of dplaned itself, where it is not compiled. */
function isOwnFile(place: string): boolean {
  return place.startsWith(OWN_FOLDER);
}

const OWN_FOLDER = new URL(".", import.meta.url).pathname;

/** An exception as one line: what, and where. */
export function describeException(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const place = placeOf(error);
  return place === "" ? text : `${text} (${place})`;
}
