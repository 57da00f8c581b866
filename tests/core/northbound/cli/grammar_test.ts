/** The command line: commands, help and usage errors. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Command, parseArguments } from "../../../../core/northbound/cli/grammar.ts";

function commandOf(...args: string[]): Command {
  const invocation = parseArguments(args);
  assert.ok("command" in invocation, `${args.join(" ")} is a command`);
  return invocation.command;
}

function outcomeOf(...args: string[]) {
  const invocation = parseArguments(args);
  assert.ok("exitStatus" in invocation, `${args.join(" ")} is no command`);
  return invocation;
}

describe("parseArguments, commands", () => {
  it("reads the daemon's flags", () => {
    assert.deepEqual(
      commandOf(
        "run",
        "--config",
        "/c",
        "--netns",
        "blue",
        "--socket=/s",
        "--http",
        "[::1]:80",
        "--log-level",
        "debug",
      ),
      { kind: "run", config: "/c", netns: "blue", socket: "/s", http: "[::1]:80", logLevel: "debug" },
    );
    assert.equal((commandOf("run") as { config?: string }).config, undefined);
  });

  it("takes iproute2's words as they come, with flags among them", () => {
    assert.deepEqual(
      commandOf(
        "route",
        "install",
        "1.2.3.0/24",
        "nexthop",
        "via",
        "10.0.0.1",
        "--json",
        "weight",
        "3",
        "--socket",
        "/s",
      ),
      {
        kind: "route-install",
        socket: "/s",
        json: true,
        owner: undefined,
        tokenFile: undefined,
        dryRun: false,
        words: ["1.2.3.0/24", "nexthop", "via", "10.0.0.1", "weight", "3"],
      },
    );
  });

  it("knows iproute2's names of its commands", () => {
    for (const word of ["install", "add", "replace"])
      assert.equal(commandOf("route", word, "default").kind, "route-install");
    for (const word of ["delete", "del"]) assert.equal(commandOf("route", word, "default").kind, "route-delete");
    assert.equal(commandOf("route", "show").kind, "route-show");
    for (const word of ["list", "ls"]) assert.equal(commandOf("route", word).kind, "route-list");
    for (const word of ["lookup", "get"]) assert.equal(commandOf("route", word, "::1").kind, "route-lookup");
  });

  it("takes standard input as a file to load", () => {
    const command = commandOf("route", "load", "-", "--owner", "bgp");
    const common = { socket: undefined, json: false, tokenFile: undefined, dryRun: false };
    assert.deepEqual(command, { kind: "route-load", ...common, owner: "bgp", file: "-" });
  });

  it("takes --socket and --json with every client command", () => {
    const commands = [
      ["route", "install", "default"],
      ["route", "delete", "default"],
      ["route", "show"],
      ["route", "list"],
      ["route", "lookup", "::1"],
      ["route", "load", "f"],
      ["show", "dplane"],
      ["show", "providers"],
      ["route", "sync", "f", "--owner", "o"],
      ["route", "flush", "owner", "o"],
      ["show", "owners"],
      ["show", "health"],
      ["monitor"],
      ["check-config", "f"],
      ["version"],
    ];
    for (const command of commands) {
      const { socket, json } = commandOf(...command, "--socket", "/s", "--json") as { socket?: string; json?: boolean };
      assert.deepEqual({ socket, json }, { socket: "/s", json: true }, command.join(" "));
    }
  });
});

describe("parseArguments, help", () => {
  it("shows the commands where there are no arguments", () => {
    const { exitStatus, stdout, stderr } = outcomeOf();
    assert.equal(exitStatus, 0);
    assert.equal(stderr, "");
    for (const command of ["run", "route", "show", "monitor", "check-config", "version"]) {
      assert.match(stdout, new RegExp(`^  ${command} `, "m"));
    }
  });

  it("has examples for each command, which are command lines themselves", () => {
    const leaves = [
      "run",
      "route install",
      "route delete",
      "route show",
      "route list",
      "route lookup",
      "route load",
      "nexthop-group set",
      "nexthop-group delete",
      "nexthop-group show",
      "nexthop-group list",
      "show dplane",
      "show providers",
      "route sync",
      "route flush",
      "show owners",
      "show fpm",
      "fpm replay",
      "show health",
      "monitor",
      "check-config",
      "version",
    ];
    for (const leaf of leaves) {
      const { stdout, exitStatus } = outcomeOf(...leaf.split(" "), "--help");
      assert.equal(exitStatus, 0);
      const examples = stdout.slice(stdout.indexOf("Examples:")).matchAll(/dplaned ([^|\n']+)/g);
      const commands = [...examples].map(([, words]) => words!.trim().split(" "));
      assert.ok(commands.length > 0, `${leaf} has examples`);
      for (const words of commands) commandOf(...words);
    }
  });

  it("prints the version and a completion script", () => {
    assert.match(outcomeOf("--version").stdout, /^dplaned \d+\.\d+\.\d+\n$/);
    assert.match(outcomeOf("completion", "bash").stdout, /complete .*dplaned/);
  });
});

describe("parseArguments, usage errors", () => {
  it("exits with 2, says what is wrong on standard error and where to read on", () => {
    const cases: [string[], RegExp, string][] = [
      [["shwo"], /`shwo`[\s\S]*Did you mean `show`/, "dplaned --help"],
      [["route"], /Do what with routes\? Expected install, delete/, "dplaned route --help"],
      [["route", "instal"], /`instal`/, "dplaned route --help"],
      [["route", "install"], /Missing words/, "dplaned route install --help"],
      [["route", "install", "default", "--jsn"], /`--jsn`/, "dplaned route install --help"],
      [["route", "load"], /FILE/, "dplaned route load --help"],
      [["route", "sync", "f"], /--owner/, "dplaned route sync --help"],
      [["show"], /Show what\? Expected dplane, providers, fpm, owners or health/, "dplaned show --help"],
      [["run", "--log-level", "loud"], /"loud"/, "dplaned run --help"],
      [["run", "--config"], /--config/, "dplaned run --help"],
      [["run", "now"], /`now`/, "dplaned run --help"],
      [["version", "1"], /`1`/, "dplaned version --help"],
    ];
    for (const [args, expected, help] of cases) {
      const { exitStatus, stdout, stderr } = outcomeOf(...args);
      assert.equal(exitStatus, 2, args.join(" "));
      assert.equal(stdout, "");
      assert.match(stderr, expected);
      assert.ok(stderr.startsWith("dplaned: ") && stderr.endsWith(`See '${help}'.\n`), stderr);
    }
  });
});
