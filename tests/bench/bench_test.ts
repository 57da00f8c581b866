/** The benchmarks in smoke size, so that they do not rot. Nothing here asserts a time. */
import assert from "node:assert/strict";
import process from "node:process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { daemonSkipReason, runProgram } from "../support/binary.ts";

describe("make bench", () => {
  it("measures everything once, in small", { skip: daemonSkipReason() }, async () => {
    const bench = fileURLToPath(new URL("bench.ts", import.meta.url).href);
    const { status, stdout, stderr } = await runProgram(process.execPath, [bench, "--smoke"]);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^\| 2,000 routes +\|/m);
    const load = /^\| load: dplaned +\| +[\d.]+ \| .* \| +[\d,]+ \|$/m;
    const withdraw = /^\| withdraw: ip -batch +\| +[\d.]+ \|/m;
    for (const row of [load, withdraw, /^\| one route on an idle daemon, p99 +\| +[\d.]+ ms \|/m])
      assert.match(stdout, row);
    for (const row of [
      /^\| the same: routes written +\| +10 \| +≤ 10 \| PASS \|$/m,
      /^\| sync with nothing changed .*\n\| the same: kernel writes +\| +0 \|/m,
      /^\| restart after SIGKILL.*\n\| the same: kernel writes +\| +0 \|/m,
      /^\| group change under 1,000 IPv4 routes, compat mode 0 +\| +[\d.]+ ms \|/m,
      /^\| resident memory a route above the idle daemon +\| /m,
    ])
      assert.match(stdout, row);
    assert.doesNotMatch(stdout, /NaN|undefined|Infinity/);
    assert.match(stdout, /RouteViews.*CC BY 4\.0/);
  });
});
