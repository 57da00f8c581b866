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
    // Everyone who is here has done everything; who is not is named.
    const rows = (op: string) => {
      const table = stdout.slice(stdout.indexOf(`| ${op}, both families`)).split("\n\n", 1)[0]!;
      return table
        .split("\n")
        .slice(2)
        .map((row) => row.slice(2, row.indexOf("|", 2)).trim());
    };
    for (const name of [
      "dplaned, NDJSON over HTTP",
      "dplaned route load",
      "dplaned, FPM",
      "FRR zebra",
      "BIRD",
      "ip -batch",
      "plain C loop",
    ]) {
      const isLeftOut = stderr.includes(`${name} is left out: there is no `);
      for (const op of ["install", "replace", "withdraw"])
        assert.equal(rows(op).includes(name), !isLeftOut, `${op}: ${name}`);
    }
    assert.match(stdout, /^\| one route on an idle daemon, p99 +\| +[\d.]+ ms \|/m);
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
