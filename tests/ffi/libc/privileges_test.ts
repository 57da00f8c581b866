/**
 * What a thread and its processes may do afterwards: in a thread and a process of their own, because there is no way back. What
 * the daemon makes of it is in tests/binary/privileges_test.ts.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import process from "node:process";
import { describe, it } from "node:test";
import { URL } from "node:url";
import { Worker } from "node:worker_threads";
import { ERRNO } from "../../../ffi/libc/errno.ts";
import { restartConfined } from "../../../ffi/libc/privileges.ts";
import type { Libc } from "../../../ffi/libc/symbols.ts";
import { until } from "../../support/wait.ts";

const href = (path: string): string => JSON.stringify(new URL(`../../../${path}`, import.meta.url).href);

/** The start of a script with `libc` in it. */
const HEAD = `
  import { readFileSync } from "node:fs";
  import { spawnSync } from "node:child_process";
  import { parentPort } from "node:worker_threads";
  import { dieWithParent, dropCapabilities } from ${href("ffi/libc/privileges.ts")};
  import { selectRuntime } from ${href("ffi/runtime/select.ts")};
  const libc = (await selectRuntime()).openLibc();
`;

function startWorker(script: string): Worker {
  return new Worker(new URL(`data:text/javascript,${encodeURIComponent(HEAD + script)}`));
}

const field = (status: string, name: string): string => new RegExp(`^${name}:\\s*(\\S+)$`, "m").exec(status)?.[1] ?? "";

describe("dropCapabilities", () => {
  it("takes them from its thread and from what that starts, also from root, and from no other thread", async () => {
    const worker = startWorker(`
      dropCapabilities(libc);
      const own = readFileSync("/proc/thread-self/status", "latin1");
      const child = spawnSync("cat", ["/proc/self/status"], { encoding: "latin1" }).stdout;
      parentPort.postMessage({ own, child });
    `);
    const { own, child } = await new Promise<{ own: string; child: string }>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
    });
    await worker.terminate();
    for (const status of [own, child]) {
      for (const set of ["CapEff", "CapPrm", "CapInh", "CapAmb"]) assert.match(field(status, set), /^0+$/, set);
      assert.equal(field(status, "NoNewPrivs"), "1");
    }
    const here = readFileSync("/proc/thread-self/status", "latin1");
    assert.equal(field(here, "NoNewPrivs"), "0");
    if (process.getuid?.() === 0) assert.doesNotMatch(field(here, "CapEff"), /^0+$/);
  });
});

describe("dieWithParent", () => {
  it("ends a process that hangs when the one that started it is killed", async () => {
    const hanging = `${HEAD}
      dieWithParent(libc);
      console.log(process.pid);
      for (;;) {}
    `;
    const run = "Deno" in globalThis ? ["run", "-A", "--no-check", "--quiet"] : [];
    const url = `data:text/javascript,${encodeURIComponent(hanging)}`;
    // A shell that waits stands in for the daemon.
    const shell = spawn("sh", ["-c", '"$@" & wait', "sh", process.execPath, ...run, url], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    shell.stdout.on("data", (chunk) => {
      output += chunk;
    });
    await until("it hangs", () => output.endsWith("\n"));
    const pid = Number(output);
    assert.ok(existsSync(`/proc/${pid}`));
    shell.kill("SIGKILL");
    await until("it is gone", () => !isRunning(pid));
  });
});

/** Whether the process is more than a zombie. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readStatus(pid));
  } catch {
    return false;
  }
}

function readStatus(pid: number): string {
  return readFileSync(`/proc/${pid}/status`, "latin1");
}

const SCRIPT = new URL("../../support/confine_script.ts", import.meta.url).pathname;
const RUNTIME_ARGUMENTS = process.versions["deno"] === undefined ? [] : ["run", "-A", "--no-check", "--quiet"];
const skip = process.getuid?.() === 0 ? false : "not root, so there are no rights to give up";

describe("restartConfined", () => {
  it("becomes the same program with the rights, groups and environment that are left", { skip }, () => {
    const child = spawnSync(process.execPath, [...RUNTIME_ARGUMENTS, SCRIPT, "an argument"], {
      encoding: "utf8",
      env: { ...process.env, GONE: "1" },
    });
    assert.equal(child.status, 0, child.stderr);
    const set = "0000000000001000";
    assert.deepEqual(JSON.parse(child.stdout), {
      pid: child.pid,
      again: "ü = 1",
      gone: null,
      last: "an argument",
      fields: { CapEff: set, CapPrm: set, CapBnd: set, NoNewPrivs: "1", Groups: "7" },
    });
  });

  it("says which step the kernel refuses", () => {
    const refusing = (name: string) =>
      ({
        prctl: () => (name === "prctl" ? -1 : 0),
        capset: () => (name === "capset" ? -1 : 0),
        setgroups: () => -1,
        execve: () => -1,
        addressOf: () => 0n,
        errno: () => ERRNO.EPERM,
      }) as unknown as Libc;
    const attempt = (name: string) => () =>
      restartConfined(
        refusing(name),
        { path: "/x", commandLine: Uint8Array.of(120, 0) },
        { capabilities: 0n, groups: [], environment: {} },
      );
    assert.throws(attempt("prctl"), /^SyscallError: Cannot give up new privileges: EPERM/);
    assert.throws(attempt("capset"), /^SyscallError: Cannot give up capabilities: EPERM/);
    assert.throws(attempt("execve"), /^SyscallError: Cannot start again with less rights: EPERM/);
  });
});
