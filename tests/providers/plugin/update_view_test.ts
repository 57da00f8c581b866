/** What a plugin sees of a context, after its way through a frame, and what it may decide. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { epochOffset } from "../../../core/clock.ts";
import { AttrsStore, createAttrsStorage } from "../../../core/context/attrs_store.ts";
import { Contexts, createContextStorage, createLongTextStorage } from "../../../core/context/contexts.ts";
import { ContextFlag, ContextOp, DplaneError, F64, U8, U32 } from "../../../core/context/layout.ts";
import { formatRefusal } from "../../../core/context/refusal.ts";
import { createRouteUpdate, type RouteUpdate } from "../../../core/model/route.ts";
import { parseUpdateObject } from "../../../core/northbound/update_json.ts";
import type { UpdateJson } from "../../../core/plugin/dplaned.d.ts";
import { CopiesEncoder } from "../../../providers/plugin/copies_encoder.ts";
import { COPIES_COUNT, COPIES_HEADER, FRAME_BODY, Verdict } from "../../../providers/plugin/frames.ts";
import { RouteViews } from "../../../providers/plugin/route_view.ts";
import { Copies, UpdateView } from "../../../providers/plugin/update_view.ts";

const resolver = { deviceIndex: (name: string) => (name === "v0" ? 3 : Number(name.slice(2))), vrfTable: () => 100 };

/** Contexts on their way to a plugin, and its decisions on their way back. */
class Bench {
  readonly store = new AttrsStore(createAttrsStorage(1 << 20));
  readonly contexts = new Contexts(createContextStorage(64), createLongTextStorage(64));
  readonly views = new RouteViews();
  readonly decisions: [slot: number, ticket: number, verdict: Verdict, text: string][] = [];
  isBeforeKernel = true;
  isKernel = false;

  constructor() {
    this.views.setNames({ links: { 3: "v0" }, owners: ["bgp", "static"] });
  }

  parse(json: object): RouteUpdate {
    const update = createRouteUpdate();
    assert.equal(parseUpdateObject({ ...json }, update, resolver), null);
    return update;
  }

  /** Fills a context; `old` and `json` are updates as the API takes them. */
  fill(slot: number, op: ContextOp, json: UpdateJson | { prefix: string }, old?: object): void {
    const { contexts } = this;
    contexts.clear(slot);
    const isDelete = op === ContextOp.ROUTE_DELETE;
    const update = this.parse(isDelete ? { ...json, op: "delete" } : json);
    contexts.setU8(slot, U8.OP, op);
    contexts.setU8(slot, U8.FAMILY, update.family);
    contexts.setU8(slot, U8.PREFIX_LENGTH, update.prefixLength);
    contexts.setU8(slot, U8.SOURCE_LENGTH, update.sourceLength);
    contexts.u8.set(update.prefix, slot * 256 + U8.PREFIX);
    contexts.u8.set(update.source, slot * 256 + U8.SOURCE);
    contexts.setU32(slot, U32.TABLE, update.table);
    contexts.setU32(slot, U32.METRIC, update.metric);
    contexts.setF64(slot, F64.ADMISSION, 7);
    if (!isDelete) contexts.setU32(slot, U32.ATTRS, this.store.intern(update));
    if (old !== undefined) contexts.setU32(slot, U32.OLD_ATTRS, this.store.intern(this.parse(old)));
  }

  /** The contexts as a plugin gets them. */
  toViews(slots: readonly number[]): UpdateView[] {
    const encoder = new CopiesEncoder(this.contexts, this.store.reader, slots.length);
    for (const slot of slots) encoder.add(slot, 100 + slot);
    const body = encoder.finish(3).slice(FRAME_BODY);
    const { views, isBeforeKernel, isKernel } = this;
    const decide = (...decision: [number, number, Verdict, string]) => void this.decisions.push(decision);
    const copies = new Copies({ views, isBeforeKernel, isKernel, decide }, body.buffer as ArrayBuffer);
    assert.equal(copies.contexts.u32[COPIES_COUNT], slots.length);
    return slots.map((_, index) => new UpdateView(copies, index + 1));
  }
}

const FULL = {
  prefix: "203.0.113.0/24",
  table: 100,
  metric: 30,
  nexthops: [
    { via: "10.0.0.2", dev: "v0", weight: 3, onlink: true, labels: [100, 200] },
    { via: "2001:db8::1", dev: "if9", weight: 1, seg6: { mode: "encap", segs: ["2001:db8::5"] } },
  ],
  protocol: 186,
  distance: 200,
  tag: 77,
  mtu: 1400,
  prefsrc: "10.0.0.1",
} as const;

describe("an update as a plugin sees it", () => {
  it("has every field of its context", () => {
    const bench = new Bench();
    bench.fill(5, ContextOp.ROUTE_UPDATE, FULL as unknown as UpdateJson, {
      prefix: "203.0.113.0/24",
      type: "blackhole",
    });
    bench.contexts.setU32(5, U32.OWNER, 1);
    bench.contexts.setU32(5, U32.WINNER, 2);
    bench.contexts.setF64(5, F64.ADMITTED_AT, 1000 - epochOffset());
    bench.contexts.passBy(5, 4);
    for (const flag of [ContextFlag.SKIP_KERNEL, ContextFlag.TAKE_OVER]) bench.contexts.setFlag(5, flag);
    const [update] = bench.toViews([5]) as [UpdateView];
    const { family, prefix, prefixLength, source, table, metric, op, sequence, owner, requestedBy, status } = update;
    assert.deepEqual(
      { family, prefix, prefixLength, source, table, metric, op, sequence, owner, requestedBy, status },
      {
        family: 4,
        prefix: "203.0.113.0/24",
        prefixLength: 24,
        source: undefined,
        table: 100,
        metric: 30,
        op: "replace",
        sequence: 7,
        owner: "static",
        requestedBy: "bgp",
        status: "queued",
      },
    );
    assert.deepEqual([...update.address], [203, 0, 113, 0]);
    const { skipsKernel, isBypassed, isReplayed, takesOver, admittedAt, error } = update;
    assert.deepEqual([skipsKernel, isBypassed, isReplayed, takesOver, error], [true, true, false, true, undefined]);
    assert.ok(Math.abs(admittedAt - 1000) <= 1);
    assert.deepEqual(update.route, {
      type: "unicast",
      nexthopObject: 0,
      protocol: 186,
      instance: 0,
      distance: 200,
      tag: 77,
      mtu: 1400,
      prefsrc: "10.0.0.1",
      nexthops: [
        { via: "10.0.0.2", dev: "v0", ifindex: 3, weight: 3, onlink: true, labels: [100, 200], seg6: undefined },
        {
          via: "2001:db8::1",
          dev: undefined,
          ifindex: 9,
          weight: 1,
          onlink: false,
          labels: [],
          seg6: { mode: "encap", segs: ["2001:db8::5"] },
        },
      ],
    });
    assert.equal(update.oldRoute?.type, "blackhole");
    assert.equal(update.route, update.route, "the same record is read once");
  });

  it("as JSON is the update that the API would take", () => {
    const bench = new Bench();
    bench.fill(1, ContextOp.ROUTE_INSTALL, FULL as unknown as UpdateJson);
    bench.fill(2, ContextOp.ROUTE_DELETE, { prefix: "2001:db8::/32" });
    bench.fill(3, ContextOp.ROUTE_INSTALL, {
      prefix: "2001:db8:1::/48",
      source: "2001:db8:2::/48",
      type: "unreachable",
    } as UpdateJson);
    const [install, remove, source] = bench.toViews([1, 2, 3]) as [UpdateView, UpdateView, UpdateView];
    assert.deepEqual(JSON.parse(JSON.stringify(install)), { op: "install", ...FULL });
    assert.deepEqual(remove.toJSON(), { op: "delete", prefix: "2001:db8::/32", table: 254, metric: 20 });
    assert.deepEqual([remove.op, remove.family, remove.route], ["delete", 6, undefined]);
    assert.equal(source.source, "2001:db8:2::/48");
    for (const view of [install, remove, source])
      assert.equal(parseUpdateObject({ ...view.toJSON() }, createRouteUpdate(), resolver), null);
  });

  it("tells why it has failed, in the words of whoever failed it", () => {
    const bench = new Bench();
    for (const slot of [1, 2, 3])
      bench.fill(slot, ContextOp.ROUTE_INSTALL, { prefix: "10.0.0.0/8", type: "blackhole" } as UpdateJson);
    bench.contexts.fail(1, 101, "Nexthop has invalid gateway");
    bench.contexts.fail(2, DplaneError.THREAD_DIED);
    bench.contexts.fail(
      3,
      DplaneError.PROVIDER_REFUSED,
      formatRefusal({ code: "BOGON", message: "x".repeat(200), hint: "" }),
    );
    const [kernel, dead, refused] = bench.toViews([1, 2, 3]) as [UpdateView, UpdateView, UpdateView];
    assert.deepEqual(kernel.error, { code: "ENETUNREACH", message: "Nexthop has invalid gateway" });
    assert.equal(dead.error?.code, "THREAD_DIED");
    assert.deepEqual([refused.status, refused.error?.code], ["failed", "BOGON"]);
    assert.match(refused.error?.message ?? "", /^x{80,}$/);
  });

  it("shares records with others of its frame, each of which reads its own", () => {
    const bench = new Bench();
    const routes = [...Array(40).keys()].map((number) => ({
      prefix: `10.0.${number}.0/24`,
      nexthops: [{ via: `10.1.0.${1 + (number % 3)}`, dev: "v0" }],
    }));
    for (const [slot, route] of routes.entries())
      bench.fill(slot, ContextOp.ROUTE_INSTALL, route as unknown as UpdateJson);
    const views = bench.toViews([...routes.keys()]);
    assert.deepEqual(
      views.map(({ prefix, route }) => ({ prefix, nexthops: [{ via: route!.nexthops[0]!.via, dev: "v0" }] })),
      routes,
    );
    assert.equal(new Set(views.map(({ route }) => route)).size, 3);
  });

  it("names interfaces as they are called now", () => {
    const bench = new Bench();
    bench.fill(1, ContextOp.ROUTE_INSTALL, FULL as unknown as UpdateJson);
    assert.equal(bench.toViews([1])[0]!.route!.nexthops[0]!.dev, "v0");
    bench.views.setNames({ links: { 3: "uplink" }, owners: [] });
    assert.equal(bench.toViews([1])[0]!.route!.nexthops[0]!.dev, "uplink");
  });
});

describe("the decision about an update", () => {
  const bench = new Bench();
  bench.fill(9, ContextOp.ROUTE_INSTALL, { prefix: "10.0.0.0/8", type: "blackhole" } as UpdateJson);
  const decided = (act: (update: UpdateView) => void): Bench["decisions"] => {
    bench.decisions.length = 0;
    act(bench.toViews([9])[0]!);
    return [...bench.decisions];
  };

  it("is one of a few, and goes back with the number of the context and the ticket of the copy", () => {
    assert.deepEqual(
      decided((update) => update.pass()),
      [[9, 109, Verdict.PASS, ""]],
    );
    assert.deepEqual(
      decided((update) => update.skipKernel()),
      [[9, 109, Verdict.SKIP_KERNEL, ""]],
    );
    assert.deepEqual(
      decided((update) => update.fail("A_1", "b", "c")),
      [[9, 109, Verdict.FAIL, formatRefusal({ code: "A_1", message: "b", hint: "c" })]],
    );
    assert.deepEqual(
      decided((update) => UpdateView.end(update)),
      [[9, 109, Verdict.PASS, ""]],
    );
  });

  it("is made once", () => {
    decided((update) => {
      update.fail("A", "b");
      assert.throws(() => update.pass(), /10\.0\.0\.0\/8 is decided already/);
      assert.throws(() => update.keep(), /is decided already/);
      UpdateView.end(update);
      UpdateView.settle(update, Verdict.UNDECIDED, "late");
    });
    assert.equal(bench.decisions.length, 1);
  });

  it("is refused where there is none like it", () => {
    decided((update) => {
      for (const code of ["", "bogon", "BO GON", "1A", "A".repeat(33)])
        assert.throws(() => update.fail(code, "b"), /the code/);
      assert.throws(() => update.fail("A", ""), /the message says nothing/);
      assert.throws(() => update.succeed(), /only a provider with priority "kernel"/);
    });
    bench.isBeforeKernel = false;
    bench.isKernel = true;
    decided((update) => assert.throws(() => update.skipKernel(), /only a provider before the kernel/));
    assert.deepEqual(
      decided((update) => update.succeed()),
      [[9, 109, Verdict.SUCCEED, ""]],
    );
    bench.isBeforeKernel = true;
    bench.isKernel = false;
  });

  it("can be made later, and the update does not hold on to its frame until then", () => {
    const kept = bench.toViews([9])[0]!;
    bench.decisions.length = 0;
    kept.keep();
    UpdateView.end(kept);
    assert.deepEqual(bench.decisions, []);
    assert.deepEqual([kept.prefix, kept.route?.type, kept.oldRoute], ["10.0.0.0/8", "blackhole", undefined]);
    kept.fail("LATE", "b");
    assert.deepEqual(bench.decisions, [
      [9, 109, Verdict.FAIL, formatRefusal({ code: "LATE", message: "b", hint: "" })],
    ]);
  });

  it("waits for a promise where there is one", () => {
    const views = bench.toViews([9, 9]);
    bench.decisions.length = 0;
    views[0]!.fail("A", "b");
    UpdateView.keepAll(views);
    assert.equal(bench.decisions.length, 1);
    for (const view of views) UpdateView.settle(view, Verdict.PASS, "");
    assert.deepEqual(
      bench.decisions.map(([, , verdict]) => verdict),
      [Verdict.FAIL, Verdict.PASS],
    );
  });
});

describe("a copy that leaves its frame", () => {
  it("takes no more than itself and its attributes", () => {
    const bench = new Bench();
    for (let slot = 0; slot < 64; slot++)
      bench.fill(slot, ContextOp.ROUTE_UPDATE, FULL as unknown as UpdateJson, {
        prefix: "203.0.113.0/24",
        mtu: 1000 + slot,
        type: "blackhole",
      });
    const encoder = new CopiesEncoder(bench.contexts, bench.store.reader, 64);
    for (let slot = 0; slot < 64; slot++) encoder.add(slot, slot);
    const desk = { views: bench.views, isBeforeKernel: true, isKernel: false, decide: () => {} };
    const copies = new Copies(desk, encoder.finish(3).slice(FRAME_BODY).buffer as ArrayBuffer);
    const own = copies.extract(41);
    assert.ok(own.contexts.storage.byteLength <= COPIES_HEADER + 256 + 512);
    const [before, after] = [new UpdateView(copies, 41), new UpdateView(own, 1)];
    assert.deepEqual([after.prefix, after.oldRoute?.mtu], [before.prefix, 1040]);
    assert.deepEqual(after.route, before.route);
  });
});
