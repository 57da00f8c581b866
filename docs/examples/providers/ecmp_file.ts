/**
 * An ECMP exporter: keeps a file that says, for each route with several nexthops, where its packets go and in which shares, for
 * programs that want to know (a flow collector, a load balancer's health checker). The file is replaced as a whole, by a rename,
 * so whoever reads it sees one state or the next, and never half of one.
 *
 *     [[provider]]
 *     kind = "plugin"
 *     name = "ecmp"
 *     path = "providers/ecmp_file.ts"
 *
 *     [provider.options]
 *     file = "/var/lib/dplaned/ecmp.json"
 *     delay-ms = 200            # how long changes are gathered before the file is written
 *
 *     {"routes":[{"prefix":"203.0.113.0/24","table":254,"metric":20,
 *       "nexthops":[{"via":"10.0.0.2","dev":"v0","share":0.25},{"via":"10.0.0.3","dev":"v0","share":0.75}]}]}
 */
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { Change, Dplaned, ExportBatch, NexthopObject, Provider, Route, RouteKey } from "./dplaned.d.ts";

interface Options {
  file: string;
  delayMs: number;
}

function parseOptions(table: Record<string, unknown>): Options {
  const { file, "delay-ms": delayMs = 200, ...rest } = table;
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) throw new Error(`there is no option ${unknown}; there are file and delay-ms`);
  if (typeof file !== "string" || !file.startsWith("/")) throw new Error("file is to be an absolute path");
  if (typeof delayMs !== "number" || !(delayMs >= 0)) throw new Error("delay-ms is to be a number of milliseconds");
  return { file, delayMs };
}

/** Routes that may have several nexthops: those that have, and those by a nexthop object, which can change. */
const routes = new Map<string, RouteKey & { route: Route }>();
let isComplete = false;
let timer: ReturnType<typeof setTimeout> | undefined;
let writing: Promise<void> = Promise.resolve();

function keyOf({ prefix, source = "", table, metric }: RouteKey): string {
  return `${prefix} ${source} ${table} ${metric}`;
}

function take({ family, prefix, address, prefixLength, source, table, metric, route }: Change): void {
  const key = { family, prefix, address, prefixLength, source, table, metric };
  if (route !== undefined && (route.nexthopObject !== 0 || route.nexthops.length > 1))
    routes.set(keyOf(key), { ...key, route });
  else routes.delete(keyOf(key));
}

/** Writes the file soon, once for all that changes until then. */
function writeSoon(dplaned: Dplaned<Options>): void {
  if (!isComplete || timer !== undefined) return;
  timer = setTimeout(() => {
    timer = undefined;
    writing = writing.then(() => write(dplaned));
  }, dplaned.options.delayMs);
}

async function write(dplaned: Dplaned<Options>): Promise<void> {
  const { file } = dplaned.options;
  try {
    const listed = [...routes.values()].map(describe).filter(({ nexthops }) => nexthops.length > 1);
    await replaceFile(file, `${JSON.stringify({ routes: listed })}\n`);
    dplaned.count("writes");
    dplaned.set("routes", listed.length);
  } catch (error) {
    dplaned.count("failures");
    dplaned.log.error("The file cannot be written; the next change tries again", { file, error: String(error) });
  }
}

function describe({ prefix, source, table, metric, route }: RouteKey & { route: Route }) {
  const sum = route.nexthops.reduce((total, { weight }) => total + weight, 0);
  const nexthops = route.nexthops.map(({ via, dev, weight }) => ({ via, dev, share: weight / sum }));
  return { prefix, ...(source === undefined ? {} : { source }), table, metric, nexthops };
}

/** The new content is on the disk before it takes the old one's name, and the name is before this returns. */
async function replaceFile(file: string, text: string): Promise<void> {
  const fresh = `${file}.${process.pid}.new`;
  try {
    const handle = await open(fresh, "wx", 0o644);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(fresh, file);
  } catch (error) {
    await rm(fresh, { force: true });
    throw error;
  }
  const folder = await open(dirname(file), "r");
  await folder.sync();
  await folder.close();
}

export default {
  apiVersion: 1,
  options: parseOptions,
  metrics: {
    writes: { type: "counter", help: "How often the file was written." },
    failures: { type: "counter", help: "How often it could not be." },
    routes: { type: "gauge", help: "Routes in the file." },
  },

  export({ changes, isFirst, isLast }: ExportBatch, dplaned: Dplaned<Options>) {
    if (isFirst) {
      routes.clear();
      isComplete = false;
    }
    for (const change of changes) take(change);
    if (isLast) isComplete = true;
    writeSoon(dplaned);
  },

  /** Routes by an object go elsewhere when it changes, without being told of themselves. */
  nexthop(_object: NexthopObject, dplaned: Dplaned<Options>) {
    writeSoon(dplaned);
  },

  async finish(dplaned: Dplaned<Options>, early: boolean) {
    if (early) return;
    clearTimeout(timer);
    timer = undefined;
    await writing;
    if (isComplete) await write(dplaned);
  },
} satisfies Provider<Options>;
