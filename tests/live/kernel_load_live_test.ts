/**
 * Many updates at once in a real kernel: every one gets its own answer, whatever fails beside it, in which thread the
 * provider runs and whichever thread dies meanwhile; and afterwards the kernel holds what the answers said.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { ProviderPriority } from "../../core/dataplane/provider.ts";
import {
  addTestLinks,
  countRoutes,
  type HarnessOptions,
  KernelHarness,
  type LineResult,
  outcomeText,
  providerSpec,
} from "../support/kernel_harness.ts";
import { createNetns, type Netns, skipReason } from "../support/netns.ts";
import { until } from "../support/wait.ts";

const BAD = "ENETUNREACH Nexthop has invalid gateway";

const skip = skipReason();

/** A route by number: even numbers are IPv4, odd ones IPv6. */
function prefixOf(number: number): string {
  const high = number >> 8;
  const low = number & 255;
  if (number % 2 === 0) return `100.${64 + (high >> 8)}.${high & 255}.${low}`;
  return `2001:db8:${(0x1000 + (number >> 16)).toString(16)}:${(number & 0xffff).toString(16)}::/64`;
}

function gatewayOf(number: number, host: number): string {
  return number % 2 === 0 ? `10.0.0.${host}` : `2001:db8::${host.toString(16)}`;
}

/** What the kernel holds of ours: gateway by prefix. */
function gatewaysOf(ns: Netns): Map<string, string> {
  const held = new Map<string, string>();
  for (const family of ["-4", "-6"]) {
    for (const route of ns.ipJson(family, "route", "show", "proto", "210")) {
      const hops = (route.nexthops ?? [route]).map((hop: { gateway?: string; dev: string }) => hop.gateway ?? hop.dev);
      assert.ok(!held.has(route.dst), `${route.dst} is there once`);
      held.set(route.dst, hops.join(","));
    }
  }
  return held;
}

/** What the kernel should hold, by the answers alone. */
class Model {
  readonly held = new Map<string, string>();

  take(results: readonly LineResult[]): void {
    for (const { line, outcome } of results) {
      if (outcome !== "fib_programmed") continue;
      const [, verb, prefix, , gateway] = line.split(" ");
      if (verb === "del") this.held.delete(prefix!);
      else this.held.set(prefix!, gateway!);
    }
  }

  assertHeld(ns: Netns): void {
    const sorted = (map: Map<string, string>) => [...map].map((entry) => entry.join(" ")).sort();
    assert.deepEqual(sorted(gatewaysOf(ns)), sorted(this.held));
  }
}

function lines(verb: "add" | "replace" | "del", count: number, host = 2): string[] {
  return Array.from({ length: count }, (_, number) =>
    verb === "del"
      ? `route del ${prefixOf(number)}`
      : `route ${verb} ${prefixOf(number)} via ${gatewayOf(number, host)}`,
  );
}

function countOutcomes(results: readonly LineResult[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const result of results) counts[outcomeText(result)] = (counts[outcomeText(result)] ?? 0) + 1;
  return counts;
}

for (const threaded of [false, true]) {
  describe(`many updates, the provider ${threaded ? "in a thread of its own" : "on the dataplane thread"}`, () => {
    let ns: Netns;
    let harness: KernelHarness;

    before(async () => {
      if (skip) return;
      ns = createNetns();
      addTestLinks(ns);
      // One work limit above what a receive buffer holds of answers, to have batches split.
      harness = await KernelHarness.start(ns, { threaded, workLimit: 8192, queueLimit: 8192 });
    });
    after(async () => {
      await harness?.close();
      ns?.delete();
    });

    it("3000 good ones", { skip }, async () => {
      assert.deepEqual(countOutcomes(await harness.apply(lines("add", 3000))), { fib_programmed: 3000 });
      assert.equal(countRoutes(ns, "-4"), 1500);
      assert.equal(countRoutes(ns, "-6"), 1500);
      await harness.install(...lines("del", 3000));
      assert.equal(gatewaysOf(ns).size, 0);
    });

    it("6000 bad ones, more than the answers to which a small receive buffer holds", { skip }, async () => {
      const bad = Array.from({ length: 6000 }, (_, number) => `route add ${prefixOf(2 * number)} via 192.0.2.9 dev v0`);
      assert.deepEqual(countOutcomes(await harness.apply(bad)), { [BAD]: 6000 });
      assert.equal(gatewaysOf(ns).size, 0);
      const gone = await harness.apply(lines("del", 6000));
      // The IPv4 ones were asked for, and are gone as was wanted; of the others nobody has heard.
      assert.deepEqual(countOutcomes(gone), { fib_programmed: 3000, ESRCH: 3000 });
    });

    it("good and bad ones in turn, each with its own answer", { skip }, async () => {
      const kinds: readonly ((prefix: string) => [line: string, answer: string])[] = [
        (prefix) => [`route add ${prefix} via 10.0.0.2`, "fib_programmed"],
        (prefix) => [`route add ${prefix} via 192.0.2.9 dev v0`, BAD],
        (prefix) => [`route add ${prefix} via 10.0.0.2 src 192.0.2.1`, "EINVAL Invalid prefsrc address"],
        (prefix) => [`route del ${prefix} table 4711`, "ESRCH FIB table does not exist"],
        (prefix) => [`route add blackhole ${prefix}`, "fib_programmed"],
      ];
      const all = Array.from({ length: 5000 }, (_, number) => kinds[number % 5]!(prefixOf(2 * number)));
      // `blackhole` stands before the prefix.
      const text = all.map(([line]) => line.replace(/^route add blackhole/, "route add blackhole"));
      const results = await harness.apply(text);
      assert.deepEqual(
        results.map(outcomeText),
        all.map(([, answer]) => answer),
      );
      assert.equal(countRoutes(ns, "-4"), 2000);
      await harness.install(...text.filter((_, index) => index % 5 === 0 || index % 5 === 4).map(toDeletion));
      assert.equal(gatewaysOf(ns).size, 0);
    });

    it("100,000 installed, replaced and deleted", { skip }, async () => {
      const count = 100_000;
      for (const [verb, host, left] of [
        ["add", 2, count],
        ["replace", 3, count],
        ["del", 0, 0],
      ] as const) {
        const results = await harness.apply(lines(verb, count, host));
        assert.deepEqual(countOutcomes(results), { fib_programmed: count });
        assert.equal(countRoutes(ns, "-4") + countRoutes(ns, "-6"), left);
        if (verb === "replace") assert.equal(gatewaysOf(ns).get(prefixOf(4711 * 2)), "10.0.0.3");
      }
    });
  });
}

function toDeletion(line: string): string {
  return `route del ${line.split(" ").find((word) => word.startsWith("100."))}`;
}

/** Runs `work` with a namespace and a harness of its own. */
async function withHarness(
  options: HarnessOptions,
  work: (ns: Netns, harness: KernelHarness) => Promise<void>,
): Promise<void> {
  const ns = createNetns();
  try {
    addTestLinks(ns);
    const harness = await KernelHarness.start(ns, options);
    try {
      await work(ns, harness);
    } finally {
      await harness.close();
    }
  } finally {
    ns.delete();
  }
}

describe("updates that a later provider fails", () => {
  for (const threaded of [false, true]) {
    const where = threaded ? " by a kernel provider in a thread of its own" : "";
    it(`are taken back${where}, so that the kernel holds what the answers say`, { skip }, async () => {
      const failing = providerSpec("test", ProviderPriority.POST_KERNEL, { seed: 7, failRate: 0.3 });
      await withHarness({ threaded, others: [failing] }, async (ns, harness) => {
        const model = new Model();
        const steps = [lines("add", 1000, 2), lines("replace", 1000, 3), lines("del", 1000), lines("add", 1000, 4)];
        for (const step of steps) {
          const results = await harness.apply(step);
          const counts = countOutcomes(results);
          assert.ok(counts["fib_programmed"]! > 500 && Object.keys(counts).length === 2, JSON.stringify(counts));
          assert.ok(results.every(({ undoFailed }) => !undoFailed));
          model.take(results);
          model.assertHeld(ns);
        }
      });
    });
  }

  it("are not taken back where the kernel had refused them itself", { skip }, async () => {
    const failing = providerSpec("fails-what-succeeded", ProviderPriority.POST_KERNEL);
    await withHarness({ others: [failing] }, async (ns, harness) => {
      assert.equal(outcomeText(await harness.applyOne("route add 100.64.0.0 via 192.0.2.9 dev v0")), BAD);
      assert.equal(outcomeText(await harness.applyOne("route add 100.64.0.0 via 10.0.0.2")), "EIO too late");
      assert.equal(gatewaysOf(ns).size, 0);
    });
  });

  it("and that cannot be taken back are marked", { skip }, async () => {
    const failing = providerSpec("test", ProviderPriority.POST_KERNEL, { failRate: 1 });
    await withHarness({}, async (ns, harness) => {
      await harness.install("route add 100.64.0.0 via 10.0.0.2");
      harness.dataplane.register(failing);
      await until("the provider is there", () => harness.dataplane.providers().every(({ state }) => state === "up"));
      // The link that the old route needs goes, and so the old route cannot be put back.
      ns.ip("link", "set", "v0", "down");
      const result = await harness.applyOne("route add 100.64.0.0 via 10.0.1.2");
      assert.equal(result.outcome, "fib_failed");
      assert.ok(result.undoFailed);
      await until("it is said", () => harness.log.said("Provider could not undo an update"));
      assert.deepEqual([...gatewaysOf(ns)], [["100.64.0.0", "10.0.1.2"]]);
    });
  });
});

describe("a thread that ends in the middle of a load", () => {
  it("leaves one answer for each update, and a kernel that holds what they say", { skip }, async () => {
    await withHarness({}, async (ns, harness) => {
      // A route of another program in the way of one that is done again.
      ns.ip("route", "add", prefixOf(11_110), "via", "10.0.0.9", "metric", "20", "proto", "99");
      const model = new Model();
      for (const [verb, host] of [
        ["add", 2],
        ["replace", 3],
        ["del", 0],
      ] as const) {
        const before = harness.rib.results.fib_programmed;
        const done = harness.apply(lines(verb, 24_000, host));
        await until("part of the load is done", () => harness.rib.results.fib_programmed > before + 6000);
        await harness.threads
          .filter(({ role }) => role === "dataplane")
          .at(-1)!
          .handle.terminate();
        const results = await done;
        model.take(results);
        const taken = "EEXIST a route of protocol openr (99) has this prefix, table and metric";
        const expected = verb === "del" ? { fib_programmed: 24_000 } : { fib_programmed: 23_999, [taken]: 1 };
        assert.deepEqual(countOutcomes(results), expected);
        model.assertHeld(ns);
      }
      assert.equal(harness.dataplane.snapshot().restarts, 3);
      assert.equal(ns.ipJson("route", "show", "proto", "99")[0].gateway, "10.0.0.9");
    });
  });

  it("of its own leaves nothing that stands in the way of the same updates sent again", { skip }, async () => {
    await withHarness({ threaded: true }, async (ns, harness) => {
      const all = lines("add", 24_000);
      const done = harness.apply(all);
      await until("part of the load is done", () => harness.rib.results.fib_programmed > 6000);
      await harness.threads.find(({ role }) => role === "provider")!.handle.terminate();
      const failed = (await done).filter(({ outcome }) => outcome !== "fib_programmed");
      for (const { code } of failed) assert.match(code, /^(THREAD_DIED|NOT_PROGRAMMED)$/);
      await until("it is back", () => harness.dataplane.providers().every(({ state }) => state === "up"));
      // The kernel may hold some of those that were said to have failed.
      assert.ok(gatewaysOf(ns).size >= all.length - failed.length);
      await harness.install(...failed.map(({ line }) => line));
      assert.equal(gatewaysOf(ns).size, all.length);
      await harness.install(...lines("del", all.length));
      assert.equal(gatewaysOf(ns).size, 0);
    });
  });
});
