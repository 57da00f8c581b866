/** The benchmarks in smoke size, so that they do not rot. Nothing here asserts a time. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { daemonSkipReason, RunningProgram, runProgram } from "../support/binary.ts";
import { parseSvg } from "../support/svg.ts";
import { until } from "../support/wait.ts";
import { DOCUMENTS } from "./documents.ts";

const bench = fileURLToPath(new URL("bench.ts", import.meta.url).href);

describe("make bench", () => {
  const out = mkdtempSync(join(tmpdir(), "dplaned-bench-out-"));
  after(() => rmSync(out, { recursive: true }));

  it("measures everything once, in small", { skip: daemonSkipReason() }, async () => {
    const { status, stdout, stderr } = await runProgram(process.execPath, [bench, "--smoke", "--out", out]);
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
      const isLeftOut = new RegExp(`${name} is left out: (?:there is no|FRR .* another ZAPI)`).test(stderr);
      for (const op of ["install", "replace", "withdraw"])
        assert.equal(rows(op).includes(name), !isLeftOut, `${op}: ${name}`);
    }
    assert.match(stdout, /^\| latency +\| one route on an idle daemon, p99 +\| +[\d.]+ ms \|/m);
    for (const row of [
      /^\| held +\| the same: routes written +\| +10 \| +≤ 10 \| PASS \|$/m,
      /^\| held +\| sync with nothing changed .*\n\| held +\| the same: kernel writes +\| +0 \|/m,
      /^\| held +\| restart after SIGKILL.*\n\| held +\| the same: kernel writes +\| +0 \|/m,
      /^\| held +\| group change under 1,000 IPv4 routes, compat mode 0 +\| +[\d.]+ ms \|/m,
      /^\| held +\| resident memory a route above the idle daemon +\| /m,
    ])
      assert.match(stdout, row);
    assert.doesNotMatch(stdout, /NaN|undefined|Infinity/);
    assert.match(stdout, /RouteViews.*CC BY 4\.0/);

    // The documents have all of it, and plots that are there.
    const texts = DOCUMENTS.map((name) => readFileSync(join(out, name), "utf8")).join("");
    for (const row of stdout.split("\n").filter((line) => line.startsWith("| "))) assert.ok(texts.includes(row), row);
    const plots = Array.from(texts.matchAll(/!\[(.*)\]\((.*\.svg)\)/g), ([, title, file]) => ({ title, file: file! }));
    assert.equal(plots.length, 4);
    for (const { title, file } of plots) {
      const shown = parseSvg(readFileSync(join(out, file), "utf8"));
      assert.equal(shown.get("title")![0], title);
      assert.ok((shown.get("rect") ?? []).length + (shown.get("circle") ?? []).length > 1, file);
      assert.doesNotMatch(shown.get("text")!.join(), /NaN|undefined|Infinity/);
    }
  });

  it("leaves nothing behind when it is interrupted", { skip: daemonSkipReason() }, async () => {
    const program = new RunningProgram(process.execPath, [bench, "--smoke", "load"]);
    const namespace = `dplaned-test-${program.pid}-`;
    const isAtWork = () => commandsWith(namespace).some((command) => command.includes("--netns"));
    await until("a daemon works for it", isAtWork, 120_000);
    program.kill("SIGTERM");
    const { status, stderr } = await program.ended;
    assert.equal(status, 1);
    assert.match(stderr, /^bench: interrupted$/m);
    assert.doesNotMatch(spawnSync("ip", ["netns", "list"], { encoding: "utf8" }).stdout, new RegExp(namespace));
    assert.deepEqual(commandsWith(namespace), []);
  });

  it("says what it does not know, and does not write numbers of a part of the table", {
    skip: daemonSkipReason(),
  }, async () => {
    for (const [args, message] of [
      [["nothing"], /There is no section "nothing"; there are load, /],
      [["--runs", "0"], /--runs is a number from 1 on, not "0"/],
      [["--smoke", "--write"], /--write goes without --smoke, --limit and --contenders/],
    ] as const) {
      const { status, stderr } = await runProgram(process.execPath, [bench, ...args]);
      assert.equal(status, 1);
      assert.match(stderr, message);
    }
  });
});

/** Command lines of processes in which this occurs. */
function commandsWith(text: string): string[] {
  return readdirSync("/proc").flatMap((pid) => {
    try {
      const command = /^\d+$/.test(pid) ? readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ") : "";
      return command.includes(text) ? [command] : [];
    } catch {
      return [];
    }
  });
}
