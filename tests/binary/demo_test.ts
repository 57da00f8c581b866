/** `make run`, on a part of the table: it ends by itself with the right status, and Ctrl-C leaves nothing behind. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { daemonSkipReason, RunningProgram, runProgram } from "../support/binary.ts";
import { until } from "../support/until.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url).href);
const DEMO = join(ROOT, "scripts/demo.ts");

const skip = daemonSkipReason();
const makeSkip = skip || (spawnSync("make", ["--version"]).status === 0 ? false : "no `make` command");

describe("the demo", () => {
  const folder = mkdtempSync(join(tmpdir(), "dplaned-demo-test-"));
  after(() => rmSync(folder, { recursive: true }));
  // What make passes down to a make inside of it must not reach ours.
  const noMake = { MAKEFLAGS: undefined, MAKELEVEL: undefined, MFLAGS: undefined, MAKEOVERRIDES: undefined };
  const environment = { ...noMake, TMPDIR: folder, DEMO_LIMIT: "2000" };
  const namespaces = () => spawnSync("ip", ["netns", "list"], { encoding: "utf8" }).stdout;
  const assertNothingLeft = (name: string) => {
    assert.ok(!namespaces().includes(name), name);
    assert.deepEqual(readdirSync(folder), []);
  };

  it("loads the table, compares it with the kernel and ends: make run ONCE=1", { skip: makeSkip }, async () => {
    const { status, stdout, stderr } = await runProgram("make", ["-C", ROOT, "run", "ONCE=1"], { environment });
    assert.equal(status, 0, stderr);
    assert.equal(stderr, "");
    for (const family of ["IPv4", "IPv6"]) {
      assert.match(
        stdout,
        new RegExp(`^${family}: 2,000 updates in [\\d.]+ s \\([\\d,]+/s\\): 2,000 programmed$`, "m"),
      );
      assert.match(
        stdout,
        new RegExp(`^${family}: the kernel holds 2,000 routes of ours, .*: exactly the table$`, "m"),
      );
    }
    assert.match(stdout, /^Memory of the daemon: \d+ MB now, \d+ MB at most$/m);
    assert.match(stdout, /RouteViews.*CC BY 4\.0/);
    assertNothingLeft(/namespace (dplaned-demo-\d+)/.exec(stdout)![1]!);
  });

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    it(`shows what to try, and leaves nothing behind after ${signal}`, { skip }, async () => {
      const demo = new RunningProgram(process.execPath, [DEMO], { environment });
      await until(() => demo.stdout.includes("Ctrl-C"));
      const [, dashboard] = /^Dashboard: (http:\S+)$/m.exec(demo.stdout)!;
      assert.equal((await fetch(dashboard!)).status, 200);
      // Each of the suggested client commands works as it stands there.
      const socket = /DPLANED_DAEMON_SOCKET=(\S+)/.exec(demo.stdout)![1]!;
      const commands = [...demo.stdout.matchAll(/^ {2}(.*\bdplaned (?:route|show) .*)$/gm)].map(([, line]) => line!);
      assert.ok(commands.length >= 4);
      for (const command of commands) {
        const ended = await runProgram("sh", ["-c", command], {
          cwd: process.cwd(),
          environment: { DPLANED_DAEMON_SOCKET: socket },
        });
        assert.equal(ended.status, 0, `${command}: ${ended.stderr}`);
        assert.notEqual(ended.stdout, "", command);
      }
      const name = `dplaned-demo-${demo.pid}`;
      assert.ok(namespaces().includes(name));
      demo.kill(signal);
      assert.equal((await demo.ended).status, 0);
      assert.equal(demo.stderr, "");
      assertNothingLeft(name);
    });
  }

  it("leaves nothing behind when it is interrupted while it loads", { skip }, async () => {
    const more = { ...environment, DEMO_LIMIT: "200000" };
    const demo = new RunningProgram(process.execPath, [DEMO, "--once"], { environment: more });
    await until(() => demo.stdout.includes("IPv4: loading"));
    demo.kill("SIGINT");
    assert.equal((await demo.ended).status, 130);
    assertNothingLeft(`dplaned-demo-${demo.pid}`);
  });

  it("says what is missing", { skip }, async () => {
    const run = (extra: Record<string, string>) =>
      runProgram(process.execPath, [DEMO, "--once"], { environment: { ...environment, ...extra } });
    const noIp = await run({ PATH: folder });
    assert.equal(noIp.status, 1);
    assert.match(noIp.stderr, /apt-get install iproute2/);
    const noBinary = await run({ DPLANED_BINARY: join(folder, "none") });
    assert.equal(noBinary.status, 1);
    assert.match(noBinary.stderr, /make build/);
    const wrongLimit = await run({ DEMO_LIMIT: "many" });
    assert.equal(wrongLimit.status, 1);
    assert.match(wrongLimit.stderr, /DEMO_LIMIT.*many/);
    assert.deepEqual(readdirSync(folder), []);
  });
});
