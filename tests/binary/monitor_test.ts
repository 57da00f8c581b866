/** `dplaned monitor` of the compiled binary: what its words ask for, and nothing else. */
import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { BINARY, DaemonProcess } from "../../scripts/daemon_process.ts";
import { daemonSkipReason, RunningProgram } from "../support/binary.ts";
import { sendUpdates } from "../support/daemon_routes.ts";
import { addTestLinks } from "../support/kernel_harness.ts";
import { createNetns, type Netns } from "../support/netns.ts";
import { until } from "../support/wait.ts";

const skip = daemonSkipReason();

let ns: Netns;
let daemon: DaemonProcess;
let programs: RunningProgram[] = [];

before(async () => {
  if (skip) return;
  ns = createNetns();
  addTestLinks(ns);
  daemon = await DaemonProcess.start({ netns: ns.name });
});
after(async () => {
  if (skip) return;
  await daemon.stop();
  ns.delete();
});
afterEach(async () => {
  for (const program of programs) program.kill("SIGKILL");
  await Promise.all(programs.map(({ ended }) => ended));
  programs = [];
});

async function listen(...words: string[]): Promise<RunningProgram> {
  const before = await listeners();
  const program = new RunningProgram(BINARY, ["monitor", ...words, "--socket", daemon.socket]);
  programs.push(program);
  await until("it listens", async () => (await listeners()) > before);
  return program;
}

async function listeners(): Promise<number> {
  const { clients } = await daemon.client.getJson<{ clients: { eventListeners: number } }>("/v1/overview");
  return clients.eventListeners;
}

/** Lines without their times. */
const linesOf = ({ stdout }: RunningProgram): string[] =>
  stdout
    .trimEnd()
    .split("\n")
    .map((line) => line.replace(/^\d\d:\d\d:\d\d\.\d{3} /, ""));

describe("dplaned monitor", () => {
  it("tells of failures of one owner alone", { skip }, async () => {
    const failures = await listen("status", "fib_failed", "owner", "bgp");
    const within = await listen("root", "198.51.100.0/24", "--json");
    const bad = "via 10.9.9.9 dev v0";
    await sendUpdates(daemon, [`route add 192.0.2.0/24 ${bad}`], { owner: "static" });
    await sendUpdates(daemon, [`route add 198.51.100.0/24 ${bad}`, "route add 203.0.113.0/24 via 10.0.0.2"], {
      owner: "bgp",
    });
    await sendUpdates(daemon, ["route add 198.51.100.128/25 via 10.0.0.2"], { owner: "static" });
    await until("both have come", () => within.stdout.includes("198.51.100.128/25"));
    await until("the failure has come", () => failures.stdout.includes("\n"));
    assert.deepEqual(linesOf(failures), [
      "result 198.51.100.0/24 table main: failed in provider kernel: Nexthop has invalid gateway (ENETUNREACH); " +
        "no route to 10.9.9.9 on v0; is it a connected address, or is onlink meant? [owner bgp]",
    ]);
    const events = within.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { event: string; prefix: string });
    assert.deepEqual(
      events.map(({ event, prefix }) => `${event} ${prefix}`),
      ["result 198.51.100.0/24", "result 198.51.100.128/25"],
    );
  });

  it("tells of links and drift alone, as a link flaps", { skip }, async () => {
    await sendUpdates(daemon, ["route add 172.16.0.0/16 via 10.0.1.2 dev v2"], { owner: "bgp" });
    const program = await listen("link", "drift");
    ns.ip("link", "set", "v2", "down");
    await until("the drift has come", () => /drift {2}172\.16\.0\.0\/16 table main missing/.test(program.stdout));
    ns.ip("link", "set", "v2", "up");
    await until("the link is back", () => /kernel link new v2 state UP/.test(program.stdout));
    assert.ok(linesOf(program).some((line) => /^kernel link new v2 state DOWN/.test(line)));
    assert.ok(
      linesOf(program).every((line) => /^(kernel link|drift {2})/.test(line)),
      program.stdout,
    );
  });
});
