/**
 * What an update costs from a body's bytes to a `RouteUpdate`: straight from the bytes, and as text by `JSON.parse`, in
 * turns within one run. Garbage is what the heap grows by between two collections, which only Deno tells.
 *
 *   bun tests/bench/update_bench.ts [--smoke]
 *   deno run -A tests/bench/update_bench.ts [--smoke]
 */
import assert from "node:assert/strict";
import process from "node:process";
import { createRouteUpdate } from "../../core/model/route.ts";
import { BodyFormat, createSplitter } from "../../core/northbound/line_splitter.ts";
import { SplitKind, type UpdateSplitter } from "../../core/northbound/splitter.ts";
import { UpdateBytesParser } from "../../core/northbound/update_bytes.ts";
import { parseUpdate } from "../../core/northbound/update_text.ts";
import { nexthopOf, prefixOf, readTable, TABLE_DEVICE } from "../../scripts/internet_table.ts";

/** A body's bytes come in pieces of this size. */
const CHUNK_BYTES = 65_536;
/** Lines of one turn. */
const TURN_LINES = 8192;

export type UpdatePath = "bytes" | "text";

export interface UpdateBenchResult {
  name: string;
  lines: number;
  /** Nanoseconds and bytes of garbage a line, by the way; medians. */
  ns: Record<UpdatePath, number>;
  garbage: Record<UpdatePath, number>;
  /** Over all updates, and the same for both ways. */
  hash: number;
}

const into = createRouteUpdate();
const resolver = { deviceIndex: (name: string) => name.length + name.charCodeAt(name.length - 1), vrfTable: () => 0 };

/** Kinds of lines by name, each of `count` routes of the real table, half of them IPv6. */
export function benchLines(count: number): Record<string, string[]> {
  const table: string[] = [];
  const tagged: string[] = [];
  const ecmp: string[] = [];
  for (const family of [4, 6] as const) {
    for (const route of readTable(family, count >> 1)) {
      const prefix = prefixOf(route);
      const hop = `{"via":"${nexthopOf(route)}","dev":"${TABLE_DEVICE}"}`;
      table.push(`{"prefix":"${prefix}","nexthops":[${hop}]}`);
      tagged.push(`{"prefix":"${prefix}","nexthops":[${hop}],"tag":${table.length}}`);
      const first = route.asn % 50;
      const hops = Array.from({ length: 8 }, (_, index) => `{"via":"10.64.${first}.${index}","dev":"v${index & 1}"}`);
      const via6 = hops.map((text) => text.replaceAll(/10\.64\.(\d+)\./g, "2001:db8:$1::"));
      ecmp.push(`{"prefix":"${prefix}","nexthops":[${(family === 4 ? hops : via6).join(",")}]}`);
    }
  }
  return { table, "table, each line with a tag of its own": tagged, "8 nexthops": ecmp };
}

function createPath(path: UpdatePath): (splitter: UpdateSplitter) => void {
  const parser = new UpdateBytesParser();
  return (splitter) => {
    const { bytes, from, to } = splitter;
    if (path === "bytes" && parser.parse(bytes, from, to, into, resolver)) return;
    assert.equal(parseUpdate(SplitKind.TEXT, splitter, BodyFormat.NDJSON, into, resolver), null);
  };
}

/** Takes a body apart, and returns a hash of its updates. */
function takeBody(body: Uint8Array, take: (splitter: UpdateSplitter) => void): number {
  const splitter = createSplitter(BodyFormat.NDJSON);
  let hash = 0;
  for (let at = 0; at < body.length; at += CHUNK_BYTES) {
    splitter.push(body.subarray(at, at + CHUNK_BYTES));
    while (splitter.next() !== SplitKind.NONE) {
      take(splitter);
      const last = into.nexthops[into.nexthops.length - 1]!;
      hash = Math.imul(hash ^ into.prefix[2]!, 31) + into.prefixLength + into.tag + last.via[3]! + last.ifindex;
    }
  }
  return hash >>> 0;
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1] ?? 0;
}

export function runUpdateBench(name: string, lines: readonly string[], rounds: number, heapSize: () => number) {
  const bodies: Uint8Array[] = [];
  for (let at = 0; at < lines.length; at += TURN_LINES) {
    bodies.push(new TextEncoder().encode(`${lines.slice(at, at + TURN_LINES).join("\n")}\n`));
  }
  const paths = { bytes: createPath("bytes"), text: createPath("text") };
  const ns: Record<UpdatePath, number[]> = { bytes: [], text: [] };
  const garbage: Record<UpdatePath, number[]> = { bytes: [], text: [] };
  let hash = 0;
  for (let round = 0; round < rounds; round++) {
    for (const [index, body] of bodies.entries()) {
      const count = Math.min(TURN_LINES, lines.length - index * TURN_LINES);
      const hashes: number[] = [];
      for (const path of ["bytes", "text"] as const) {
        const heap = heapSize();
        const started = performance.now();
        hashes.push(takeBody(body, paths[path]));
        const elapsed = performance.now() - started;
        const grown = heapSize() - heap;
        // The first rounds compile; and where the heap has shrunk, it was collected.
        if (round === 0 && rounds > 1) continue;
        ns[path].push((elapsed * 1e6) / count);
        if (grown >= 0) garbage[path].push(grown / count);
      }
      assert.equal(hashes[0], hashes[1]);
      hash = (Math.imul(hash, 31) + hashes[0]!) >>> 0;
    }
  }
  const medians = (values: Record<UpdatePath, number[]>) => ({
    bytes: median(values.bytes),
    text: median(values.text),
  });
  const result: UpdateBenchResult = { name, lines: lines.length, ns: medians(ns), garbage: medians(garbage), hash };
  return result;
}

if (import.meta.main) {
  const isSmoke = process.argv.includes("--smoke");
  const tellsGarbage = !("Bun" in globalThis);
  const heapSize = tellsGarbage ? () => process.memoryUsage().heapUsed : () => 0;
  for (const [name, lines] of Object.entries(benchLines(isSmoke ? 4000 : 160_000))) {
    const { ns, garbage, hash } = runUpdateBench(name, lines, isSmoke ? 1 : 6, heapSize);
    const ratio = (ns.text / ns.bytes).toFixed(1);
    let shown = `${ns.bytes.toFixed(0)} ns a line from bytes, ${ns.text.toFixed(0)} ns as text: ${ratio} times`;
    if (tellsGarbage) shown += `; ${garbage.bytes.toFixed(0)} and ${garbage.text.toFixed(0)} bytes of garbage`;
    console.log(`${name}, ${lines.length} lines: ${shown} (hash ${hash.toString(16)})`);
  }
}
