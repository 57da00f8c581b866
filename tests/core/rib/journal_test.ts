import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { NO_ATTRS } from "../../../core/context/attrs.ts";
import { ContextOp } from "../../../core/context/layout.ts";
import { packedFamily, packedLength, parsePrefix } from "../../../core/model/prefix.ts";
import { Family, UpdateOp } from "../../../core/model/route.ts";
import { Journal, type JournalEntry, JournalKind } from "../../../core/rib/journal.ts";
import { createHarness, type Harness } from "../../support/api_harness.ts";
import { until } from "../../support/wait.ts";

const SMALL = 8;

let harness: Harness;
let journal: Journal;
beforeEach(async () => {
  harness = await createHarness();
  journal = new Journal(harness.rib, SMALL);
  harness.rib.observe(journal);
});
afterEach(() => harness.close());

function find(text: string, rest = {}, max = SMALL): { entries: JournalEntry[]; omitted: number } {
  const prefix = new Uint8Array(16);
  const packed = parsePrefix(text, prefix, 0, true);
  const key = { family: packedFamily(packed), prefix, prefixLength: packedLength(packed) };
  return journal.find({ ...key, table: null, metric: null, source: null, ...rest }, max);
}

async function update(owner: string, prefix: string, fields = {}): Promise<void> {
  const line = JSON.stringify({ prefix, nexthops: [{ via: "192.0.2.1", dev: "v0" }], ...fields });
  await harness.post(`${line}\n`, { query: `?owner=${owner}` });
}

describe("journal", () => {
  it("keeps an outcome with who asked, what was done, why it failed and how long each stage took", async () => {
    await update("bgp", "10.0.0.0/24");
    await update("bgp", "10.0.0.0/24");
    harness.kernel.answer = (io, slot) => io.contexts.fail(slot, 101, "no way");
    await update("bgp", "10.0.0.0/24", { nexthops: [{ via: "192.0.2.9", dev: "v0" }] });
    const { entries, omitted } = find("10.0.0.0/24");
    const owner = harness.rib.owners.find("bgp")!.id;
    assert.equal(omitted, 0);
    assert.deepEqual(
      entries.map(({ kind, op, asked, isUnchanged }) => [kind, op, asked, isUnchanged]),
      [
        [JournalKind.FIB_PROGRAMMED, ContextOp.ROUTE_INSTALL, UpdateOp.INSTALL, false],
        [JournalKind.FIB_PROGRAMMED, ContextOp.ROUTE_UPDATE, UpdateOp.INSTALL, true],
        [JournalKind.FIB_FAILED, ContextOp.ROUTE_UPDATE, UpdateOp.INSTALL, false],
      ],
    );
    let latest = 0;
    for (const entry of entries) {
      assert.deepEqual([entry.owner, entry.other, entry.table, entry.metric], [owner, 0, 254, 20]);
      assert.ok(entry.time >= latest);
      latest = entry.time;
      for (const stage of [entry.queueMs, entry.pipelineMs, entry.resultMs]) assert.ok(stage >= 0);
      assert.ok(entry.queueMs + entry.pipelineMs + entry.resultMs > 0);
      // The stub does not say when the kernel answered.
      assert.ok(Number.isNaN(entry.kernelMs));
    }
    assert.equal(harness.rib.failures.get(entries[2]!.failure).text, "no way");
    assert.deepEqual([entries[0]!.failure, entries[1]!.failure], [0, 0]);
  });

  it("forgets the oldest, says since when it knows all, and counts what is not asked for", async () => {
    for (let number = 0; number < 5; number++) await update("a", `10.0.${number}.0/24`);
    assert.deepEqual([journal.count, journal.since], [5, 0]);
    for (let number = 5; number < 8; number++) await update("a", `10.0.${number}.0/24`);
    assert.deepEqual([journal.count, journal.since], [8, 0], "full, and nothing is gone yet");
    await update("a", "10.0.7.0/24");
    assert.equal(journal.count, 8);
    assert.equal(journal.since, find("10.0.1.0/24").entries[0]!.time);
    assert.equal(find("10.0.0.0/24").entries.length, 0);
    assert.equal(find("10.0.7.0/24").entries.length, 2);
    for (let times = 0; times < 30; times++) await update(`owner${times}`, "10.9.0.0/24");
    const { entries, omitted } = find("10.9.0.0/24", {}, 3);
    assert.deepEqual([entries.length, omitted], [3, 5]);
    const names = entries.map(({ owner }) => harness.rib.owners.nameOf(owner));
    assert.deepEqual(names, ["owner27", "owner28", "owner29"], "the latest, oldest first");
    assert.equal(find("10.0.7.0/24").entries.length, 0);
  });

  it("tells a route from another that has its number later, and goes on when the prefix comes back", async () => {
    await update("a", "10.0.0.0/24");
    await update("a", "10.0.0.0/24", { op: "delete" });
    assert.equal(harness.rib.counts().ipv4, 0);
    await update("b", "10.0.1.0/24");
    assert.equal(harness.rib.store(Family.IPV4).last, 1, "the number is used again");
    assert.deepEqual(
      find("10.0.1.0/24").entries.map(({ asked }) => asked),
      [UpdateOp.INSTALL],
    );
    await update("a", "10.0.0.0/24");
    const { INSTALL, DELETE } = UpdateOp;
    assert.deepEqual(
      find("10.0.0.0/24").entries.map(({ asked }) => asked),
      [INSTALL, DELETE, INSTALL],
    );
  });

  it("tells apart prefix lengths, families, tables, metrics and sources", async () => {
    const v6 = { nexthops: [{ via: "fe80::1", dev: "v0" }] };
    await update("a", "10.0.0.0/24");
    await update("a", "10.0.0.0/24", { metric: 7 });
    await update("a", "10.0.0.0/24", { table: 100 });
    await update("a", "2001:db8::/32", v6);
    await update("a", "2001:db8::/32", { ...v6, source: "2001:db8:1::/48" });
    await update("a", "2001:db8::/32", { ...v6, source: "2001:db8:2::/48" });
    await update("a", "2001:db8:0:1::/64", v6);
    await update("a", "2001:db8:0:2::/64", v6);
    const count = (prefix: string, rest = {}): number => find(prefix, rest).entries.length;
    assert.deepEqual([count("10.0.0.0/24"), count("10.0.0.0/25")], [3, 0]);
    assert.deepEqual([count("10.0.0.0/24", { metric: 7 }), count("10.0.0.0/24", { table: 100 })], [1, 1]);
    assert.deepEqual([count("2001:db8::/32"), count("2001:db8:0:1::/64")], [3, 1]);
    const address = new Uint8Array(16);
    parsePrefix("2001:db8:2::/48", address, 0, true);
    const { entries } = find("2001:db8::/32", { source: { address, length: 48 } });
    assert.deepEqual(
      entries.map(({ source, sourceLength }) => [...source.subarray(0, 6), sourceLength]),
      [[0x20, 0x01, 0x0d, 0xb8, 0, 2, 48]],
    );
    assert.equal(count("2001:db8::/32", { source: { address: new Uint8Array(16), length: 0 } }), 1);
  });

  it("tells attributes while a route has them, and never another's in their place", async () => {
    const attrs = (): number[] => find("10.0.0.0/24").entries.map((entry) => entry.attrs);
    await update("a", "10.0.0.0/24");
    assert.equal(harness.rib.attrs.reader.nexthop(attrs()[0]!, 0).via[3], 1);
    await update("a", "10.0.0.0/24", { nexthops: [{ via: "192.0.2.2", dev: "v0" }] });
    const [first, second] = attrs();
    assert.equal(first, NO_ATTRS);
    assert.equal(harness.rib.attrs.reader.nexthop(second!, 0).via[3], 2);
    await update("a", "10.0.9.0/24", { nexthops: [{ via: "192.0.2.3", dev: "v0" }] });
    assert.equal(attrs()[0], NO_ATTRS, "although the place in memory is used again");
    assert.equal(harness.rib.attrs.count, 2, "nothing is kept for the journal");
  });

  it("tells of an update that is only held what its owner wants, and who is preferred", async () => {
    await update("good", "10.0.0.0/24", { distance: 1 });
    await update("bad", "10.0.0.0/24", { distance: 9, nexthops: [{ via: "192.0.2.9", dev: "v0" }] });
    const { owners, attrs } = harness.rib;
    const entry = find("10.0.0.0/24").entries[1]!;
    assert.equal(entry.kind, JournalKind.RIB_PROGRAMMED);
    assert.deepEqual([owners.nameOf(entry.owner), owners.nameOf(entry.other)], ["bad", "good"]);
    assert.equal(entry.op, ContextOp.NONE);
    assert.equal(attrs.reader.nexthop(entry.attrs, 0).via[3], 9);
    assert.ok(Number.isNaN(entry.queueMs) && Number.isNaN(entry.pipelineMs));
  });

  it("keeps what the daemon writes by itself, without anybody who asked", async () => {
    await update("a", "10.0.0.0/24");
    harness.rib.lose(Family.IPV4, 1);
    await until("the route is back", () => harness.rib.store(Family.IPV4).programmed(1) !== NO_ATTRS);
    const entry = find("10.0.0.0/24").entries[1]!;
    assert.deepEqual([entry.owner, entry.asked, entry.op], [0, 0, ContextOp.ROUTE_INSTALL]);
    assert.equal(harness.rib.owners.nameOf(entry.other), "a");
  });

  it("keeps notes with their details", async () => {
    await update("a", "2001:db8::/32", { source: "2001:db8:1::/48", nexthops: [{ via: "fe80::1", dev: "v0" }] });
    const [family, route] = [Family.IPV6, 1];
    journal.note(JournalKind.DRIFT_REPLACED, family, route, { protocol: 12, text: "bird[99]" });
    journal.note(JournalKind.REPAIR_DELAYED, family, route, { delayMs: 8000, text: "bird[99]" });
    journal.note(JournalKind.PROMOTED, family, route, { owner: 3, other: 4095 });
    const [, drift, delayed, promoted] = find("2001:db8::/32").entries as [
      never,
      JournalEntry,
      JournalEntry,
      JournalEntry,
    ];
    assert.deepEqual([drift.kind, drift.protocol, drift.text], [JournalKind.DRIFT_REPLACED, 12, "bird[99]"]);
    assert.deepEqual([drift.sourceLength, drift.source[5], drift.attrs], [48, 1, NO_ATTRS]);
    assert.deepEqual([delayed.kind, delayed.delayMs, delayed.text], [JournalKind.REPAIR_DELAYED, 8000, "bird[99]"]);
    assert.ok(Number.isNaN(drift.delayMs) && Number.isNaN(delayed.queueMs));
    assert.deepEqual([promoted.owner, promoted.other, promoted.text], [3, 4095, ""]);
  });
});
