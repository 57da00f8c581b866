import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { NO_ATTRS } from "../../../core/context/attrs.ts";
import { AttrsStore, createAttrsStorage } from "../../../core/context/attrs_store.ts";
import { Family } from "../../../core/model/route.ts";
import { type Claim, Claims, putClaim, selectClaim } from "../../../core/rib/claims.ts";
import { NOBODY, type Owner, Owners } from "../../../core/rib/owners.ts";
import { RouteState, RouteStore } from "../../../core/rib/route_store.ts";
import { numberedUpdate } from "../../support/updates.ts";

let attrs: AttrsStore;
let owners: Owners;
let claims: Claims;
let store: RouteStore;
let route: number;
let a: Owner;
let b: Owner;
let c: Owner;
beforeEach(() => {
  attrs = new AttrsStore(createAttrsStorage(1 << 20));
  owners = new Owners();
  claims = new Claims(attrs, owners);
  store = new RouteStore(4);
  [a, b, c] = ["a", "b", "c"].map((name) => owners.intern(name)!) as [Owner, Owner, Owner];
  const { prefix, prefixLength } = numberedUpdate(1);
  store.find(prefix, prefixLength, 0);
  route = store.insertMissing();
});

/** Attributes with this distance; the caller has no reference of its own to them. */
function withDistance(distance: number, use: (attrs: number) => void): void {
  const interned = attrs.intern({ ...numberedUpdate(1), distance });
  use(interned);
  attrs.release(interned);
}

function want(owner: { id: number }, distance: number): void {
  withDistance(distance, (interned) => claims.set(Family.IPV4, store, route, owner.id, interned));
}

function withdraw(owner: { id: number }): void {
  claims.set(Family.IPV4, store, route, owner.id, NO_ATTRS);
}

const selected = (): string => owners.nameOf(store.owner(route));
const counts = (): number[][] => [a, b, c].map(({ routes, selected }) => [routes, selected]);

describe("Claims", () => {
  it("selects the lowest distance, then who came first, and keeps counts", () => {
    want(a, 20);
    want(b, 20);
    assert.equal(selected(), "a");
    want(c, 10);
    assert.equal(selected(), "c");
    assert.deepEqual(counts(), [
      [1, 0],
      [1, 0],
      [1, 1],
    ]);
    want(c, 30);
    assert.equal(selected(), "a");
    withdraw(a);
    assert.equal(selected(), "b");
    assert.deepEqual(
      claims.list(Family.IPV4, store, route).map(({ owner }) => owners.nameOf(owner)),
      ["b", "c"],
    );
    withdraw(b);
    assert.deepEqual([selected(), claims.isContested(Family.IPV4, route)], ["c", false]);
    withdraw(c);
    assert.deepEqual(counts(), [
      [0, 0],
      [0, 0],
      [0, 0],
    ]);
    assert.equal(attrs.count, 0);
  });

  it("has a claim that the kernel has refused behind all others, until the kernel takes it", () => {
    want(a, 10);
    want(b, 20);
    assert.equal(claims.fail(Family.IPV4, store, route, a.id, 1), true);
    assert.deepEqual([selected(), claims.failureOf(Family.IPV4, route, a.id)], ["b", 1]);
    assert.equal(claims.fail(Family.IPV4, store, route, b.id, 2), true);
    assert.equal(selected(), "a", "the best of those that were all refused");
    assert.equal(claims.succeed(Family.IPV4, store, route, a.id), false);
    assert.deepEqual([selected(), claims.failureOf(Family.IPV4, route, a.id)], ["a", 0]);
    claims.fail(Family.IPV4, store, route, a.id, 1);
    claims.forgive(Family.IPV4, store, route);
    assert.equal(selected(), "a");
  });

  it("remembers of the only claim that it was refused, but not of one that is being written", () => {
    for (const [isInFlight, expected] of [
      [false, "b"],
      [true, "a"],
    ] as const) {
      want(a, 10);
      store.setOutcome(route, RouteState.FAILED, 7, 0);
      store.setInFlight(route, isInFlight);
      want(b, 20);
      assert.equal(selected(), expected);
      withdraw(a);
      withdraw(b);
    }
    assert.equal(attrs.count, 0);
  });

  it("lets what is nobody's give way to any owner, and counts it apart", () => {
    want({ id: NOBODY }, 0);
    assert.equal(owners.nobody.selected, 1);
    want(a, 255);
    assert.deepEqual([selected(), owners.nobody.selected, a.selected], ["a", 0, 1]);
    withdraw(a);
    assert.equal(attrs.count, 0);
  });
});

describe("putClaim and selectClaim", () => {
  it("do the same to a list of claims as to those of a route", () => {
    const list: Claim[] = [];
    const distances = [20, 10, 30];
    const interned = distances.map((distance) => attrs.intern({ ...numberedUpdate(1), distance }));
    for (const [index, each] of interned.entries()) putClaim(list, index + 1, each);
    assert.equal(selectClaim(attrs.reader, list)?.owner, 2);
    putClaim(list, 2, NO_ATTRS);
    assert.equal(selectClaim(attrs.reader, list)?.owner, 1);
    list[0]!.failure = 1;
    assert.equal(selectClaim(attrs.reader, list)?.owner, 3);
    putClaim(list, 1, interned[0]!);
    assert.deepEqual(selectClaim(attrs.reader, list), { owner: 1, attrs: interned[0], order: 1, failure: 0 });
    putClaim(list, 9, NO_ATTRS);
    assert.equal(list.length, 2);
    const found: Claim[] = [{ owner: NOBODY, attrs: interned[0]!, order: 1, failure: 0 }];
    putClaim(found, 1, NO_ATTRS);
    assert.equal(selectClaim(attrs.reader, found), undefined);
  });
});
