/** How reports of both runtimes are counted. The reports are as Bun 1.4 and Deno 2.9 write them, shortened. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { judgeFile, parseReport } from "../../scripts/junit.ts";

const ENDED_WELL = { exitCode: 0, signal: null, timedOutMs: null, leftProcesses: false };

const BUN = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="bun test" tests="4" failures="1" skipped="1"><testsuite name="t/a_test.ts" tests="4">
  <testsuite name="suite A" file="t/a_test.ts"><testsuite name="inner">
    <testcase name="deep &gt; &#x22;er&quot;" classname="inner &gt; suite A" />
  </testsuite>
  <testcase name="fails"><failure type="AssertionError" message="1 !== 2&#10;">AssertionError: 1 !== 2</failure></testcase>
  <testcase name="skipped"><skipped /></testcase></testsuite>
  <testcase name="top" classname="" />
</testsuite></testsuites>`;

const DENO = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="8" failures="3" errors="1">
  <testsuite name="./t/a_test.ts">
    <testcase name="suite A"><failure message="1 test step failed">1 test step failed.</failure></testcase>
    <testcase name="hook"><failure message="Uncaught Error: teardown">Error</failure></testcase>
    <testcase name="exits"><error message="Cancelled"/></testcase>
  </testsuite>
  <testsuite name="ext:deno_node/testing.ts">
    <testcase name="suite A &gt; passes" line="1"></testcase>
    <testcase name="suite A &gt; fails"><failure message="Uncaught AssertionError: a

b">text</failure></testcase>
    <testcase name="suite A &gt; skipped"><skipped/></testcase>
    <testcase name="hook &gt; inner"></testcase>
    <testcase name="hook &gt; inner &gt; one"></testcase>
  </testsuite>
</testsuites>`;

describe("parseReport", () => {
  it("counts each test of Bun once, with the names of its suites", () => {
    assert.deepEqual(
      parseReport("bun", BUN).map(({ name, outcome }) => `${outcome} ${name}`),
      ['passed suite A > inner > deep > "er"', "failed suite A > fails", "skipped suite A > skipped", "passed top"],
    );
  });

  it("counts a suite of Deno only where it failed by itself", () => {
    assert.deepEqual(
      parseReport("deno", DENO).map(({ name, outcome }) => `${outcome} ${name}`),
      [
        "failed hook",
        "failed exits",
        "passed suite A > passes",
        "failed suite A > fails",
        "skipped suite A > skipped",
        "passed hook > inner > one",
      ],
    );
  });

  it("refuses a report that was cut off", () => {
    assert.throws(() => parseReport("bun", BUN.slice(0, -20)), /not closed/);
    assert.throws(() => parseReport("bun", ""), /no <testsuites>/);
  });
});

describe("judgeFile", () => {
  const passed = [{ name: "a", outcome: "passed" as const, message: "" }];
  const failed = [{ name: "a", outcome: "failed" as const, message: "no" }];

  it("joins skips with their recorded reasons, and keeps those a report leaves out", () => {
    const report = [...passed, { name: "b", outcome: "skipped" as const, message: "" }];
    const recorded = [
      { name: "b", reason: "not root" },
      { name: "a whole suite", reason: "no frr" },
    ];
    assert.deepEqual(judgeFile(report, recorded, ENDED_WELL), { passed: 1, failures: [], skips: recorded });
  });

  const cases: [name: string, result: ReturnType<typeof judgeFile>, message: RegExp][] = [
    ["a file that does not load", judgeFile(null, [], { ...ENDED_WELL, exitCode: 1 }), /exit status 1/],
    ["a test that calls process.exit(0)", judgeFile(null, [], ENDED_WELL), /without a report/],
    ["a file without tests", judgeFile([], [], ENDED_WELL), /no test/],
    ["a hook that fails unseen", judgeFile(passed, [], { ...ENDED_WELL, exitCode: 1 }), /no test of its report failed/],
    ["a runner that dies", judgeFile(null, [], { ...ENDED_WELL, exitCode: null, signal: "SIGSEGV" }), /SIGSEGV/],
    ["a file that hangs", judgeFile(null, [], { ...ENDED_WELL, exitCode: null, timedOutMs: 5000 }), /after 5 s/],
    ["processes left behind", judgeFile(passed, [], { ...ENDED_WELL, leftProcesses: true }), /left processes/],
    ["a failing test, once", judgeFile(failed, [], { ...ENDED_WELL, exitCode: 1 }), /^no$/],
  ];
  for (const [name, result, message] of cases) {
    it(`fails ${name}`, () => {
      assert.equal(result.failures.length, 1);
      assert.match(result.failures[0]!.message, message);
    });
  }
});
