import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NO_ATTRS } from "../../../core/context/attrs.ts";
import { AttrsStore, createAttrsStorage } from "../../../core/context/attrs_store.ts";
import { createRouteUpdate, type RouteUpdate } from "../../../core/model/route.ts";
import { parseUpdateLine } from "../../../core/northbound/update_line.ts";
import { FibCompare } from "../../../core/rib/fib_compare.ts";

const resolver = { deviceIndex: (name: string) => ({ v0: 2, v1: 3 })[name] ?? 0, vrfTable: () => 0 };

function parse(line: string, fields: Partial<RouteUpdate> = {}): RouteUpdate {
  const update = createRouteUpdate();
  assert.equal(parseUpdateLine(`route add ${line}`, update, resolver), null, line);
  return Object.assign(update, fields);
}

describe("FibCompare", () => {
  const store = new AttrsStore(createAttrsStorage(1 << 20));
  const compare = new FibCompare(store.reader);
  const isSame = (wanted: RouteUpdate, held: RouteUpdate): boolean =>
    compare.isSame(store.intern(wanted), store.intern(held));

  const cases: [name: string, wanted: RouteUpdate, held: RouteUpdate, same: boolean][] = [
    [
      "what the kernel is never told",
      parse("10.0.0.0/8 via 10.0.0.2 dev v0", { distance: 7, tag: 9, protocol: 186, instance: 2 }),
      parse("10.0.0.0/8 via 10.0.0.2 dev v0"),
      true,
    ],
    [
      "an interface that the kernel found by itself",
      parse("10.0.0.0/8 via 10.0.0.2"),
      parse("10.0.0.0/8 via 10.0.0.2 dev v1"),
      true,
    ],
    ["another interface", parse("10.0.0.0/8 via 10.0.0.2 dev v0"), parse("10.0.0.0/8 via 10.0.0.2 dev v1"), false],
    ["another gateway", parse("10.0.0.0/8 via 10.0.0.2 dev v0"), parse("10.0.0.0/8 via 10.0.0.3 dev v0"), false],
    [
      "nexthops in another order",
      parse("2001:db8::/32 nexthop via fe80::1 dev v0 weight 2 nexthop via fe80::2 dev v0 nexthop via fe80::3 dev v1"),
      parse("2001:db8::/32 nexthop via fe80::3 dev v1 nexthop via fe80::1 dev v0 weight 2 nexthop via fe80::2 dev v0"),
      true,
    ],
    [
      "a nexthop twice is not two",
      parse("10.0.0.0/8 nexthop via 10.0.0.2 dev v0 nexthop via 10.0.0.3 dev v0"),
      Object.assign(parse("10.0.0.0/8 via 10.0.0.2 dev v0"), {
        nexthops: [1, 2].map(() => parse("10.0.0.0/8 via 10.0.0.2 dev v0").nexthops[0]!),
      }),
      false,
    ],
    [
      "a nexthop less",
      parse("10.0.0.0/8 nexthop via 10.0.0.2 dev v0 nexthop via 10.0.0.3 dev v0"),
      parse("10.0.0.0/8 via 10.0.0.2 dev v0"),
      false,
    ],
    [
      "other weights",
      parse("10.0.0.0/8 nexthop via 10.0.0.2 dev v0 weight 3 nexthop via 10.0.0.3 dev v0"),
      parse("10.0.0.0/8 nexthop via 10.0.0.2 dev v0 nexthop via 10.0.0.3 dev v0"),
      false,
    ],
    ["another type", parse("blackhole 10.0.0.0/8"), parse("prohibit 10.0.0.0/8"), false],
    ["another mtu", parse("10.0.0.0/8 dev v0 mtu 1400"), parse("10.0.0.0/8 dev v0"), false],
    ["onlink", parse("10.0.0.0/8 via 10.9.9.9 dev v0 onlink"), parse("10.0.0.0/8 via 10.9.9.9 dev v0"), false],
    ["another source", parse("10.0.0.0/8 dev v0 src 10.0.0.1"), parse("10.0.0.0/8 dev v0 src 10.0.0.2"), false],
    ["no source", parse("10.0.0.0/8 dev v0 src 10.0.0.1"), parse("10.0.0.0/8 dev v0"), false],
    [
      "another segment",
      parse("2001:db8::/32 encap seg6 mode encap segs 2001:db8::1,2001:db8::2 dev v0"),
      parse("2001:db8::/32 encap seg6 mode encap segs 2001:db8::1,2001:db8::3 dev v0"),
      false,
    ],
    [
      "another nexthop object",
      parse("blackhole 10.0.0.0/8", { type: 1, nexthopGroup: 250_000_001 }),
      parse("blackhole 10.0.0.0/8", { type: 1, nexthopGroup: 250_000_002 }),
      false,
    ],
  ];
  for (const [name, wanted, held, same] of cases) {
    it(`${same ? "overlooks" : "sees"} ${name}`, () => {
      assert.equal(isSame(wanted, held), same);
      assert.equal(isSame(wanted, held), same, "as remembered");
    });
  }

  it("ignores the weight of a single nexthop, which the kernel does not keep", () => {
    const weighted = parse("10.0.0.0/8 via 10.0.0.2 dev v0");
    weighted.nexthops[0]!.weight = 9;
    assert.equal(isSame(weighted, parse("10.0.0.0/8 via 10.0.0.2 dev v0")), true);
  });

  it("takes nothing for the same as something", () => {
    const attrs = store.intern(parse("10.0.0.0/8 dev v0"));
    assert.deepEqual(
      [compare.isSame(attrs, NO_ATTRS), compare.isSame(NO_ATTRS, attrs), compare.isSame(NO_ATTRS, NO_ATTRS)],
      [false, false, true],
    );
  });

  it("forgets a verdict about records whose place others have taken", () => {
    const wanted = store.intern(parse("10.0.0.0/8 via 10.7.7.1"));
    const held = store.intern(parse("10.0.0.0/8 via 10.7.7.1 dev v1"));
    assert.equal(compare.isSame(wanted, held), true);
    store.release(held);
    const other = store.intern(parse("10.0.0.0/8 via 10.7.7.2 dev v1"));
    assert.equal(other, held, "the same place");
    assert.equal(compare.isSame(wanted, other), false);
  });
});
