/**
 * Three owners at random, all at once: updates, full-state syncs, such as break off or are wrong, and updates during their
 * own syncs, with a kernel that refuses by chance. A plain model says what each of them last asked for.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NO_ATTRS } from "../../../core/context/attrs.ts";
import { ContextOp, U8, U32 } from "../../../core/context/layout.ts";
import type { ProviderIo } from "../../../core/dataplane/provider.ts";
import { createRouteUpdate, Family } from "../../../core/model/route.ts";
import type { SummaryJson, SyncSummaryJson } from "../../../core/northbound/api_types.ts";
import { Prng } from "../../../core/prng.ts";
import { OWNER_SETTINGS } from "../../../core/rib/owners.ts";
import type { Rib } from "../../../core/rib/rib.ts";
import { RouteState } from "../../../core/rib/route_store.ts";
import { createHarness, type Harness } from "../../support/api_harness.ts";
import { assertNoLeaks } from "../../support/harness.ts";
import { numberedUpdate } from "../../support/updates.ts";
import { until } from "../../support/wait.ts";

const OWNERS = ["a", "b", "c"] as const;
const ROUTES = 40;
const OPERATIONS = 60;
/** Only the first owner may write to it, so that what is found there must have been its. */
const OWN_TABLE = 100;

interface Wanted {
  dev: string;
  tag: number;
  /** Differs between owners, so that there are no ties. */
  distance: number;
}
/** By table and number. */
type Routes = Map<string, Wanted>;

const prefixOf = (key: string): string => `10.0.0.${key.split(" ")[1]}/32`;
const tableOf = (key: string): number => Number(key.split(" ")[0]);

/** The forwarding plane: interfaces by table and number. Checks what it is told against what it holds. */
class Fib {
  readonly routes = new Map<string, string>();
  readonly log: string[] = [];
  refusals = 0.2;
  readonly #prng: Prng;

  constructor(prng: Prng) {
    this.#prng = prng;
  }

  answer(io: ProviderIo, slot: number): void {
    const { contexts } = io;
    const dev = (attrs: number): string => (attrs === NO_ATTRS ? "" : `v${io.attrs.nexthop(attrs, 0).ifindex - 2}`);
    const key = `${contexts.getU32(slot, U32.TABLE)} ${contexts.u8[slot * 256 + U8.PREFIX + 3]}`;
    const op = contexts.getU8(slot, U8.OP);
    const held = this.routes.get(key) ?? "";
    const old = dev(contexts.getU32(slot, U32.OLD_ATTRS));
    if (old !== held) this.log.push(`${key}: told that "${old}" is held, which is "${held}"`);
    if (op === ContextOp.ROUTE_INSTALL && held !== "") this.log.push(`${key}: install over something`);
    if (this.#prng.chance(this.refusals)) return contexts.fail(slot, 101, "refused");
    contexts.succeed(slot);
    if (op === ContextOp.ROUTE_DELETE) this.routes.delete(key);
    else this.routes.set(key, dev(contexts.getU32(slot, U32.ATTRS)));
  }
}

/** One owner: what it last asked for, and what it does next. */
class Actor {
  wanted: Routes = new Map();
  readonly #harness: Harness;
  readonly #name: string;
  readonly #index: number;
  readonly #prng: Prng;
  #tag = 0;

  constructor(harness: Harness, index: number, seed: number) {
    this.#harness = harness;
    this.#name = OWNERS[index]!;
    this.#index = index;
    this.#prng = new Prng(seed * 31 + index);
  }

  async run(): Promise<void> {
    for (let done = 0; done < OPERATIONS; done++) {
      const choice = this.#prng.fraction();
      if (choice < 0.4) await this.#update();
      else if (choice < 0.6) await this.#sync(new Map(this.#some()));
      else if (choice < 0.75) await this.#syncSlowly();
      else if (choice < 0.85) await this.#syncBadly();
      else if (choice < 0.95) await this.#breakOff();
      else await this.#sync(new Map(), "DELETE");
    }
  }

  /** Asks once more for what it last asked for. */
  finish(): Promise<void> {
    return this.#sync(this.wanted);
  }

  #some(): [string, Wanted][] {
    return Array.from({ length: this.#prng.below(ROUTES) }, () => [this.#key(), this.#want()]);
  }

  #key(): string {
    const table = this.#index === 0 && this.#prng.chance(0.3) ? OWN_TABLE : 254;
    return `${table} ${this.#prng.below(ROUTES)}`;
  }

  #want(): Wanted {
    const distance = this.#prng.below(3) * OWNERS.length + this.#index + 1;
    // Few tags, so that a sync finds routes unchanged.
    this.#tag = (this.#tag + 1) % 2;
    return { dev: this.#prng.chance(0.5) ? "v0" : "v1", tag: this.#tag, distance };
  }

  #line(key: string, wanted: Wanted | null): string {
    const name = { prefix: prefixOf(key), table: tableOf(key) };
    if (wanted === null) return `${JSON.stringify({ op: "delete", ...name })}\n`;
    const { dev, tag, distance } = wanted;
    return `${JSON.stringify({ ...name, nexthops: [{ dev }], tag, distance })}\n`;
  }

  #lines(routes: Routes): string {
    return Array.from(routes, ([key, wanted]) => this.#line(key, wanted)).join("");
  }

  async #update(): Promise<void> {
    const count = 1 + this.#prng.below(10);
    const updates = Array.from({ length: count }, () => ({
      key: this.#key(),
      wanted: this.#prng.chance(0.4) ? null : this.#want(),
    }));
    const body = updates.map(({ key, wanted }) => this.#line(key, wanted)).join("");
    const { results, summary } = await this.#harness.post(body, { query: `?owner=${this.#name}` });
    // A deletion of what only others want is refused, and so does not win over a sync either.
    const refused = new Set(results.filter(({ status }) => status === "rejected").map(({ line }) => line));
    for (const [index, { key, wanted }] of updates.entries()) {
      if (refused.has(index + 1)) continue;
      if (wanted === null) this.wanted.delete(key);
      else this.wanted.set(key, wanted);
    }
    assert.deepEqual(
      results.map(({ line }) => line).sort((a, b) => a - b),
      Array.from({ length: count }, (_, index) => index + 1),
      "one result for each update",
    );
    assert.equal(sum(summary), count);
  }

  async #sync(routes: Routes, method: "PUT" | "DELETE" = "PUT"): Promise<void> {
    const isKnown = this.#harness.rib.owners.find(this.#name) !== undefined;
    this.wanted = new Map(routes);
    const ack = this.#prng.chance(0.5) ? "all" : "errors";
    const body = method === "PUT" ? this.#lines(routes) : undefined;
    const response = await this.#request(method, body === undefined ? {} : { body }, `?ack=${ack}`);
    const text = await response.text();
    assert.equal(response.status, isKnown || method === "PUT" ? 200 : 404, text);
    if (response.status !== 200) return;
    const lines = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const { summary } = lines.pop() as { summary: SyncSummaryJson };
    const { received, unchanged, installed, updated, deleted } = summary;
    assert.equal(received, routes.size);
    assert.equal(unchanged + installed + updated, received);
    assert.equal(sum(summary), installed + updated + deleted);
    if (ack !== "all") return;
    const told = lines.map(({ line }) => line as number).filter((line) => line > 0);
    assert.deepEqual(
      told.sort((a, b) => a - b),
      Array.from({ length: received }, (_, index) => index + 1),
      "one result for each route of the body",
    );
    assert.equal(lines.length - told.length, deleted);
  }

  #request(method: string, init: object = {}, query = ""): Promise<Response> {
    const request = new Request(`http://localhost/v1/owners/${this.#name}/routes${query}`, {
      method,
      headers: { "content-type": "application/x-ndjson" },
      ...init,
    } as RequestInit);
    return Promise.resolve(this.#harness.app.request(request));
  }

  /** A sync whose body comes in two parts, with updates of the same owner in between and afterwards. */
  async #syncSlowly(): Promise<void> {
    const { writer, answer } = this.#open();
    const routes = new Map(this.#some());
    const text = this.#lines(routes);
    const half = this.#prng.below(text.length + 1);
    await writer.write(new TextEncoder().encode(text.slice(0, half)));
    await until("it is under way", () => this.#harness.rib.owners.find(this.#name)?.isSyncing === true);
    assert.equal((await this.#request("PUT", { body: "" })).status, 409);
    this.wanted = new Map(routes);
    await this.#update();
    await writer.write(new TextEncoder().encode(text.slice(half)));
    await writer.close();
    if (this.#prng.chance(0.5)) await this.#update();
    const response = await answer;
    assert.equal(response.status, 200, await response.clone().text());
    if (this.#prng.chance(0.3)) await response.body!.cancel();
    else await response.text();
    await this.#isOver();
  }

  #open() {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    return { writer: writable.getWriter(), answer: this.#request("PUT", { body: readable, duplex: "half" }) };
  }

  #isOver(): Promise<void> {
    return until("the sync is over", () => this.#harness.rib.owners.find(this.#name)?.isSyncing !== true);
  }

  async #syncBadly(): Promise<void> {
    const good = this.#lines(new Map(this.#some()));
    const key = this.#key();
    const twice = this.#line(key, this.#want()) + this.#line(key, this.#want());
    const bad = [twice, "nonsense\n", this.#line(key, null), this.#line("9 1", this.#want())][this.#prng.below(4)]!;
    const response = await this.#request("PUT", { body: good + bad });
    assert.ok([400, 422].includes(response.status), await response.text());
  }

  async #breakOff(): Promise<void> {
    const { writer, answer } = this.#open();
    await writer.write(new TextEncoder().encode(this.#lines(new Map(this.#some()))));
    await writer.abort(new Error("gone"));
    assert.equal((await answer).status, 400);
  }
}

function sum({ fibProgrammed, fibFailed, ribProgrammed, skipped, superseded, rejected }: SummaryJson): number {
  return fibProgrammed + fibFailed + ribProgrammed + skipped + superseded + rejected;
}

/** What the forwarding plane is to hold: of each route what the owner with the lowest distance wants. */
function expected(actors: readonly Actor[], adopted: ReadonlyMap<string, string>): Map<string, string> {
  const best = new Map<string, Wanted>();
  for (const { wanted } of actors) {
    for (const [key, route] of wanted) {
      const other = best.get(key);
      if (other === undefined || route.distance < other.distance) best.set(key, route);
    }
  }
  const fib = new Map(Array.from(best, ([key, { dev }]) => [key, dev]));
  for (const [key, dev] of adopted) if (tableOf(key) !== OWN_TABLE && !fib.has(key)) fib.set(key, dev);
  return new Map(Array.from(fib).sort());
}

/** Routes that a claim has taken from nobody are gone with that claim. */
function stillNobodys(harness: Harness, adopted: ReadonlyMap<string, string>): Map<string, string> {
  const left = new Map<string, string>();
  const store = harness.rib.store(Family.IPV4);
  for (let route = 1; route <= store.last; route++) {
    if (!store.isUsed(route) || store.owner(route) !== 0 || store.desired(route) === NO_ATTRS) continue;
    const key = keyOf(harness.rib, route);
    assert.ok(adopted.has(key), `${key} was found in the kernel`);
    left.set(key, adopted.get(key)!);
  }
  return left;
}

async function settle(harness: Harness): Promise<void> {
  const { rib, dataplane } = harness;
  await until(
    "nothing is under way",
    () => rib.reconciler.queued === 0 && dataplane.pool.free === dataplane.pool.size && rib.holds.size === 0,
  );
}

/** Each owner wants what it last asked for, whatever has become of it. */
function checkClaims({ rib }: Harness, actors: readonly Actor[]): void {
  const store = rib.store(Family.IPV4);
  for (const [index, { wanted }] of actors.entries()) {
    const { id, routes } = rib.owners.find(OWNERS[index]!)!;
    assert.equal(routes, wanted.size);
    const found: Routes = new Map();
    for (let route = 1; route <= store.last; route++) {
      const attrs = store.isUsed(route) ? rib.claims.wantedBy(Family.IPV4, store, route, id) : NO_ATTRS;
      if (attrs === NO_ATTRS) continue;
      const { reader } = rib.attrs;
      const dev = `v${reader.nexthop(attrs, 0).ifindex - 2}`;
      found.set(keyOf(rib, route), { dev, tag: reader.tag(attrs), distance: reader.distance(attrs) });
    }
    assert.deepEqual(new Map([...found].sort()), new Map([...wanted].sort()));
  }
}

function keyOf(rib: Rib, route: number): string {
  const store = rib.store(Family.IPV4);
  const address = new Uint8Array(16);
  store.address(route, address);
  return `${rib.keyClass(store, route).table} ${address[3]}`;
}

async function runModel(seed: number): Promise<void> {
  const harness = await createHarness();
  const { rib } = harness;
  const fib = new Fib(new Prng(seed));
  harness.kernel.answer = (io, slot) => fib.answer(io, slot);
  rib.owners.configure(
    OWNERS.map((name, index) => ({ name, ...OWNER_SETTINGS, tables: index === 0 ? [254, OWN_TABLE] : [254] })),
  );
  const adopted = new Map<string, string>();
  for (let number = 0; number < ROUTES; number += 3) {
    for (const table of [254, OWN_TABLE]) {
      const update = { ...createRouteUpdate(), ...numberedUpdate(number), table };
      update.nexthops[0]!.viaFamily = Family.NONE;
      harness.adopt(update);
      adopted.set(`${table} ${number}`, "v0");
      fib.routes.set(`${table} ${number}`, "v0");
    }
  }
  const actors = OWNERS.map((_, index) => new Actor(harness, index, seed));
  await Promise.all(actors.map((actor) => actor.run()));
  await settle(harness);
  checkClaims(harness, actors);
  fib.refusals = 0;
  for (const actor of actors) await actor.finish();
  const store = rib.store(Family.IPV4);
  for (let route = 1; route <= store.last; route++) {
    if (store.isUsed(route) && store.state(route) === RouteState.FAILED) rib.retry(Family.IPV4, route);
  }
  await settle(harness);

  assert.deepEqual(fib.log, []);
  assert.deepEqual(new Map(Array.from(fib.routes).sort()), expected(actors, stillNobodys(harness, adopted)));
  checkClaims(harness, actors);
  const selected = rib.owners.values().reduce((count, owner) => count + owner.selected, rib.owners.nobody.selected);
  assert.equal(selected, fib.routes.size);
  assertNoLeaks(rib);
  const counted = Array.from(rib.classes.values()).reduce((count, { routes }) => count + routes, 0);
  assert.equal(counted, rib.counts().ipv4);
  assert.equal(rib.failedCount, 0);
  await harness.close();
}

describe("owners at random", () => {
  for (const seed of [1, 2, Math.floor(Math.random() * 2 ** 32)]) {
    it(`end with the kernel holding what they last asked for, seed ${seed}`, () => runModel(seed));
  }
});
