/** `dplaned top` of the compiled binary, in a real terminal and in a pipe. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { after, afterEach, before, describe, it } from "node:test";
import type { TopSample } from "../../core/northbound/cli/top_sample.ts";
import { BINARY, DaemonProcess } from "../../scripts/daemon_process.ts";
import { daemonSkipReason, RunningProgram, runBinary } from "../support/binary.ts";
import { sendUpdates } from "../support/daemon_routes.ts";
import { addTestLinks } from "../support/kernel_harness.ts";
import { createNetns, type Netns } from "../support/netns.ts";
import { TmuxTerminal, tmuxSkipReason } from "../support/tmux.ts";
import { until } from "../support/wait.ts";

const skip = daemonSkipReason();
const skipScreen = skip || tmuxSkipReason();

let ns: Netns;
let daemon: DaemonProcess;
let terminal: TmuxTerminal | undefined;

before(async () => {
  if (skip) return;
  ns = createNetns();
  addTestLinks(ns);
  daemon = await DaemonProcess.start({ netns: ns.name });
  const prefixes = Array.from({ length: 1234 }, (_, index) => `10.${100 + (index >> 8)}.${index & 255}.0/24`);
  await sendUpdates(
    daemon,
    prefixes.map((prefix) => `route add ${prefix} via 10.0.0.2`),
    { owner: "bgp" },
  );
  await sendUpdates(daemon, ["route add 198.51.100.0/24 via 10.9.9.9 dev v0"], { owner: "lab" });
});
after(async () => {
  if (skip) return;
  await daemon.stop();
  ns.delete();
});
afterEach(() => {
  terminal?.close();
  terminal = undefined;
});

async function open(columns: number, rows: number, environment = {}, args = ""): Promise<TmuxTerminal> {
  terminal = new TmuxTerminal(columns, rows, environment);
  terminal.run(`${BINARY} top --socket ${daemon.socket} ${args}; echo "ended with $?"`);
  await terminal.sees(/^Routes/);
  return terminal;
}

describe("dplaned top on a screen", () => {
  it("shows the daemon at work, and leaves the terminal as it was", { skip: skipScreen }, async () => {
    const screen = await open(80, 24);
    assert.equal(screen.state, "100", "the alternate screen, no cursor, no wrapping");
    await screen.sees(/^Routes {4}1,235 IPv4 {2}0 IPv6 {2}refused 1/);
    await screen.sees(/^bgp +1,234 /);
    await screen.sees(/198\.51\.100\.0\/24: Nexthop has invalid gateway \(ENETUNREACH\)/);
    await screen.sees(/no route to 10\.9\.9\.9 on v0; is it a connected address/);
    await screen.sees(/^kernel +kernel +up/);
    assert.match(screen.lines()[0]!, /^dplaned \S+ {2}up .* {2}ready .* \d\d:\d\d:\d\d$/);
    await sendUpdates(daemon, ["route add 172.16.0.0/24 via 10.0.0.2"], { owner: "late" });
    await screen.sees(/^late +1 /);
    await sendUpdates(daemon, ["route del 172.16.0.0/24"], { owner: "late" });
    screen.press("q");
    await screen.sees(/ended with 0/);
    assert.equal(screen.state, "011");
    assert.ok(
      screen.lines().every((line) => !line.startsWith("Routes")),
      "nothing of it is left",
    );
    // The shell reads lines again, and shows what is typed.
    screen.run("echo back again");
    await screen.sees(/^back again/);
    await screen.sees(/[$#] echo back again/);
  });

  it("ends by Ctrl-C and by a signal, the terminal restored", { skip: skipScreen }, async () => {
    const screen = await open(80, 24);
    screen.press("C-c");
    await screen.sees(/ended with 0/);
    assert.equal(screen.state, "011");
    const pidFile = join(daemon.directory, "top.pid");
    screen.run(`sh -c 'echo $$ > ${pidFile}; exec ${BINARY} top --socket ${daemon.socket}'; echo "then $?"`);
    await screen.sees(/^Routes/);
    process.kill(Number(readFileSync(pidFile, "utf8")), "SIGTERM");
    await screen.sees(/^then 143/);
    assert.equal(screen.state, "011");
  });

  it("goes with the terminal's size, and stands still when it is suspended", { skip: skipScreen }, async () => {
    const screen = await open(80, 24);
    await screen.sees(/PRIORITY/);
    screen.resize(46, 15);
    await until("it is narrow", () => !screen.lines().some((line) => line.includes("PRIORITY")));
    assert.ok(screen.lines().every((line) => line.length <= 46));
    assert.match(screen.lines()[14]!, /^q quit/);
    screen.resize(100, 30);
    await screen.sees(/PRIORITY/);
    await until("the last line is at the bottom", () => /^q quit/.test(screen.lines()[29]!));
    screen.press("C-z");
    await screen.sees(/Stopped/);
    assert.equal(screen.state, "011");
    screen.run("fg");
    await screen.sees(/^Routes/);
    assert.equal(screen.state, "100");
  });

  it("obeys its keys", { skip: skipScreen }, async () => {
    const screen = await open(80, 24);
    screen.press("h");
    await screen.sees(/quit \(as Ctrl-C\)/);
    screen.press("h");
    await screen.sees(/^Routes/);
    screen.press("s");
    await screen.sees(/s sort \(changes\)/);
    screen.press("n");
    await screen.sees(/s sort \(name\)/);
    screen.press("-");
    await screen.sees(/every 2 s/);
    screen.press("+", "+");
    await screen.sees(/every 0\.5 s/);
    screen.press("p");
    await screen.sees(/paused/);
    await sendUpdates(daemon, ["route add 172.17.0.0/24 via 10.0.0.2"], { owner: "unseen" });
    screen.press("p");
    await screen.sees(/^unseen/);
  });

  it("has colours, but not with NO_COLOR", { skip: skipScreen }, async () => {
    const colours = /\[(?:\d+;)*3[1-7](?:;1)?m/;
    const coloured = await open(80, 24);
    assert.match(coloured.lines({ styles: true }).join("\n"), colours);
    coloured.close();
    const plain = await open(80, 24, { NO_COLOR: "1" });
    assert.doesNotMatch(plain.lines({ styles: true }).join("\n"), colours);
  });
});

describe("dplaned top in a pipe", () => {
  it("prints a line for each interval, and ends after so many", { skip }, async () => {
    const { status, stdout, stderr } = await runBinary([
      "top",
      "--socket",
      daemon.socket,
      "--interval",
      "0.2",
      "--count",
      "3",
    ]);
    assert.deepEqual([status, stderr], [0, ""]);
    const lines = stdout.trimEnd().split("\n");
    assert.equal(lines.length, 3);
    for (const line of lines)
      assert.match(line, /^\d\d:\d\d:\d\d ready, updates \S+\/s, .*, routes 1,23\d, refused 1, /);
    assert.ok(!stdout.includes("\x1b"));
  });

  it("prints objects with --json", { skip }, async () => {
    const args = ["top", "--socket", daemon.socket, "--interval", "0.2", "--count", "2", "--json"];
    const { status, stdout } = await runBinary(args);
    assert.equal(status, 0);
    const samples = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as TopSample);
    assert.equal(samples.length, 2);
    for (const { routes, rates, owners } of samples) {
      assert.equal(routes.refused, 1);
      assert.equal(rates.failed, 0);
      assert.equal(owners[0]?.routes, 1234);
    }
    assert.ok(samples[1]!.time > samples[0]!.time);
  });

  it("waits for a daemon that is restarted, and fails if none was there at all", { skip }, async () => {
    const own = createNetns();
    addTestLinks(own);
    let life = await DaemonProcess.start({ netns: own.name, socket: `${daemon.directory}/other.sock` });
    const program = new RunningProgram(BINARY, ["top", "--socket", life.socket, "--interval", "0.2"]);
    try {
      await until("it has begun", () => program.stdout.includes("\n"));
      await life.stop();
      await until("it has noticed", () => program.stderr.includes("trying again"));
      const before = program.stdout.length;
      life = await DaemonProcess.start({ netns: own.name, socket: life.socket });
      await until("it goes on", () => program.stdout.length > before);
      assert.match(program.stderr, /^dplaned: .*; trying again\ndplaned: it answers again\n$/);
    } finally {
      program.kill("SIGKILL");
      await program.ended;
      await life.stop();
      own.delete();
    }
    const { status, stderr } = await runBinary(["top", "--socket", "/nowhere.sock"]);
    assert.equal(status, 3);
    assert.match(stderr, /^dplaned: Cannot reach dplaned at \/nowhere\.sock/);
  });
});
