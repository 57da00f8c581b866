/**
 * The words of the command line: what `dplaned` is asked to do, as data. Flags and commands are Optique's; what follows
 * `route install` and its like is iproute2's own grammar of words, which is taken as it comes and read by
 * `route_words.ts` and the daemon. Nothing here does anything. Main thread.
 */
import { object, or } from "@optique/core/constructs";
import type { DocPage } from "@optique/core/doc";
import { runParserSync } from "@optique/core/facade";
import { formatMessage, lineBreak, type Message, text } from "@optique/core/message";
import { multiple, optional, withDefault } from "@optique/core/modifiers";
import { getDocPage, type InferValue } from "@optique/core/parser";
import { argument, command, constant, option } from "@optique/core/primitives";
import { choice, float, integer, string } from "@optique/core/valueparser";
import { CONFIG_PATH_DEFAULT, OWNER_DEFAULT, VERSION } from "../../constants.ts";
import { LOG_LEVELS } from "../../log.ts";

/** Exit statuses that DESIGN section 1 promises. */
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
export const EXIT_NO_DAEMON = 3;

const PROGRAM = "dplaned";

const say = (words: string): Message => [text(words)];

const socketOption = optional(
  option("--socket", string({ metavar: "PATH" }), {
    description: say("Unix socket of the daemon (default: $DPLANED_DAEMON_SOCKET, else /run/dplaned/dplaned.sock)."),
  }),
);
const jsonOption = option("--json", { description: say("Print JSON.") });
/** What every command but `run` takes; `check-config` and `version` ask no daemon and only take it for uniformity. */
const client = { socket: socketOption, json: jsonOption };

const words = (metavar: "ROUTE" | "FILTER" | "ADDRESS" | "NEXTHOP", min: number, description: string) =>
  multiple(argument(string({ metavar }), { description: say(description) }), {
    min,
    errors: { tooFew: say(`Missing words; expected ${description}.`) },
  });

const ownerOption = optional(
  option("--owner", string({ metavar: "OWNER" }), {
    description: say(`Whose routes these are; "${OWNER_DEFAULT}" unless given here or by the word owner.`),
  }),
);

/** What every command takes that changes routes. */
const writer = {
  ...client,
  tokenFile: optional(
    option("--token-file", string({ metavar: "FILE" }), {
      description: say("File with the owner's token, where it needs one (default: $DPLANED_TOKEN_FILE)."),
    }),
  ),
  dryRun: option("--dry-run", { description: say("Only print what would change in the kernel.") }),
};

const examples = (...lines: string[]): Message => [
  text("Examples:"),
  ...lines.flatMap((line) => [lineBreak(), text(`  ${line}`)]),
];

const run = command(
  "run",
  object({
    kind: constant("run"),
    config: optional(
      option("--config", string({ metavar: "FILE" }), {
        description: say(
          `Configuration file, which must exist (default: ${CONFIG_PATH_DEFAULT}, which may be missing).`,
        ),
      }),
    ),
    netns: optional(
      option("--netns", string({ metavar: "NAME|PATH" }), { description: say("Network namespace to program.") }),
    ),
    socket: optional(
      option("--socket", string({ metavar: "PATH" }), { description: say("Unix socket to listen on.") }),
    ),
    http: optional(
      option("--http", string({ metavar: "ADDR:PORT" }), { description: say("TCP address to listen on, or off.") }),
    ),
    logLevel: optional(
      option("--log-level", choice(LOG_LEVELS, { metavar: "LEVEL" }), {
        description: say("Least severe level that is logged."),
      }),
    ),
  }),
  {
    brief: say("Run the daemon."),
    footer: examples("dplaned run", "dplaned run --config ./dplaned.toml --netns blue --log-level debug"),
  },
);

const ROUTE_WORDS =
  "[TYPE] PREFIX [via ADDR] [dev IF] [nexthop via ADDR dev IF weight N]... [table N] [vrf NAME] [metric N] [owner O]";

const routeInstall = command(
  "install",
  object({ kind: constant("route-install"), ...writer, owner: ownerOption, words: words("ROUTE", 1, ROUTE_WORDS) }),
  {
    brief: say("Add a route, or replace it."),
    aliases: ["add", "replace"],
    footer: examples(
      "dplaned route install 203.0.113.0/24 via 10.0.0.2 dev v0",
      "dplaned route install 203.0.113.0/24 nexthop via 10.0.0.2 weight 1 nexthop via 10.0.0.3 weight 3",
      "dplaned route install blackhole 2001:db8::/32 table 100 owner ddos",
    ),
  },
);

const routeDelete = command(
  "delete",
  object({
    kind: constant("route-delete"),
    ...writer,
    owner: ownerOption,
    words: words("ROUTE", 1, "PREFIX [table N] [vrf NAME] [metric N] [owner O]"),
  }),
  {
    brief: say("Delete a route."),
    aliases: ["del"],
    footer: examples("dplaned route delete 203.0.113.0/24", "dplaned route delete 203.0.113.0/24 table 100 metric 50"),
  },
);

const FILTER_WORDS =
  "[[exact|root] PREFIX] [table N] [vrf NAME] [owner O] [status S] [limit N]; root PREFIX: and all within it";

const listFields = {
  ...client,
  ipv4: option("-4", { description: say("IPv4 routes only.") }),
  ipv6: option("-6", { description: say("IPv6 routes only.") }),
  words: words("FILTER", 0, FILTER_WORDS),
};
const listExamples = examples(
  "dplaned route show 203.0.113.0/24",
  "dplaned route list root 10.0.0.0/8 table 100",
  "dplaned route list owner bgp status fib_failed --json",
);

const routeShow = command("show", object({ kind: constant("route-show"), ...listFields }), {
  brief: say("Show routes and what became of them; of one prefix also why, and all that happened to it."),
  footer: listExamples,
});
const routeList = command("list", object({ kind: constant("route-list"), ...listFields }), {
  brief: say("List routes and what became of them, a line each."),
  aliases: ["ls"],
  footer: listExamples,
});

const routeLookup = command(
  "lookup",
  object({ kind: constant("route-lookup"), ...client, words: words("ADDRESS", 1, "ADDRESS [table N] [vrf NAME]") }),
  {
    brief: say("Find the programmed route that an address takes."),
    aliases: ["get"],
    footer: examples("dplaned route lookup 203.0.113.9", "dplaned route lookup 2001:db8::1 table 100"),
  },
);

const updatesFile = (description: string) =>
  argument(string({ metavar: "FILE" }), { description: say(`${description}; - for standard input.`) });

const routeLoad = command(
  "load",
  object({
    kind: constant("route-load"),
    ...writer,
    owner: ownerOption,
    file: updatesFile("NDJSON, a JSON array, or lines as ip -batch takes them (route add|replace|del ...)"),
  }),
  {
    brief: say("Send a file of updates."),
    footer: examples(
      "dplaned route load table.ndjson --owner bgp",
      "printf 'route add 203.0.113.0/24 via 10.0.0.2\\n' | dplaned route load -",
    ),
  },
);

const routeSync = command(
  "sync",
  object({
    kind: constant("route-sync"),
    ...writer,
    owner: option("--owner", string({ metavar: "OWNER" }), {
      description: say("Whose routes these are, all of them."),
    }),
    file: updatesFile("The routes that there are to be, as route load takes them, without deletions"),
  }),
  {
    brief: say("Make an owner's routes exactly those of a file: writes what differs, deletes the rest last."),
    footer: examples(
      "dplaned route sync table.ndjson --owner bgp --dry-run",
      "dplaned route sync table.ndjson --owner bgp",
      "generate-routes | dplaned route sync - --owner static --token-file /etc/dplaned/static.token",
    ),
  },
);

const routeFlush = command(
  "flush",
  object({
    kind: constant("route-flush"),
    ...writer,
    owner: ownerOption,
    words: words("FILTER", 0, "owner O"),
  }),
  {
    brief: say("Withdraw all routes of an owner."),
    footer: examples("dplaned route flush owner bgp --dry-run", "dplaned route flush owner bgp"),
  },
);

const route = command(
  "route",
  or(routeInstall, routeDelete, routeShow, routeList, routeLookup, routeLoad, routeSync, routeFlush, {
    errors: {
      noMatch: say("Do what with routes? Expected install, delete, show, list, lookup, load, sync or flush."),
    },
  }),
  { brief: say("Install, delete, show, load and sync routes.") },
);

const groupId = argument(string({ metavar: "ID" }), { description: say("Number of the group.") });
const GROUP_WORDS =
  "[nexthop] via ADDR dev IF [weight N]... [nexthop ...]... [backup via ADDR dev IF]... [type resilient buckets N]";

const groupSet = command(
  "set",
  object({ kind: constant("group-set"), ...client, id: groupId, words: words("NEXTHOP", 1, GROUP_WORDS) }),
  {
    brief: say("Define a group, or change it: all routes on it move at once."),
    aliases: ["add", "replace"],
    footer: examples(
      "dplaned nexthop-group set 7 via 10.0.0.2 dev v0",
      "dplaned nexthop-group set 7 nexthop via 10.0.0.2 dev v0 nexthop via 10.0.1.2 dev v2 weight 3",
      "dplaned nexthop-group set 7 via 10.0.0.2 dev v0 backup via 10.0.1.2 dev v2",
      "dplaned nexthop-group set 7 via 10.0.0.2 dev v0 type resilient buckets 64 idle_timer 60",
      "dplaned route install 203.0.113.0/24 nhid 7",
    ),
  },
);

const groupDelete = command("delete", object({ kind: constant("group-delete"), ...client, id: groupId }), {
  brief: say("Delete a group that no route is on."),
  aliases: ["del"],
  footer: examples("dplaned nexthop-group delete 7"),
});

const groupShow = command("show", object({ kind: constant("group-show"), ...client, id: groupId }), {
  brief: say("Show a group and what became of it."),
  footer: examples("dplaned nexthop-group show 7", "dplaned nexthop-group show 7 --json"),
});

const groupList = command("list", object({ kind: constant("group-list"), ...client }), {
  brief: say("Show all groups."),
  aliases: ["ls"],
  footer: examples("dplaned nexthop-group list"),
});

const nexthopGroup = command(
  "nexthop-group",
  or(groupSet, groupDelete, groupShow, groupList, {
    errors: { noMatch: say("Do what with nexthop groups? Expected set, delete, show or list.") },
  }),
  { brief: say("Define nexthop groups that routes share.") },
);

const showCommand = <const K extends string>(name: string, kind: K, brief: string) =>
  command(name, object({ kind: constant(kind), ...client }), {
    brief: say(brief),
    footer: examples(`dplaned show ${name}`, `dplaned show ${name} --json`),
  });

const show = command(
  "show",
  or(
    showCommand("dplane", "show-dplane", "Counters of the dataplane."),
    showCommand("providers", "show-providers", "Counters of each provider."),
    showCommand("fpm", "show-fpm", "FPM peers that send their routes, and FPM servers that routes are exported to."),
    showCommand("owners", "show-owners", "Who owns routes, on which terms, and how many."),
    showCommand("health", "show-health", "Whether the daemon works and is ready; fails if not."),
    { errors: { noMatch: say("Show what? Expected dplane, providers, fpm, owners or health.") } },
  ),
  { brief: say("Show counters and health.") },
);

const audit = command("audit", object({ kind: constant("audit"), ...client }), {
  brief: say("Compare the kernel with what it should hold, now, and repair what differs."),
  footer: examples("dplaned audit", "dplaned audit --json"),
});

const fpmReplay = command(
  "replay",
  object({
    kind: constant("fpm-replay"),
    ...client,
    name: argument(string({ metavar: "NAME" }), {
      description: say("Name of the provider, as `dplaned show fpm` has it."),
    }),
  }),
  {
    brief: say("Send everything again to the FPM server that a provider exports to."),
    footer: examples("dplaned fpm replay export"),
  },
);

const fpm = command("fpm", or(fpmReplay, { errors: { noMatch: say("Do what with FPM? Expected replay.") } }), {
  brief: say("Tell an FPM server everything anew."),
});

const providerTypes = command("types", object({ kind: constant("provider-types"), ...client }), {
  brief: say("Print dplaned.d.ts, which says what a provider of your own may and must do."),
  footer: examples("dplaned provider types > dplaned.d.ts"),
});

const providerInit = command(
  "init",
  object({
    kind: constant("provider-init"),
    ...client,
    name: argument(string({ metavar: "NAME" }), {
      description: say("Name of the provider: small letters, digits and underscores."),
    }),
    dir: optional(
      option("--dir", string({ metavar: "FOLDER" }), { description: say("Where to write it (default: ./NAME).") }),
    ),
  }),
  {
    brief: say("Write a new provider of your own, with tests, that works as it is."),
    footer: examples("dplaned provider init filter", "dplaned provider init filter --dir ~/src/filter"),
  },
);

const providerRestart = command(
  "restart",
  object({
    kind: constant("provider-restart"),
    ...client,
    name: argument(string({ metavar: "NAME" }), {
      description: say("Name of the provider, as `dplaned show providers` has it."),
    }),
  }),
  {
    brief: say("Load a plugin's file anew; the process that runs goes on until the new one is loaded."),
    footer: examples("dplaned provider restart filter"),
  },
);

const provider = command(
  "provider",
  or(providerTypes, providerInit, providerRestart, {
    errors: {
      noMatch: say("Do what with providers? Expected types, init or restart; see also dplaned show providers."),
    },
  }),
  { brief: say("Write a provider of your own, and load it anew.") },
);

const EVENT_WORDS =
  "[result|kernel|drift|health|link|address|route|nexthop]... [[exact|root] PREFIX] [table N] [vrf NAME] [owner O] [status S]";

const monitor = command(
  "monitor",
  object({
    kind: constant("monitor"),
    ...client,
    reconnect: option("--reconnect", { description: say("Wait for a daemon that stops, and go on with the next.") }),
    words: words("FILTER", 0, EVENT_WORDS),
  }),
  {
    brief: say("Follow results, kernel changes, drift and health, a line each."),
    footer: examples(
      "dplaned monitor",
      "dplaned monitor link address drift",
      "dplaned monitor result status fib_failed owner bgp",
      "dplaned monitor root 203.0.113.0/24 --reconnect",
      "dplaned monitor --json | jq 'select(.event == \"kernel\")'",
    ),
  },
);

const top = command(
  "top",
  object({
    kind: constant("top"),
    ...client,
    interval: withDefault(
      option("--interval", float({ metavar: "SECONDS", min: 0.1, max: 3600 }), {
        description: say("How often it asks the daemon (default: 1)."),
      }),
      1,
    ),
    count: optional(
      option("--count", integer({ metavar: "N", min: 1 }), { description: say("End after so many intervals.") }),
    ),
  }),
  {
    brief: say("Show the daemon at work on a whole screen; in a pipe, a line for each interval."),
    footer: examples("dplaned top", "dplaned top --interval 5 | tee dplaned.log", "dplaned top --json --count 1"),
  },
);

const checkConfig = command(
  "check-config",
  object({
    kind: constant("check-config"),
    ...client,
    file: withDefault(
      argument(string({ metavar: "FILE" }), { description: say(`Default: ${CONFIG_PATH_DEFAULT}.`) }),
      CONFIG_PATH_DEFAULT,
    ),
  }),
  {
    brief: say("Check a configuration file and print all that is wrong with it."),
    footer: examples("dplaned check-config ./dplaned.toml"),
  },
);

const version = command("version", object({ kind: constant("version"), ...client }), {
  brief: say("Print the version."),
  footer: examples("dplaned version"),
});

const program = or(run, route, nexthopGroup, show, audit, fpm, provider, monitor, top, checkConfig, version);

/** What `--help` tells of the command that `path` leads to, such as `["route", "install"]`, as data. */
export function describeCommand(path: readonly string[]): DocPage | undefined {
  return getDocPage(program, path);
}

/** What a command line asks for. */
export type Command = InferValue<typeof program>;
export type RunCommand = Extract<Command, { kind: "run" }>;
export type ClientCommand = Exclude<Command, RunCommand>;

/** A command, or what to print and the status to exit with: help, completions, or what is wrong with the arguments. */
export type Invocation = { command: Command } | { exitStatus: number; stdout: string; stderr: string };

export interface ParseOptions {
  colours?: boolean;
  columns?: number;
}

/** Reads the arguments behind the program's name. */
export function parseArguments(args: readonly string[], { colours = false, columns }: ParseOptions = {}): Invocation {
  let stdout = "";
  let stderr = "";
  let exitStatus: number | undefined;
  const command = runParserSync(program, PROGRAM, args.length === 0 ? ["--help"] : args, {
    colors: colours,
    ...(columns === undefined ? {} : { maxWidth: columns }),
    aboveError: "none",
    commandList: "top-level",
    brief: say("A dataplane daemon: programs routes into the kernel and tells the truth about it."),
    help: { command: true, option: true, onShow: () => finish(0) },
    version: { value: `${PROGRAM} ${VERSION}`, option: true, onShow: () => finish(0) },
    completion: { command: true, onShow: () => finish(0) },
    stdout: (line) => {
      stdout += `${line}\n`;
    },
    stderr: () => undefined,
    onError: (_, error) => {
      stderr = `${PROGRAM}: ${formatMessage(error, { colors: colours, quotes: true })}\nSee '${helpCommand(args)}'.\n`;
      return finish(EXIT_USAGE);
    },
  });
  return exitStatus === undefined ? { command } : { exitStatus, stdout, stderr };

  // The status is what tells help and errors from a command: Optique returns what its handlers return in the command's place.
  function finish(status: number): never {
    exitStatus = status;
    return undefined as never;
  }
}

/** The command whose help explains a usage error: as many words as lead to one. */
function helpCommand(args: readonly string[]): string {
  const depth = ["route", "show", "nexthop-group", "fpm", "provider"].includes(args[0] ?? "") ? 2 : 1;
  const path = args.slice(0, depth).filter((word) => /^[a-z][a-z-]*$/.test(word) && isCommandWord(word));
  return [PROGRAM, ...path, "--help"].join(" ");
}

function isCommandWord(word: string): boolean {
  return COMMAND_WORDS.has(word);
}

const COMMAND_WORDS = new Set(
  "add audit check-config del delete dplane flush fpm get health init install list load lookup ls monitor nexthop-group owners provider providers replace replay restart route run set show sync top types version".split(
    " ",
  ),
);
