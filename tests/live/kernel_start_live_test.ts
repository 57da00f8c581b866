/** The kernel provider where it may not or cannot program: said once, in words that tell what to do. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { addTestLinks, KernelHarness, outcomeText, routesOf } from "../support/kernel_harness.ts";
import { createNetns, type Netns, skipReason } from "../support/netns.ts";

const skip = skipReason();
const skipSetpriv = skip || (spawnSync("setpriv", ["--version"]).status !== 0 && "no `setpriv` command (util-linux)");

const RUNTIME_ARGUMENTS = process.versions["deno"] === undefined ? [] : ["run", "-A", "--no-check"];
const SCRIPT = new URL("../support/kernel_apply_script.ts", import.meta.url).pathname;

describe("the kernel provider's start", () => {
  let ns: Netns;
  before(() => {
    if (skip) return;
    ns = createNetns();
    addTestLinks(ns);
  });
  after(() => ns?.delete());

  /** Runs the script in the namespace, with CAP_NET_ADMIN or without. */
  function apply(isAllowed: boolean, ...lines: string[]) {
    const drop = isAllowed ? [] : ["setpriv", "--inh-caps=-net_admin", "--bounding-set=-net_admin"];
    const [command, ...args] = [...drop, process.execPath, ...RUNTIME_ARGUMENTS, SCRIPT, ...lines];
    return JSON.parse(ns.exec(command!, args));
  }

  it("works in the namespace that the process is in", { skip }, () => {
    const { answers, providers } = apply(true, "route add 203.0.113.0/24 via 10.0.0.2");
    assert.deepEqual(answers, [{ result: "fib_programmed", hint: "" }]);
    assert.deepEqual(providers, [{ state: "up", reason: "" }]);
    assert.equal(routesOf(ns).length, 1);
    ns.ip("route", "del", "203.0.113.0/24");
  });

  it("without CAP_NET_ADMIN leaves each update with the kernel's refusal", { skip: skipSetpriv }, () => {
    const lines = Array.from({ length: 600 }, (_, n) => `route add 203.${n >> 8}.${n & 255}.0/24 via 10.0.0.2`);
    const { answers } = apply(false, ...lines, "route del 203.0.113.0/24", "route add 2001:db8:f::/48 via 2001:db8::2");
    assert.equal(answers.length, 602);
    for (const { result, hint } of answers) {
      assert.equal(result, "EPERM");
      assert.match(hint, /CAP_NET_ADMIN/);
    }
    assert.deepEqual(routesOf(ns), []);
  });

  for (const threaded of [false, true]) {
    const where = threaded ? ", in a thread of its own" : "";
    it(`in a namespace that is not there fails with the reason${where}`, { skip }, async () => {
      const harness = new KernelHarness({ netns: "dplaned-test-nowhere", threaded });
      await harness.dataplane.start();
      const [provider] = harness.dataplane.providers();
      assert.equal(provider!.state, "failed");
      assert.match(provider!.reason, /Cannot enter network namespace "dplaned-test-nowhere": ENOENT .*ip netns add/);
      const result = await harness.applyOne("route add 203.0.113.0/24 via 10.0.0.2");
      assert.equal(outcomeText(result), "NOT_PROGRAMMED no provider programmed it");
      await harness.close();
    });
  }
});
