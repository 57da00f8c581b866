/** The harness that comes with a new provider says of a plugin what dplaned says of it: each case is tried with both. */
import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { parseRefusal } from "../../core/context/refusal.ts";
import { ProviderPriority } from "../../core/dataplane/provider.ts";
import type { Priority, Provider } from "../../core/plugin/dplaned.d.ts";
import { Harness as Trial, type TrialResult } from "../../core/plugin/skeleton/harness.ts";
import { Harness, type Recorded, specOf } from "../support/harness.ts";
import { PluginFolder, PluginSpec } from "../support/plugin_host.ts";
import { spawnRealThread } from "../support/spawn.ts";

const folder = new PluginFolder();
after(() => folder.remove());

/** Plugins, each with what tells its cases apart. Updates are 10.0.0.0/32 to 10.0.0.7/32. */
const CASES: [name: string, members: string, priority?: Priority][] = [
  ["says nothing", "update() {},"],
  ["passes and fails", "update(u) { u.address[3] % 2 ? u.fail('ODD', 'odd one', 'take an even one') : u.pass(); },"],
  ["fails without a hint", "process(us) { for (const u of us) u.fail('ALL', 'no'); },"],
  ["skips the kernel", "update(u) { if (u.prefix === '10.0.0.3/32') u.skipKernel(); },"],
  ["skips the kernel where it may not", "update(u) { if (u.address[3] === 3) u.skipKernel(); },", "post-kernel"],
  ["succeeds where it may not", "update(u) { if (u.address[3] === 3) u.succeed(); },"],
  ["decides twice", "update(u) { u.pass(); if (u.address[3] === 2) u.fail('A', 'b'); },"],
  ["decides twice, failing first", "update(u) { if (u.address[3] === 2) { u.fail('A', 'b'); u.pass(); } },"],
  ["throws in a batch", "process(us) { us[1].fail('A', 'b'); throw new Error('x'); },"],
  ["rejects", "async update(u) { await 1; if (u.address[3] === 5) throw new Error('x'); },"],
  [
    "decides in a promise",
    "async process(us) { await 1; for (const u of us) if (u.address[3] > 5) u.fail('A', 'b'); },",
  ],
  ["gives a code that is none", "update(u) { if (u.address[3] === 1) u.fail('not a code', 'x'); },"],
  ["gives no message", "update(u) { if (u.address[3] === 1) u.fail('A', ''); },"],
  ["counts what it has no metric for", "update(u, d) { if (u.address[3] === 4) d.count('nothing'); },"],
  [
    "reads everything",
    `update(u) {
     const r = u.route, h = r.nexthops[0];
     const seen = [u.op, u.family, u.prefixLength, u.source, u.table, u.metric, u.oldRoute, u.status, u.error, r.type,
       r.nexthopObject, r.mtu, r.tag, r.prefsrc, r.protocol, r.instance, h.via, h.weight, h.onlink, h.labels.length, h.seg6,
       u.skipsKernel, u.isBypassed, u.isReplayed, u.takesOver, typeof u.admittedAt, typeof u.sequence, u.owner, u.requestedBy];
     u.fail("SEEN", JSON.stringify(seen));
   },`,
  ],
];

const PRIORITIES = { "pre-kernel": ProviderPriority.PRE_KERNEL, "post-kernel": ProviderPriority.POST_KERNEL } as Record<
  Priority,
  ProviderPriority
>;

/** What a result of the daemon is in the words of the harness. */
function inTrialWords({ outcome, text, bypassed, provider }: Recorded): Omit<TrialResult, "prefix" | "error"> {
  if (bypassed.includes("plugin")) return { verdict: "undecided" };
  if (outcome === "skipped") return { verdict: "skipped" };
  if (outcome !== "fib_failed") return { verdict: "passed" };
  assert.equal(provider, "plugin");
  const { code, message, hint } = parseRefusal(text)!;
  return { verdict: "failed", code, message, ...(hint === "" ? {} : { hint }) };
}

describe("the harness of a new provider", () => {
  for (const [index, [name, members, priority = "pre-kernel"]] of CASES.entries()) {
    it(`agrees with dplaned: ${name}`, async () => {
      const path = folder.write(`case-${index}.ts`, members);
      const { default: provider } = (await import(pathToFileURL(path).href)) as { default: Provider };
      const trial = await Trial.start(provider, { priority });
      const updates = [...Array(8).keys()].map((number) => ({
        prefix: `10.0.0.${number}/32`,
        nexthops: [{ via: `192.0.0.${number}`, dev: "v0" }],
      }));
      const expected = (await trial.send(...updates)).map(({ prefix: _, error: __, ...result }) => result);

      const { spec } = new PluginSpec(path, { priority: PRIORITIES[priority] });
      const harness = new Harness({
        spawn: spawnRealThread,
        hasLongTexts: true,
        providers: [spec, specOf({ name: "kernel" })],
      });
      for (let number = 0; number < 8; number++) harness.install(number, number);
      await harness.start();
      harness.rib.flush();
      await harness.settled();
      await harness.stop();
      assert.deepEqual(
        harness.results.map((result) => inTrialWords(result!)),
        expected,
      );
    });
  }
});
