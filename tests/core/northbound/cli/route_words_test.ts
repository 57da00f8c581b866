/** iproute2's words behind `dplaned route`. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { toListQuery, toLookupQuery, toUpdateLine, UsageError } from "../../../../core/northbound/cli/route_words.ts";

const words = (text: string) => text.split(" ").filter((word) => word !== "");
const install = (text: string, owner?: string) => toUpdateLine("install", words(text), owner);
const list = (text: string, family = { ipv4: false, ipv6: false }) => toListQuery(words(text), family);

function assertUsage(action: () => unknown, expected: RegExp): void {
  assert.throws(action, (error) => error instanceof UsageError && expected.test(error.message));
}

describe("toUpdateLine", () => {
  it("makes the line of ip -batch that the words are", () => {
    assert.deepEqual(install("203.0.113.0/24 nexthop via 10.0.0.2 dev v0 weight 3 nexthop via 10.0.0.3"), {
      line: "route replace 203.0.113.0/24 nexthop via 10.0.0.2 dev v0 weight 3 nexthop via 10.0.0.3",
      owner: undefined,
    });
    assert.deepEqual(toUpdateLine("delete", words("203.0.113.0/24 table 100 metric 5"), undefined), {
      line: "route del 203.0.113.0/24 table 100 metric 5",
      owner: undefined,
    });
  });

  it("takes the owner out, wherever it stands", () => {
    assert.deepEqual(install("blackhole 203.0.113.0/24 owner bgp metric 5"), {
      line: "route replace blackhole 203.0.113.0/24 metric 5",
      owner: "bgp",
    });
    assert.equal(install("blackhole 203.0.113.0/24", "bgp").owner, "bgp");
    assert.equal(install("blackhole 203.0.113.0/24 owner bgp", "bgp").owner, "bgp");
    assertUsage(() => install("blackhole 203.0.113.0/24 owner a", "b"), /Two owners/);
    assertUsage(() => install("blackhole 203.0.113.0/24 owner"), /Missing a value behind "owner"/);
  });

  it("leaves an interface of the name owner alone", () => {
    assert.deepEqual(install("203.0.113.0/24 dev owner owner bgp"), {
      line: "route replace 203.0.113.0/24 dev owner",
      owner: "bgp",
    });
  });

  it("finds mistyped words before the daemon is asked", () => {
    assertUsage(() => install("203.0.113.0/24 vai 10.0.0.2"), /vai.*via/);
    assertUsage(() => install("203.0.113.0/33 via 10.0.0.2"), /prefix|length/i);
    assertUsage(() => install(""), /Missing the prefix/);
  });

  it("lets through what only the daemon can know", () => {
    install("203.0.113.0/24 nexthop dev a nexthop dev b");
    install("203.0.113.0/24 dev no-such-dev table blue");
    install("203.0.113.0/24 via 10.0.0.2 vrf no-such-vrf");
  });

  it("lets no word start another line or a comment", () => {
    for (const word of ["a\nroute", "#x", '"a', "a b", "'", "\\", ""]) {
      assertUsage(() => toUpdateLine("install", ["203.0.113.0/24", "dev", word], undefined), /Not a word/);
    }
  });
});

describe("toListQuery", () => {
  it("reads iproute2's selectors", () => {
    assert.deepEqual(list(""), {});
    assert.deepEqual(list("203.0.113.0/24"), { prefix: "203.0.113.0/24" });
    assert.deepEqual(list("to exact 203.0.113.0/24"), { prefix: "203.0.113.0/24" });
    assert.deepEqual(list("root 10.0.0.0/8 table main"), { prefix: "10.0.0.0/8", longer: "true", table: "254" });
    assert.deepEqual(list("2001:db8::/32 vrf blue"), { prefix: "2001:db8::/32", table: "blue" });
    assert.deepEqual(list("default table all"), { prefix: "default" });
    assert.deepEqual(list("owner bgp status fib_failed limit 10"), { owner: "bgp", status: "fib_failed", limit: "10" });
  });

  it("reads the family", () => {
    assert.deepEqual(list("", { ipv4: true, ipv6: false }), { family: "ipv4" });
    assert.deepEqual(list("", { ipv4: false, ipv6: true }), { family: "ipv6" });
    assertUsage(() => list("", { ipv4: true, ipv6: true }), /exclude/);
  });

  it("refuses what it does not know or has twice", () => {
    assertUsage(() => list("rot 10.0.0.0/8"), /"rot"; did you mean "root"/);
    assertUsage(() => list("nonsense"), /Unknown word "nonsense"; expected/);
    assertUsage(() => list("owner"), /Missing a value behind "owner"/);
    assertUsage(() => list("status broken"), /Unknown status "broken"; expected one of fib_programmed/);
    assertUsage(() => list("limit 0"), /Not a number of routes/);
    assertUsage(() => list("10.0.0.0/8 11.0.0.0/8"), /given twice/);
    assertUsage(() => list("table 1 vrf blue"), /given twice/);
  });
});

describe("toLookupQuery", () => {
  it("reads an address and where to look", () => {
    assert.deepEqual(toLookupQuery(words("203.0.113.9")), { address: "203.0.113.9" });
    assert.deepEqual(toLookupQuery(words("to ::1 table local")), { address: "::1", table: "255" });
    assert.deepEqual(toLookupQuery(words("vrf blue ::1")), { address: "::1", table: "blue" });
    assertUsage(() => toLookupQuery(words("table 5")), /Missing the address/);
    assertUsage(() => toLookupQuery(words("::1 tabel 5")), /did you mean "table"/);
  });
});
