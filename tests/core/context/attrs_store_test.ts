import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { MPLS_LABELS_MAX, NEXTHOPS_MAX, SEG6_SEGMENTS_MAX, WEIGHT_MAX } from "../../../core/constants.ts";
import { ATTRS, ATTRS_ALIGN, AttrsReader, attrsLength, encodeAttrs, NO_ATTRS } from "../../../core/context/attrs.ts";
import { AttrsStore, createAttrsStorage } from "../../../core/context/attrs_store.ts";
import {
  createNexthop,
  createRouteUpdate,
  EncapType,
  Family,
  type Nexthop,
  type RouteUpdate,
  SEG6_MODE_NAMES,
} from "../../../core/model/route.ts";

/** What a record holds of an update, in a form that compares. */
function contentOf(update: RouteUpdate) {
  const { type, protocol, instance, distance, tag, mtu, prefsrcFamily, nexthopGroup } = update;
  const nexthops = update.nexthops.map((nexthop) => ({
    ...nexthop,
    via: nexthop.viaFamily === Family.NONE ? "" : nexthop.via.join("."),
    labels: nexthop.encap === EncapType.MPLS ? [...nexthop.labels] : [],
    seg6Mode: nexthop.encap === EncapType.SEG6 ? nexthop.seg6Mode : 0,
    segments: nexthop.encap === EncapType.SEG6 ? nexthop.segments.map((segment) => segment.join(".")) : [],
  }));
  const prefsrc = prefsrcFamily === Family.NONE ? "" : update.prefsrc.join(".");
  return { type, protocol, instance, distance, tag, mtu, prefsrcFamily, prefsrc, nexthopGroup, nexthops };
}

function readBack(store: AttrsStore, attrs: number) {
  const update = createRouteUpdate();
  store.reader.read(attrs, update);
  return contentOf(update);
}

const address = fc.uint8Array({ minLength: 16, maxLength: 16 });
const u32 = fc.integer({ min: 0, max: 0xffffffff });

const nexthop: fc.Arbitrary<Nexthop> = fc.record({
  viaFamily: fc.constantFrom(Family.NONE, Family.IPV4, Family.IPV6),
  via: address,
  ifindex: u32,
  weight: fc.integer({ min: 1, max: WEIGHT_MAX }),
  onlink: fc.boolean(),
  encap: fc.constantFrom(EncapType.NONE, EncapType.MPLS, EncapType.SEG6),
  labels: fc.array(fc.nat(0xfffff), { minLength: 1, maxLength: MPLS_LABELS_MAX }),
  seg6Mode: fc.nat(SEG6_MODE_NAMES.length - 1),
  segments: fc.array(address, { minLength: 1, maxLength: SEG6_SEGMENTS_MAX }),
});

const update: fc.Arbitrary<RouteUpdate> = fc
  .record({
    type: fc.constantFrom(1, 6, 7, 8, 9),
    protocol: fc.nat(255),
    instance: fc.nat(0xffff),
    distance: fc.nat(255),
    tag: u32,
    mtu: u32,
    prefsrcFamily: fc.constantFrom(Family.NONE, Family.IPV4, Family.IPV6),
    prefsrc: address,
    nexthopGroup: u32,
    nexthops: fc.array(nexthop, { maxLength: 6 }),
  })
  .map((fields) => ({ ...createRouteUpdate(), ...fields }) as RouteUpdate);

/** An update that differs from others by its tag, with a record of a length chosen by its nexthops. */
function tagged(tag: number, nexthops = 1): RouteUpdate {
  return { ...createRouteUpdate(), tag, nexthops: Array.from({ length: nexthops }, () => createNexthop()) };
}

describe("attrs record", () => {
  it("reads back as it was written, whatever was in its place and in the unused fields", () => {
    const store = new AttrsStore(createAttrsStorage(1 << 20));
    store.reader.u8.fill(0xee, 16);
    fc.assert(
      fc.property(update, (given) => {
        const attrs = store.intern(given);
        assert.deepEqual(readBack(store, attrs), contentOf(given));
        // What a family or encapsulation of NONE leaves unread does not tell two records apart.
        const noise: RouteUpdate = structuredClone(given);
        if (noise.prefsrcFamily === Family.NONE) noise.prefsrc.fill(7);
        for (const each of noise.nexthops) if (each.viaFamily === Family.NONE) each.via.fill(7);
        assert.equal(store.intern(noise), attrs);
        store.release(attrs);
        store.release(attrs);
      }),
      { seed: 20260711, numRuns: 300 },
    );
    assert.equal(store.count, 0);
  });

  it("holds as many nexthops as there may be, with the longest encapsulations", () => {
    const store = new AttrsStore(createAttrsStorage(1 << 20));
    const given = tagged(1, NEXTHOPS_MAX);
    given.nexthops.forEach((each, index) => {
      each.ifindex = index + 1;
      each.encap = index % 2 === 0 ? EncapType.SEG6 : EncapType.MPLS;
      each.labels = Array.from({ length: MPLS_LABELS_MAX }, (_, label) => index * 100 + label);
      each.segments = Array.from({ length: SEG6_SEGMENTS_MAX }, (_, at) => new Uint8Array(16).fill(index + at));
    });
    const attrs = store.intern(given);
    assert.notEqual(attrs, NO_ATTRS);
    assert.equal(store.reader.nexthopCount(attrs), NEXTHOPS_MAX);
    assert.deepEqual(readBack(store, attrs), contentOf(given));
    for (const each of given.nexthops) each.encap = EncapType.SEG6;
    const longest = store.intern(given);
    assert.deepEqual(readBack(store, longest), contentOf(given));
    given.nexthops.push(createNexthop());
    assert.throws(() => store.intern(given), /at most NEXTHOPS_MAX/);
  });
});

describe("attrs store", () => {
  it("behaves like a map from content to references, whatever is taken and given back", () => {
    const step = fc.record({ op: fc.constantFrom("intern", "intern", "acquire", "release"), which: fc.nat(40) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const store = new AttrsStore(createAttrsStorage(1 << 20));
        const model = new Map<number, { attrs: number; references: number }>();
        for (const { op, which } of steps) {
          const held = model.get(which);
          if (op === "intern") {
            const attrs = store.intern(tagged(which, which % 3));
            if (held === undefined) model.set(which, { attrs, references: 1 });
            else {
              assert.equal(attrs, held.attrs, "equal content has one record");
              held.references += 1;
            }
          } else if (held !== undefined && op === "acquire") {
            store.acquire(held.attrs);
            held.references += 1;
          } else if (held !== undefined) {
            store.release(held.attrs);
            held.references -= 1;
            if (held.references === 0) model.delete(which);
          }
          assert.equal(store.count, model.size);
        }
        assert.equal(new Set([...model.values()].map(({ attrs }) => attrs)).size, model.size);
        for (const [which, { attrs, references }] of model) {
          assert.equal(store.references(attrs), references);
          assert.equal(store.reader.tag(attrs), which);
          assert.equal(store.intern(tagged(which, which % 3)), attrs);
        }
      }),
      { seed: 20260711, numRuns: 200 },
    );
  });

  it("finds each of 50,000 records again, while half of them come and go", () => {
    const store = new AttrsStore(createAttrsStorage(16 << 20));
    const numbers = new Map<number, number>();
    for (let tag = 0; tag < 50_000; tag++) numbers.set(tag, store.intern(tagged(tag)));
    for (let tag = 0; tag < 50_000; tag += 2) store.release(numbers.get(tag)!);
    assert.equal(store.count, 25_000);
    for (let tag = 1; tag < 50_000; tag += 2) assert.equal(store.intern(tagged(tag)), numbers.get(tag));
    for (let tag = 0; tag < 50_000; tag += 2) numbers.set(tag, store.intern(tagged(tag)));
    assert.equal(new Set(numbers.values()).size, 50_000);
    for (const [tag, attrs] of numbers) assert.equal(store.reader.tag(attrs), tag);
  });

  it("tells by the epoch a record from another that had its place before", () => {
    const store = new AttrsStore(createAttrsStorage(1 << 16));
    const first = store.intern(tagged(1));
    const epoch = store.reader.epoch(first);
    store.intern(tagged(1));
    assert.equal(store.reader.epoch(first), epoch, "taking it again is no new record");
    store.release(first);
    store.release(first);
    const second = store.intern(tagged(2));
    assert.equal(second, first, "the place is taken again");
    assert.notEqual(store.reader.epoch(second), epoch);
    assert.notEqual(store.reader.epoch(second), 0);
  });

  it("refuses to give back what nobody holds", () => {
    const store = new AttrsStore(createAttrsStorage(1 << 16));
    const attrs = store.intern(tagged(1));
    store.release(attrs);
    assert.throws(() => store.release(attrs), /released no more often/);
  });

  it("says when the arena is full, still finds what it holds, and goes on when space is given back", () => {
    const store = new AttrsStore(createAttrsStorage(16 + attrsLength(tagged(0)) * 10));
    const held = Array.from({ length: 10 }, (_, tag) => store.intern(tagged(tag)));
    assert.ok(held.every((attrs) => attrs !== NO_ATTRS));
    assert.equal(store.intern(tagged(10)), NO_ATTRS);
    assert.equal(store.count, 10);
    assert.equal(store.intern(tagged(3)), held[3], "an equal record needs no space");
    store.release(held[7]!);
    assert.equal(store.intern(tagged(10)), held[7]);
    assert.equal(store.intern(tagged(11)), NO_ATTRS);
  });

  it("is not left unusable by records of another size that filled it once", () => {
    for (const [first, second] of [
      [100, 1],
      [1, 100],
    ] as const) {
      const store = new AttrsStore(createAttrsStorage(1 << 20));
      const fill = (nexthops: number): number[] => {
        const numbers: number[] = [];
        for (let tag = 0; ; tag++) {
          const attrs = store.intern(tagged(tag, nexthops));
          if (attrs === NO_ATTRS) return numbers;
          numbers.push(attrs);
        }
      };
      const filled = fill(first);
      // From the beginning, so that no end of the arena becomes free to take from.
      const keeper = filled.pop()!;
      for (const attrs of filled) store.release(attrs);
      const again = fill(second);
      const bytes = again.length * attrsLength(tagged(0, second));
      assert.ok(bytes > (1 << 20) * 0.9, `${again.length} records with ${second} nexthops, ${bytes} bytes`);
      assert.equal(store.count, again.length + 1);
      for (const [tag, attrs] of again.entries()) assert.equal(store.reader.tag(attrs), tag);
      for (const attrs of [...again, keeper]) store.release(attrs);
      assert.equal(store.count, 0);
    }
  });

  it("begins small and grows up to its bound, and readers that were there before see all of it", () => {
    const bytes = 5 << 19;
    const storage = createAttrsStorage(bytes);
    assert.ok(storage.byteLength < bytes);
    const store = new AttrsStore(storage);
    const reader = new AttrsReader(storage);
    const numbers: number[] = [];
    for (let tag = 0; ; tag++) {
      const attrs = store.intern(tagged(tag, 100));
      if (attrs === NO_ATTRS) break;
      numbers.push(attrs);
    }
    assert.equal(storage.byteLength, bytes);
    assert.equal(numbers.length, Math.floor((bytes - ATTRS_ALIGN) / attrsLength(tagged(0, 100))));
    for (const [tag, attrs] of numbers.entries()) {
      assert.equal(reader.tag(attrs), tag);
      assert.equal(reader.u8[reader.offset(attrs) + ATTRS.NEXTHOP_COUNT], 100);
    }
  });

  it("takes a record that another thread has encoded as it takes an update", () => {
    const store = new AttrsStore(createAttrsStorage(1 << 16));
    const bytes = new Uint8Array(1024).fill(0xcc);
    const length = encodeAttrs(new DataView(bytes.buffer), bytes, 64, tagged(5, 3));
    const attrs = store.internEncoded(bytes, 64, length);
    assert.equal(store.references(attrs), 1);
    assert.equal(store.intern(tagged(5, 3)), attrs);
    assert.deepEqual(readBack(store, attrs), contentOf(tagged(5, 3)));
  });

  it("tells whether a record is still the one that a number stood for", () => {
    const store = new AttrsStore(createAttrsStorage(1 << 16));
    const keeper = store.intern(tagged(1, 1));
    const attrs = store.intern(tagged(2, 3));
    const last = store.intern(tagged(3, 1));
    const epoch = store.reader.epoch(attrs);
    assert.deepEqual(
      [store.isHeld(attrs, epoch), store.isHeld(attrs, epoch + 1), store.isHeld(0, 0)],
      [true, false, false],
    );
    store.release(attrs);
    assert.equal(store.reader.epoch(attrs), epoch, "the bytes are still there");
    assert.equal(store.isHeld(attrs, epoch), false);
    const successor = store.intern(tagged(4, 3));
    assert.equal(successor, attrs);
    assert.deepEqual([store.isHeld(attrs, epoch), store.isHeld(attrs, store.reader.epoch(attrs))], [false, true]);
    const lastEpoch = store.reader.epoch(last);
    for (const each of [successor, last, keeper]) store.release(each);
    assert.equal(store.isHeld(last, lastEpoch), false, "beyond the end of what is used");
  });
});
