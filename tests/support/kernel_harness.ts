/**
 * A dataplane with real threads that programs the kernel of a network namespace, driven by route commands as `ip -batch`
 * takes them; and what the kernel then holds, in a form that a test can compare.
 */

import assert from "node:assert/strict";
import { URL } from "node:url";
import { AttrsReader } from "../../core/context/attrs.ts";
import { AttrsStore, createAttrsStorage } from "../../core/context/attrs_store.ts";
import type { Contexts } from "../../core/context/contexts.ts";
import { ContextFlag, DPLANE_ERROR_NAMES, U8, U32 } from "../../core/context/layout.ts";
import { nextRecord, RECORD, RECORD_UNREADABLE } from "../../core/context/route_record.ts";
import { spawnWorker } from "../../core/daemon/spawn.ts";
import { Dataplane } from "../../core/dataplane/dataplane.ts";
import { ProviderPriority, type ProviderSpec } from "../../core/dataplane/provider.ts";
import type { ThreadHandle } from "../../core/dataplane/supervisor.ts";
import type { FromThread } from "../../core/dataplane/thread.ts";
import type { HeldNexthopObject } from "../../core/model/kernel_event.ts";
import { createRouteUpdate, type Family, type RouteUpdate } from "../../core/model/route.ts";
import { hintForFailure } from "../../core/northbound/hint.ts";
import { parseUpdateLine } from "../../core/northbound/update_line.ts";
import type { Outcome } from "../../core/rib/outcome.ts";
import { Rib } from "../../core/rib/rib.ts";
import { errnoName } from "../../ffi/libc/errno.ts";
import { block } from "../../ffi/netlink/dump.ts";
import { openNetlinkSocket } from "../../ffi/netlink/socket.ts";
import { selectRuntime } from "../../ffi/runtime/select.ts";
import { readNexthops } from "../../providers/kernel/read_nexthops.ts";
import { readRoutes } from "../../providers/kernel/read_routes.ts";
import type { Netns } from "./netns.ts";
import { createQuietLog, type QuietLog } from "./quiet_log.ts";

export const KERNEL_THREAD_ENTRY = new URL("./kernel_thread_entry.ts", import.meta.url);

/** RTPROT_* of the routes that the harness writes. */
export const PROTOCOL = 210;

const libc = (await selectRuntime()).openLibc();

/** What became of one line. */
export interface LineResult {
  line: string;
  outcome: Outcome;
  /** Name of the errno or of the dataplane's own error; empty for none. */
  code: string;
  text: string;
  hint: string;
  /** The number of the provider that had the update last. */
  provider: number;
  undoFailed: boolean;
}

export interface HarnessOptions {
  /** Namespace to program; absent for the process's own. */
  netns?: string;
  threaded?: boolean;
  /** Providers besides the kernel. */
  others?: ProviderSpec[];
  workLimit?: number;
  queueLimit?: number;
  portIdCell?: SharedArrayBuffer;
}

export class KernelHarness {
  readonly log: QuietLog = createQuietLog();
  readonly dataplane: Dataplane;
  readonly rib: Rib;
  /** Every thread that was started, by role. */
  readonly threads: { role: string; handle: ThreadHandle }[] = [];
  readonly #links = new Map<string, number>();
  readonly #update = createRouteUpdate();

  constructor(options: HarnessOptions = {}) {
    const attrs = createAttrsStorage();
    this.dataplane = new Dataplane({
      queueLimit: options.queueLimit ?? 4096,
      workLimit: options.workLimit ?? 512,
      attrs,
      spawn: (start, events) => {
        const handle = spawnWorker<FromThread>(KERNEL_THREAD_ENTRY, start, events);
        this.threads.push({ role: start.role, handle });
        return handle;
      },
      log: this.log,
      onLog: ({ record }) => this.log.records.push(record),
      onResults: (slots, count) => this.rib.settle(slots, count),
      onHealthChange: () => {},
    });
    this.rib = new Rib(new AttrsStore(attrs), this.dataplane);
    const kernelOptions = { netns: options.netns, protocol: PROTOCOL, portIdCell: options.portIdCell };
    for (const spec of [kernelSpec(options.threaded ?? false, kernelOptions), ...(options.others ?? [])]) {
      this.dataplane.register(spec);
    }
  }

  static async start(ns: Netns, options: HarnessOptions = {}): Promise<KernelHarness> {
    const harness = new KernelHarness({ netns: ns.name, ...options });
    harness.readLinks(ns);
    await harness.dataplane.start();
    for (const { name, state, reason } of harness.dataplane.providers())
      assert.equal(state, "up", `${name}: ${reason}`);
    return harness;
  }

  /** Learns the names of the namespace's interfaces, as the monitor does for the daemon. */
  readLinks(ns: Netns): void {
    this.#links.clear();
    for (const { ifname, ifindex } of ns.ipJson("link")) this.#links.set(ifname, ifindex);
  }

  /** Admits every line and resolves when each has its result, in the order of the lines. */
  async apply(lines: readonly string[]): Promise<LineResult[]> {
    const results: LineResult[] = new Array(lines.length);
    const settled = Promise.withResolvers<void>();
    let missing = lines.length;
    const session = this.rib.openSession({
      onResult: (slot, outcome, contexts) => {
        const index = contexts.getU32(slot, U32.LINE);
        assert.equal(results[index], undefined, `one result for: ${lines[index]}`);
        results[index] = this.#result(lines[index]!, slot, outcome, contexts);
        missing -= 1;
        if (missing === 0) settled.resolve();
      },
    });
    for (const [index, line] of lines.entries()) {
      if (!this.dataplane.hasRoom()) {
        this.rib.flush();
        do await this.dataplane.waitForRoom();
        while (!this.dataplane.hasRoom() && this.dataplane.isAccepting());
      }
      this.#parse(line);
      assert.equal(this.rib.admit(this.#update, this.rib.owners.intern("default")!, session, index), null, line);
    }
    this.rib.flush();
    if (missing > 0) await settled.promise;
    this.rib.closeSession(session);
    return results;
  }

  /** The result of one line. */
  async applyOne(line: string): Promise<LineResult> {
    return (await this.apply([line]))[0]!;
  }

  /** Applies lines that must all be programmed. */
  async install(...lines: string[]): Promise<void> {
    for (const result of await this.apply(lines)) assert.equal(outcomeText(result), "fib_programmed", result.line);
  }

  async close(): Promise<void> {
    await this.dataplane.shutdown();
    const { poolFree, poolSize } = this.dataplane.snapshot();
    assert.equal(poolFree, poolSize, "every context came back");
  }

  #parse(line: string): void {
    const error = parseUpdateLine(line, this.#update, {
      deviceIndex: (name) => this.#links.get(name) ?? 0,
      vrfTable: () => 0,
    });
    assert.equal(error, null, line);
  }

  #result(line: string, slot: number, outcome: Outcome, contexts: Contexts): LineResult {
    const result: LineResult = {
      line,
      outcome,
      code: "",
      text: "",
      hint: "",
      provider: contexts.getU8(slot, U8.PROVIDER),
      undoFailed: contexts.hasFlag(slot, ContextFlag.UNDO_FAILED),
    };
    if (outcome !== "fib_failed") return result;
    const error = contexts.getU32(slot, U32.ERROR);
    result.code = DPLANE_ERROR_NAMES[error] ?? errnoName(error);
    result.text = contexts.errorText(slot);
    const update = createRouteUpdate();
    parseUpdateLine(line, update, { deviceIndex: (name) => this.#links.get(name) ?? 0, vrfTable: () => 0 });
    const nameOf = (ifindex: number) => [...this.#links].find(([, index]) => index === ifindex)?.[0] ?? "";
    result.hint = hintForFailure(result.code, result.text, update, nameOf);
    return result;
  }
}

function kernelSpec(threaded: boolean, options: Record<string, unknown>): ProviderSpec {
  return { kind: "kernel", name: "kernel", priority: ProviderPriority.KERNEL, threaded, options };
}

/** A provider behind or before the kernel, of a kind that tests/support/kernel_thread_entry.ts knows. */
export function providerSpec(
  kind: string,
  priority: ProviderPriority,
  options: Record<string, unknown> = {},
): ProviderSpec {
  return { kind, name: kind, priority, threaded: false, options };
}

/** `fib_programmed`, or `ENETUNREACH Nexthop has invalid gateway`. */
export function outcomeText(result: LineResult): string {
  if (result.outcome !== "fib_failed") return result.outcome;
  return result.text === "" ? result.code : `${result.code} ${result.text}`;
}

/** Makes two pairs of links, up and with addresses: v0 (10.0.0.1/24, 2001:db8::1/64) and v2 (10.0.1.1/24, 2001:db8:1::1/64). */
export function addTestLinks(ns: Netns): void {
  ns.ipBatch([
    "link add v0 type veth peer name v1",
    "link add v2 type veth peer name v3",
    ...["v0", "v1", "v2", "v3"].map((name) => `link set ${name} up`),
    "address add 10.0.0.1/24 dev v0",
    "address add 10.0.1.1/24 dev v2",
    "address add 2001:db8::1/64 dev v0 nodad",
    "address add 2001:db8:1::1/64 dev v2 nodad",
  ]);
}

/**
 * All routes that somebody installed, as sorted JSON lines: what `ip` shows without what is the kernel's own, and without
 * `protocol` unless it is asked for.
 */
export function routesOf(ns: Netns, { protocol = false } = {}): string[] {
  const lines: string[] = [];
  for (const family of ["-4", "-6"]) {
    // Numbers in the place of names of protocols and tables, which depend on the machine's files.
    for (const route of ns.ipJson("-d", "-N", family, "route", "show", "table", "all")) {
      // RTPROT_KERNEL
      if (route.protocol === "2") continue;
      const { protocol: number, ...rest } = route;
      const shown = protocol ? { ...rest, protocol: number } : rest;
      lines.push(JSON.stringify(Object.fromEntries(Object.entries(shown).sort(([a], [b]) => (a < b ? -1 : 1)))));
    }
  }
  return lines.sort();
}

/** How many routes of our protocol the namespace holds. */
export function countRoutes(ns: Netns, family: "-4" | "-6"): number {
  const text = ns.ip(family, "route", "show", "table", "all", "proto", String(PROTOCOL));
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("\t")).length;
}

/** What a reading of the kernel found. */
export interface KernelReading {
  routes: RouteUpdate[];
  /** Keys of routes that could not be read. */
  strange: RouteUpdate[];
  /** Of both, and of those whose key could not be read either. */
  unreadable: number;
  interrupted: boolean;
}

/** Routes of `protocol`, or those of them that use the interface `ifindex`, read as the monitor reads them. */
export function readKernelRoutes(ns: Netns, family: Family, protocol: number, ifindex = 0): KernelReading {
  const socket = openNetlinkSocket(libc, { netns: ns.name, strictCheck: true, receiveBufferBytes: 1 << 20 });
  const routes: RouteUpdate[] = [];
  const strange: RouteUpdate[] = [];
  const reading = { family, protocol, ifindex, sequence: 1, options: {} };
  const steps = readRoutes(socket, reading, {
    onChunk: (records, count) => {
      let offset = 0;
      for (let index = 0; index < count; index++) {
        const isUnreadable = (new Uint8Array(records)[offset + RECORD.FLAGS]! & RECORD_UNREADABLE) !== 0;
        (isUnreadable ? strange : routes).push(decodeRecord(records, offset));
        offset = nextRecord(new DataView(records), offset);
      }
      assert.equal(offset, records.byteLength, "records fill their buffer");
    },
    onRestart: () => {
      routes.length = 0;
      strange.length = 0;
    },
    onProgress: () => {},
  });
  const result = block(steps);
  socket.close();
  assert.equal(result.dump.errno, 0);
  assert.equal(result.routes, routes.length);
  return { routes, strange, unreadable: result.unreadable, interrupted: result.dump.interrupted };
}

/** Nexthop objects of `protocol`, read as the monitor reads them. */
export function readKernelNexthops(ns: Netns, protocol: number): HeldNexthopObject[] {
  const socket = openNetlinkSocket(libc, { netns: ns.name });
  const { dump, objects } = block(readNexthops(socket, protocol, 1));
  socket.close();
  assert.equal(dump.errno, 0);
  return objects;
}

/** A record of core/context/route_record.ts as an update. */
function decodeRecord(records: ArrayBuffer, offset: number): RouteUpdate {
  const view = new DataView(records);
  const bytes = new Uint8Array(records);
  const update = createRouteUpdate();
  update.family = bytes[offset + RECORD.FAMILY] as Family;
  update.prefixLength = bytes[offset + RECORD.PREFIX_LENGTH]!;
  update.sourceLength = bytes[offset + RECORD.SOURCE_LENGTH]!;
  update.table = view.getUint32(offset + RECORD.TABLE, true);
  update.metric = view.getUint32(offset + RECORD.METRIC, true);
  update.prefix.set(bytes.subarray(offset + RECORD.PREFIX, offset + RECORD.PREFIX + 16));
  update.source.set(bytes.subarray(offset + RECORD.SOURCE, offset + RECORD.SOURCE + 16));
  // An attrs number is a place in the arena: the record as an arena of its own begins with it.
  const arena = new SharedArrayBuffer(records.byteLength - offset - RECORD.ATTRS);
  new Uint8Array(arena).set(bytes.subarray(offset + RECORD.ATTRS));
  new AttrsReader(arena).read(0, update);
  return update;
}
