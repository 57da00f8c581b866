/** `make reliability` in smallest sizes: what it prints is what it writes, and comes from the programs that it runs. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { findSection } from "../../scripts/docs_sections.ts";
import {
  describeCanaries,
  describeFuzzing,
  describeSimulations,
  PARTS,
  splitSeeds,
} from "../../scripts/reliability_parts.ts";
import { FUZZ_TARGETS } from "../fuzz/table.ts";
import { CANARIES } from "../sim/canaries.ts";
import { FAULT_KINDS } from "../sim/faults.ts";
import { Totals } from "../sim/totals.ts";
import { daemonSkipReason, RunningProgram, runProgram } from "../support/binary.ts";
import { until } from "../support/wait.ts";

const script = fileURLToPath(new URL("../../scripts/reliability.ts", import.meta.url).href);
const docs = fileURLToPath(new URL("../../docs/reliability.md", import.meta.url).href);

describe("make reliability", () => {
  const out = mkdtempSync(join(tmpdir(), "dplaned-reliability-out-"));
  after(() => rmSync(out, { recursive: true }));

  it("runs every part, and writes its figures into its place", { skip: daemonSkipReason() }, async () => {
    const before = readFileSync(docs, "utf8");
    const sizes = ["--seeds", "6", "--minutes", "0.1", "--fuzz-minutes", "0.1"];
    const { status, stdout, stderr } = await runProgram(process.execPath, [script, ...sizes, "--out", out]);
    assert.equal(status, 0, stderr.slice(-4000) + stdout);
    assert.equal(readFileSync(docs, "utf8"), before);
    const text = readFileSync(join(out, "reliability.md"), "utf8");
    for (const { name } of PARTS) {
      const { body } = findSection(text, name, "make reliability");
      assert.ok(stdout.includes(body.trim()), name);
      const today = /on \d{4}-\d\d-\d\d, (?:commit [0-9a-f]{10}(?: with changes)?|version [\d.]+), \d+ × /;
      assert.match(body, new RegExp(`^\\s*\`make reliability ONLY=${name}.*\` ${today.source}`));
      assert.doesNotMatch(body, /Not measured|NaN|undefined|Infinity/);
    }
    const figure = (what: string): string | undefined =>
      new RegExp(`^\\| ${what} +\\| +(.*?) \\|`, "m").exec(stdout)?.[1];
    assert.deepEqual([figure("seeds run"), figure("seeds failed")], ["6", "0"]);
    for (const kind of FAULT_KINDS) assert.match(figure(`\`${kind}\``) ?? "", /^[\d,]+$/, kind);
    for (const name of Object.keys(CANARIES)) assert.match(figure(name) ?? "", /^[\d,]+$/, name);
    assert.match(figure("all") ?? "", /^[\d,]+ \| +[\d.]+ MB$|^[\d,]+$/);
    assert.match(figure(FUZZ_TARGETS[0]!.name) ?? "", /^[1-9]/);
    for (const what of ["results lost", "slots leaked"]) assert.equal(figure(what), "0");
    assert.match(figure("results for them") ?? "", /^[1-9][\d,]+$/);
  });

  it("leaves nothing behind when it is interrupted", { skip: daemonSkipReason() }, async () => {
    const program = new RunningProgram(process.execPath, [script, "soak", "--minutes", "0.1"]);
    await until("it is at work", () => / updates, /.test(program.stderr), 120_000);
    const soak = readFileSync(`/proc/${program.pid}/task/${program.pid}/children`, "utf8").trim();
    assert.match(soak, /^\d+$/);
    program.kill("SIGTERM");
    const { status, stdout, stderr } = await program.ended;
    assert.equal(status, 1);
    assert.match(stderr, /^reliability: interrupted$/m);
    assert.equal(stdout, "");
    const namespaces = spawnSync("ip", ["netns", "list"], { encoding: "utf8" }).stdout;
    assert.doesNotMatch(namespaces, new RegExp(`dplaned-test-${soak}-`));
  });

  it("refuses sizes and parts that there are not", async () => {
    for (const [args, message] of [
      [["--seeds", "0"], /--seeds is a number above 0, not "0"/],
      [["--seeds", "1.5"], /--seeds is a whole number/],
      [["luck"], /There is no part "luck"; there are simulation, canaries, fuzzing, soak/],
    ] as const) {
      const { status, stderr } = await runProgram(process.execPath, [script, ...args]);
      assert.equal(status, 1);
      assert.match(stderr, message);
    }
  });

  it("gives each process seeds of its own, all of them", () => {
    for (const [seeds, processes] of [
      [100, 3],
      [2, 8],
      [1, 1],
    ] as const) {
      const all = splitSeeds(seeds, processes).flatMap(({ from, count }) =>
        Array.from({ length: count }, (_, index) => from + index),
      );
      assert.deepEqual(
        all,
        Array.from({ length: seeds }, (_, index) => index + 1),
      );
    }
  });

  it("says what was found, and is then not fine", () => {
    const totals = new Totals();
    const result = { steps: 1, updates: 1, requests: 1, elapsedMs: 1, trace: [], hash: "" };
    totals.add({ ...result, seed: 1, violation: "", faults: new Map([["clockJump", 2]]) });
    assert.equal(describeSimulations(totals.figures).isFine, true);
    totals.add({ ...result, seed: 4711, violation: "a result is lost", faults: new Map([["clockJump", 3]]) });
    const { text, isFine } = describeSimulations(totals.figures);
    assert.equal(isFine, false);
    assert.match(text, /seeds failed +\| +1: 4711 \|/);
    assert.match(text, /`clockJump` +\| +5 \|/);
    assert.equal(describeCanaries({ one: 1, other: null }).isFine, false);
    assert.match(describeCanaries({ one: 1, other: null }).text, /^1 of 2 planted bugs .*\| other +\| +not found \|/s);
    assert.equal(describeFuzzing({ reports: [], found: "netlink has found something: make fuzz …" }).isFine, false);
  });
});
