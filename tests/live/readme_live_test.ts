/**
 * The tour of README.md, run as it stands there: every command of its `console` blocks, in one shell, in a network namespace
 * of its own, with the compiled binary. What comes out must be what the README shows, but for times and counts that differ
 * from run to run. `UPDATE_README=1` writes what really came out into the README instead.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { clearTimeout, setTimeout } from "node:timers";
import { fileURLToPath } from "node:url";
import { BINARY } from "../../scripts/daemon_process.ts";
import { type ConsoleCommand, consoleCommands } from "../support/markdown.ts";
import { skipReason } from "../support/netns.ts";
import { until } from "../support/wait.ts";

const README = fileURLToPath(new URL("../../README.md", import.meta.url).href);
/** The names in the README, which the test replaces by its own. */
const README_NETNS = "demo";
const README_FILES = "/tmp/demo";
const DEADLINE_MS = 20_000;

/** What differs from run to run, and what stands for it in the comparison. */
const VARYING: readonly (readonly [RegExp, string])[] = [
  [/"time":"[^"]*"/g, '"time":"T"'],
  [
    /"(since|time|elapsedMs|startMs|uptimeSeconds|heartbeatAgeMs|cycles|yields|queueMax|inMax|outMax)":[\d.]+/g,
    '"$1":N',
  ],
  [/http:\/\/127\.0\.0\.1:\d+\//g, "http://127.0.0.1:PORT/"],
  [/in \d+\.\d\d s(?: \([\d,]+\/s\))?/g, "in N s"],
  [/^\d\d:\d\d:\d\d\.\d{3} /gm, "TIME "],
  [/^ {2}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} /gm, "  TIME "],
  [/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME"],
  // A stage that took next to nothing is not told.
  [/\d+\.\d\d ms \([^)]*\)/g, "N ms"],
  [/in \d+ ms/g, "in N ms"],
  // Whether a process that has already ended can be named is a matter of luck.
  [/(?:ip\[\d+\]|netlink port \d+)/g, "SOMEBODY"],
  [/(q_max|queue max|update yields|Cycles): +\d+/g, "$1: N"],
  [/heartbeat \d+ ms ago/g, "heartbeat N ms ago"],
  [/^(Uptime: +).*$/gm, "$1N"],
  // `ip` ends some of its lines with a blank.
  [/ +$/gm, ""],
];

function normalise(text: string): string {
  return VARYING.reduce((result, [pattern, replacement]) => result.replace(pattern, replacement), text);
}

/** Whether the lines of `part` come in `whole` in their order, with others between. */
function isSubsequence(part: string, whole: string): boolean {
  const lines = whole.split("\n");
  let from = 0;
  return part.split("\n").every((line) => {
    const at = lines.indexOf(line, from);
    from = at + 1;
    return at !== -1;
  });
}

/** A shell that runs one command after the other and tells what each printed on both its outputs. */
class Shell {
  readonly #child: ChildProcess;
  #output = "";
  #onOutput: () => void = () => {};
  #count = 0;

  constructor(environment: NodeJS.ProcessEnv, directory: string) {
    // Bash reads its commands one by one from a pipe, and takes no byte more than it needs.
    this.#child = spawn("bash", ["--norc", "-s"], {
      env: environment,
      cwd: directory,
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#child.stdin!.write("exec 2>&1\n");
    this.#child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.#output += text;
      this.#onOutput();
    });
  }

  async run(command: string): Promise<string> {
    const mark = `--- end of command ${++this.#count} ---\n`;
    this.#output = "";
    // The next command may ask for this one's exit status.
    this.#child.stdin!.write(`${command}\nstatus=$?; echo '${mark.trimEnd()}'; (exit $status)\n`);
    await new Promise<void>((done, fail) => {
      const timer = setTimeout(() => fail(new Error(`${command}: no end after ${this.#output}`)), DEADLINE_MS);
      this.#onOutput = () => {
        if (!this.#output.endsWith(mark)) return;
        clearTimeout(timer);
        done();
      };
      this.#onOutput();
    });
    return this.#output.slice(0, -mark.length);
  }

  end(): void {
    this.#child.stdin!.end();
  }
}

const isUpdate = process.env["UPDATE_README"] === "1";
const skip = skipReason() || (existsSync(BINARY) ? false : `${BINARY} is missing; \`make build\` makes it`);

describe("README.md", () => {
  const markdown = readFileSync(README, "utf8");
  const netns = `dplaned-test-${process.pid}-readme`;
  let directory = "";
  let shell: Shell;

  before(() => {
    if (skip) return;
    directory = mkdtempSync(join(tmpdir(), "dplaned-readme-"));
    // The README's `dplaned`: the compiled one, which reads no configuration of this machine.
    writeFileSync(join(directory, "empty.toml"), "", { mode: 0o640 });
    const script = `#!/bin/sh\n[ "$1" = run ] && set -- "$@" --config '${directory}/empty.toml'\nexec '${BINARY}' "$@"\n`;
    writeFileSync(join(directory, "dplaned"), script, { mode: 0o755 });
    const { DPLANED_DAEMON_SOCKET: _, ...environment } = process.env;
    const path = `${directory}:${environment["PATH"] ?? ""}`;
    shell = new Shell({ ...environment, PATH: path, DPLANED_DAEMON_HTTP: "127.0.0.1:0", LC_ALL: "C" }, directory);
  });
  after(async () => {
    if (skip) return;
    await shell.run('kill $(jobs -p) 2>/dev/null; wait; ip netns delete "$TOUR_NETNS" 2>/dev/null');
    shell.end();
    spawnSync("ip", ["netns", "delete", netns]);
    rmSync(directory, { recursive: true, force: true });
  });

  /** The command with the test's names in place of the README's, and an output the other way round. */
  const toOurs = (text: string) =>
    text
      .replaceAll(README_FILES, `${directory}/demo`)
      .replace(/(netns (?:add|delete)|-n|--netns) demo\b/g, `$1 ${netns}`);
  const toReadme = (text: string) => text.replaceAll(`${directory}/demo`, README_FILES).replaceAll(netns, README_NETNS);

  /** Runs a command as a reader would, who looks into a log again when what he waits for is not in it yet. */
  async function runAsReader({ command, output }: ConsoleCommand): Promise<string> {
    const run = async () => toReadme(await shell.run(toOurs(command)));
    let printed = await run();
    if (command.startsWith("cat ")) {
      const deadline = Date.now() + (isUpdate ? 1000 : DEADLINE_MS);
      while (!isSubsequence(normalise(output), normalise(printed))) {
        if (Date.now() > deadline) return printed;
        printed = await run();
      }
      return output;
    }
    const [, file] = /> *(\S+).*&$/.exec(toOurs(command)) ?? [];
    if (file !== undefined) await until(`${command} says something`, () => existsSync(file) && statSync(file).size > 0);
    return printed;
  }

  it("shows what really happens", { skip, timeout: 120_000 }, async () => {
    const commands = consoleCommands(markdown);
    const lines = markdown.split("\n");
    const printed: string[] = [];
    for (const each of commands) printed.push(await runAsReader(each));
    if (isUpdate) {
      for (const [index, { outputStart, outputEnd }] of [...commands.entries()].reverse()) {
        const fresh = printed[index]!.replace(/\n$/, "").split("\n");
        lines.splice(outputStart, outputEnd - outputStart, ...(printed[index] === "" ? [] : fresh));
      }
      writeFileSync(README, lines.join("\n"));
      return;
    }
    const transcript = (outputs: readonly string[]) =>
      commands.map(({ command }, index) => `$ ${command}\n${normalise(outputs[index]!)}`).join("");
    assert.equal(transcript(printed), transcript(commands.map(({ output }) => output)));
    assert.ok(commands.length > 20, "the tour is there");
  });
});
