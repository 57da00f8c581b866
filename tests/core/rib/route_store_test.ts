import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Prng } from "../../../core/prng.ts";
import { FAILURES_MAX, NO_ROUTE, OWNERS_MAX, RouteState, RouteStore } from "../../../core/rib/route_store.ts";

interface Key {
  address: Uint8Array;
  length: number;
  keyClass: number;
}

function nameOf({ address, length, keyClass }: Key): string {
  return `${address.join(".")}/${length}@${keyClass}`;
}

/** What a store says of a route, as one value. */
function describeRoute(store: RouteStore, route: number) {
  const address = new Uint8Array(16);
  store.address(route, address);
  return {
    name: nameOf({ address, length: store.prefixLength(route), keyClass: store.keyClass(route) }),
    desired: store.desired(route),
    programmed: store.programmed(route),
    state: store.state(route),
    owner: store.owner(route),
    failure: store.failure(route),
    since: store.since(route),
    inFlight: store.isInFlight(route),
  };
}

function insert(store: RouteStore, { address, length, keyClass }: Key): number {
  store.find(address, length, keyClass);
  return store.insertMissing();
}

for (const bytes of [4, 16] as const) {
  const randomKey = (prng: Prng): Key => {
    const address = new Uint8Array(16);
    // Few bits vary, in places far apart, so that there are near twins and runs in the index.
    for (let bit = 0; bit < 18; bit++) {
      const at = (bit * (bytes === 4 ? 7 : 29)) % (bytes * 8);
      if (prng.chance(0.5)) address[at >> 3]! |= 1 << (at & 7);
    }
    return { address, length: bytes * 8 - prng.below(2), keyClass: prng.below(2) * 0xffffff };
  };

  describe(`route store of ${bytes}-byte addresses`, () => {
    it("holds 200,000 routes and finds exactly those, while they come and go", () => {
      const store = new RouteStore(bytes);
      const prng = new Prng(7 + bytes);
      const model = new Map<string, number>();
      const keys = new Map<string, Key>();
      for (let step = 0; step < 600_000 && model.size < 200_000; step++) {
        const key = randomKey(prng);
        const name = nameOf(key);
        const route = store.find(key.address, key.length, key.keyClass);
        assert.equal(route, model.get(name) ?? NO_ROUTE);
        if (route === NO_ROUTE) {
          model.set(name, store.insertMissing());
          keys.set(name, key);
        } else if (prng.chance(0.3)) {
          store.remove(route);
          model.delete(name);
          keys.delete(name);
        }
      }
      assert.ok(model.size > 150_000, `${model.size} routes`);
      assert.equal(store.count, model.size);
      assert.equal(new Set(model.values()).size, model.size, "each route has a number of its own");
      let used = 0;
      for (let route = 1; route <= store.last; route++) if (store.isUsed(route)) used++;
      assert.equal(used, model.size);
      for (const [name, route] of model) {
        const key = keys.get(name)!;
        if (store.find(key.address, key.length, key.keyClass) !== route) assert.fail(`${name} is lost`);
        if (describeRoute(store, route).name !== name) assert.fail(`${name} is kept as another`);
      }
      for (const route of model.values()) store.remove(route);
      assert.equal(store.count, 0);
      for (const key of keys.values()) {
        if (store.find(key.address, key.length, key.keyClass) !== NO_ROUTE) assert.fail("a removed route is found");
      }
    });

    it("uses the numbers of removed routes again before it takes more memory", () => {
      const store = new RouteStore(bytes);
      const prng = new Prng(3);
      const routes = new Set<number>();
      const fill = () => {
        while (routes.size < 5000) {
          const key = randomKey(prng);
          if (store.find(key.address, key.length, key.keyClass) === NO_ROUTE) {
            routes.add(store.insertMissing());
          }
        }
      };
      fill();
      const last = store.last;
      for (const route of [...routes]) store.remove(route);
      routes.clear();
      fill();
      assert.equal(store.last, last);
    });

    it("keeps each field apart from every other", () => {
      const store = new RouteStore(bytes);
      const routes = [1, 2, 3].map((last) => {
        const address = new Uint8Array(16);
        address[bytes - 1] = last;
        return insert(store, { address, length: bytes * 8, keyClass: 1 });
      });
      const neighbours = () => [describeRoute(store, routes[0]!), describeRoute(store, routes[2]!)];
      const before = neighbours();
      const u32 = fc.integer({ min: 0, max: 0xffffffff });
      const values = fc.record({
        desired: u32,
        programmed: u32,
        state: fc.constantFrom(...Object.values(RouteState)),
        owner: fc.nat(OWNERS_MAX),
        failure: fc.nat(FAILURES_MAX),
        since: u32,
        inFlight: fc.boolean(),
        order: fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 5 }),
      });
      fc.assert(
        fc.property(values, ({ order, ...wanted }) => {
          const route = routes[1]!;
          const setters = [
            () => store.setDesired(route, wanted.desired),
            () => store.setProgrammed(route, wanted.programmed),
            () => store.setOwner(route, wanted.owner),
            () => store.setOutcome(route, wanted.state, wanted.failure, wanted.since),
            () => store.setInFlight(route, wanted.inFlight),
          ];
          for (const index of order) setters[index]!();
          const { name: _, ...found } = describeRoute(store, route);
          assert.deepEqual(found, wanted);
          assert.deepEqual(neighbours(), before);
        }),
        { seed: 20260711, numRuns: 200 },
      );
    });

    it("starts a route afresh in the place of one that was removed", () => {
      const store = new RouteStore(bytes);
      const address = new Uint8Array(16).fill(9, 0, bytes);
      const key = { address, length: bytes * 8, keyClass: 5 };
      const route = insert(store, key);
      store.setDesired(route, 1);
      store.setProgrammed(route, 2);
      store.setOwner(route, 3);
      store.setOutcome(route, RouteState.FAILED, 4, 5);
      store.setInFlight(route, true);
      assert.throws(() => insert(store, key), /inserted once/);
      store.remove(route);
      assert.equal(store.isUsed(route), false);
      assert.throws(() => store.remove(route), /in the index/);
      assert.equal(insert(store, key), route);
      const { name: _, ...found } = describeRoute(store, route);
      const fresh = { desired: 0, programmed: 0, owner: 0, failure: 0, since: 0, inFlight: false };
      assert.deepEqual(found, { ...fresh, state: RouteState.QUEUED });
    });
  });
}
