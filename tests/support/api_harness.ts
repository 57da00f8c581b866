/**
 * The API over a real RIB and dataplane whose thread shares the test's own, so that a test decides when the "kernel"
 * answers and what.
 */
import assert from "node:assert/strict";
import { clearInterval, setInterval } from "node:timers";
import { now } from "../../core/clock.ts";
import { AttrsStore, createAttrsStorage } from "../../core/context/attrs_store.ts";
import { ContextFlag } from "../../core/context/layout.ts";
import { encodeRecord } from "../../core/context/route_record.ts";
import { Dataplane } from "../../core/dataplane/dataplane.ts";
import { type Provider, type ProviderIo, ProviderPriority } from "../../core/dataplane/provider.ts";
import { LinkTable } from "../../core/model/link_table.ts";
import type { RouteUpdate } from "../../core/model/route.ts";
import { type ApiParts, createApi } from "../../core/northbound/api.ts";
import type { ResultJson, SummaryJson, SyncSummaryJson } from "../../core/northbound/api_types.ts";
import type { Auditor } from "../../core/northbound/audit_api.ts";
import { EventBus } from "../../core/northbound/events.ts";
import { Drift } from "../../core/rib/drift.ts";
import { createJournal, type Journal } from "../../core/rib/journal.ts";
import { NexthopGroups } from "../../core/rib/nexthop_groups.ts";
import { Retrier } from "../../core/rib/retry.ts";
import { Rib } from "../../core/rib/rib.ts";
import { EMPTY } from "../../core/ring/spsc_ring.ts";
import { checkAnswer } from "./openapi_check.ts";
import { createQuietLog } from "./quiet_log.ts";
import { createInlineSpawn } from "./spawn.ts";

/** A kernel that answers when it is let, and as it is told. */
export class StubKernel {
  /** While true, what comes is kept. */
  holds = false;
  /** Decides what becomes of a context; by default it is programmed. */
  answer: (io: ProviderIo, slot: number) => void = (io, slot) => io.contexts.succeed(slot);
  readonly #held: number[] = [];
  #io: ProviderIo | null = null;

  get held(): number {
    return this.#held.length;
  }

  readonly provider: Provider = {
    process: (io) => {
      this.#io = io;
      for (let slot = io.dequeue(); slot !== EMPTY; slot = io.dequeue()) this.#held.push(slot);
      while (!this.holds && this.#held.length > 0) this.#letGo(io);
    },
  };

  /** Answers what is held, and holds no longer. */
  release(): void {
    this.holds = false;
    this.#io?.signalWork();
  }

  #letGo(io: ProviderIo): void {
    const slot = this.#held.shift()!;
    if (!io.contexts.hasFlag(slot, ContextFlag.SKIP_KERNEL)) this.answer(io, slot);
    io.enqueue(slot);
  }
}

export interface Harness {
  app: ReturnType<typeof createApi>;
  rib: Rib;
  journal: Journal;
  groups: NexthopGroups;
  dataplane: Dataplane;
  links: LinkTable;
  events: EventBus;
  kernel: StubKernel;
  log: ReturnType<typeof createQuietLog>;
  startup: string[];
  shutdown: AbortController;
  /** Sends a body and returns the answer's lines, parsed. */
  post(body: string, options?: PostOptions): Promise<{ results: ResultJson[]; summary: SummaryJson }>;
  /** Sends a full-state sync, and returns the answer's lines, parsed. */
  sync(
    owner: string,
    body: string,
    options?: PostOptions,
  ): Promise<{ status: number; results: ResultJson[]; summary: SyncSummaryJson }>;
  /** Puts a route into the RIB that the kernel holds from an earlier life of the daemon. */
  adopt(update: RouteUpdate): void;
  close(): Promise<void>;
}

export interface PostOptions {
  query?: string;
  contentType?: string;
}

export interface HarnessOptions {
  queueLimit?: number;
  parts?: Partial<ApiParts>;
  /** Leaves the dataplane unstarted. */
  start?: boolean;
}

/** Starts it with interfaces v0 (2) and v1 (3), VRF blue (4, table 100), and a provider called kernel. */
export async function createHarness({
  queueLimit = 64,
  parts = {},
  start = true,
}: HarnessOptions = {}): Promise<Harness> {
  // Waiting with Atomics.waitAsync does not keep Deno alive.
  const keepAlive = setInterval(() => {}, 1000);
  const log = createQuietLog();
  const kernel = new StubKernel();
  const storage = createAttrsStorage(4 << 20);
  const attrs = new AttrsStore(storage);
  let rib: Rib;
  const dataplane = new Dataplane({
    queueLimit,
    workLimit: 16,
    attrs: storage,
    spawn: createInlineSpawn(() => kernel.provider),
    log,
    onLog: () => {},
    onResults: (slots, count) => rib.settle(slots, count),
    onHealthChange: () => {},
  });
  rib = new Rib(attrs, dataplane);
  dataplane.register({ kind: "stub", name: "kernel", priority: ProviderPriority.KERNEL, threaded: false, options: {} });
  const journal = createJournal(rib);
  rib.observe(journal);
  const links = createLinks();
  const groups = new NexthopGroups(rib, dataplane, links);
  rib.groups = groups;
  const events = new EventBus();
  const shutdown = new AbortController();
  const startup: string[] = [];
  const auditor: Auditor = {
    audit: async () => ({
      routes: 0,
      missing: 0,
      changed: 0,
      unexpected: 0,
      nexthops: 0,
      complete: true,
      elapsedMs: 1,
    }),
    lastAudit: null,
    audits: 0,
    overruns: 0,
  };
  const app = createApi({
    rib,
    auditor,
    drift: new Drift(),
    retrier: new Retrier(rib),
    journal,
    groups,
    dataplane,
    links,
    events,
    log,
    version: "1.2.3",
    startedAt: now(),
    workers: () => dataplane.workers(),
    readiness: () => startup,
    shutdown: shutdown.signal,
    ...parts,
  });
  holdToDocument(app);
  if (start) await dataplane.start();
  const post = async (body: string, { query = "", contentType = "application/x-ndjson" }: PostOptions = {}) => {
    const headers = contentType === "" ? {} : { "content-type": contentType };
    const response = await app.request(`/v1/routes${query}`, { method: "POST", body, headers });
    const lines = (await response.text())
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const { summary } = lines.pop() as { summary: SummaryJson };
    return { results: lines as ResultJson[], summary };
  };
  const sync = async (
    owner: string,
    body: string,
    { query = "", contentType = "application/x-ndjson" }: PostOptions = {},
  ) => {
    const headers = contentType === "" ? {} : { "content-type": contentType };
    const response = await app.request(`/v1/owners/${owner}/routes${query}`, { method: "PUT", body, headers });
    const text = await response.text();
    assert.equal(response.status, 200, text);
    const lines = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const { summary } = lines.pop() as { summary: SyncSummaryJson };
    return { status: response.status, results: lines as ResultJson[], summary };
  };
  const adopt = (update: RouteUpdate) => {
    const bytes = new Uint8Array(4096);
    const view = new DataView(bytes.buffer);
    encodeRecord(view, bytes, 0, update, 0);
    assert.ok(rib.adopt(bytes, view, 0));
  };
  const close = async () => {
    shutdown.abort();
    groups.stop();
    kernel.holds = false;
    await dataplane.shutdown();
    clearInterval(keepAlive);
  };
  const stop = { post, sync, adopt, close };
  return { app, rib, journal, groups, dataplane, links, events, kernel, log, startup, shutdown, ...stop };
}

/** Has every answer that any test gets be one that the OpenAPI document describes. */
function holdToDocument(app: ReturnType<typeof createApi>): void {
  const request = app.request;
  app.request = async (input, init, ...rest) => {
    const response = await request(input, init, ...rest);
    const method = init?.method ?? (input instanceof Request ? input.method : "GET");
    const { pathname } = new URL(input instanceof Request ? input.url : String(input), "http://localhost");
    const contentType = response.headers.get("content-type") ?? "";
    // Streams are for the test to read.
    const isWhole = /^application\/(?:problem\+)?json/.test(contentType);
    const answer = {
      status: response.status,
      contentType,
      ...(isWhole ? { body: await response.clone().text() } : {}),
    };
    assert.equal(checkAnswer(method, pathname, answer), "");
    return response;
  };
}

function createLinks(): LinkTable {
  const links = new LinkTable();
  const common = { altNames: [], up: true, carrier: true, kind: "", mtu: 1500, master: 0, vrfTable: 0 };
  links.set({ ...common, ifindex: 2, name: "v0" });
  links.set({ ...common, ifindex: 3, name: "v1" });
  links.set({ ...common, ifindex: 4, name: "blue", kind: "vrf", vrfTable: 100 });
  return links;
}

/** One install as a line of NDJSON; `number` makes the prefix. */
export function installLine(number: number, fields: Readonly<Record<string, unknown>> = {}): string {
  const prefix = `10.${(number >>> 16) & 255}.${(number >>> 8) & 255}.${number & 255}/32`;
  return `${JSON.stringify({ prefix, nexthops: [{ via: "192.0.2.1", dev: "v0" }], ...fields })}\n`;
}
