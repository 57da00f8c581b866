import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatAddress, maskHostBits } from "../../../core/model/prefix.ts";
import { Family } from "../../../core/model/route.ts";
import { Prng } from "../../../core/prng.ts";
import { coversAddress, lookUpRoute } from "../../../core/rib/lookup.ts";
import { NO_ROUTE } from "../../../core/rib/route_store.ts";
import { createHarness } from "../../support/api_harness.ts";

interface Known {
  prefix: Uint8Array;
  length: number;
  metric: number;
}

/** An address in a space so small that prefixes cover each other. */
function randomAddress(prng: Prng, bytes: number): Uint8Array {
  const address = new Uint8Array(16);
  for (let index = 0; index < bytes; index++) address[index] = prng.chance(0.7) ? 0 : prng.chance(0.5) ? 0x80 : 0x01;
  address[0] = 0x20;
  return address;
}

describe("coversAddress", () => {
  it("compares exactly the bits of the length", () => {
    const prefix = Uint8Array.of(0b1010_0000, 0b1100_0000);
    const other = Uint8Array.of(0b1010_0000, 0b1110_0000);
    assert.deepEqual(
      [0, 8, 10, 11, 16].map((length) => coversAddress(prefix, length, other)),
      [true, true, true, false, false],
    );
  });
});

describe("lookUpRoute", () => {
  for (const [name, family, bytes] of [
    ["IPv4", Family.IPV4, 4],
    ["IPv6", Family.IPV6, 16],
  ] as const) {
    it(`finds what looking at every route finds, ${name}`, async () => {
      const seed = 20261122;
      const prng = new Prng(seed);
      const harness = await createHarness();
      const known: Known[] = [];
      let body = "";
      for (let count = 0; count < 400; count++) {
        const length = Math.floor(bytes * 8 * [0, 0.25, 0.5, 0.6, 0.75, 0.9, 1][count % 7]!);
        const prefix = randomAddress(prng, bytes);
        maskHostBits(prefix, 0, length);
        const metric = 1 + (count % 3);
        known.push({ prefix, length, metric });
        const text = `${formatAddress(family, prefix, 0)}/${length}`;
        body += `${JSON.stringify({ prefix: text, metric, nexthops: [{ dev: "v0" }] })}\n`;
      }
      const { summary } = await harness.post(body, { query: "?ack=none" });
      assert.equal(summary.rejected + summary.fibFailed, 0);
      let found = 0;
      for (let count = 0; count < 500; count++) {
        const address = randomAddress(prng, bytes);
        const expected = known
          .filter(({ prefix, length }) => coversAddress(prefix, length, address))
          .sort((a, b) => b.length - a.length || a.metric - b.metric)[0];
        const route = lookUpRoute(harness.rib, family, address, 254);
        const store = harness.rib.store(family);
        const got =
          route === NO_ROUTE ? undefined : [store.prefixLength(route), harness.rib.keyClass(store, route).metric];
        assert.deepEqual(got, expected && [expected.length, expected.metric], `seed ${seed}, lookup ${count}`);
        found += got === undefined ? 0 : 1;
      }
      assert.ok(found > 100);
      await harness.close();
    });
  }
});
