/**
 * The client commands: each a question to the daemon's HTTP API and its answer as text or JSON. Returns exit statuses and
 * never ends the process itself. Main thread of a client process.
 */
import { CONFIG_PATH_DEFAULT, SOCKET_PATH_DEFAULT, VERSION } from "../../constants.ts";
import { EXIT_BROKEN_PIPE, escapeControls, isBrokenPipe } from "../../output.ts";
import { readTokenFile } from "../../token_file.ts";
import {
  type AuditJson,
  type AuditStatusJson,
  type DplaneJson,
  type FpmJson,
  type FpmReplayJson,
  type HealthJson,
  type LookupJson,
  type NexthopGroupJson,
  type NexthopGroupsJson,
  type OwnersJson,
  type PlanJson,
  type ReadyJson,
  type ResultJson,
  type RouteJson,
  type RouteListQuery,
  type SummaryLineJson,
  UPDATE_CONTENT_TYPES,
} from "../api_types.ts";
import type { ProvidersJson } from "../provider_types.ts";
import { ApiClient, readAll, readLines, UnreachableError } from "./client.ts";
import {
  formatAudit,
  formatDplane,
  formatHealth,
  formatLookup,
  formatNexthopGroup,
  formatOwners,
  formatPlan,
  formatProviders,
  formatResult,
  formatRoute,
} from "./format.ts";
import { formatFpm } from "./fpm_format.ts";
import { type ClientCommand, EXIT_FAILED, EXIT_NO_DAEMON, EXIT_USAGE } from "./grammar.ts";
import type { CliIo } from "./io.ts";
import { loadRoutes } from "./load.ts";
import { monitor } from "./monitor.ts";
import { toGroupNumber, toNexthopGroup } from "./nexthop_group_words.ts";
import { showHistory, toHistoryQuery } from "./route_show.ts";
import { toFlushedOwner, toListQuery, toLookupQuery, toUpdateLine, UsageError } from "./route_words.ts";
import { flushRoutes, syncRoutes } from "./sync.ts";
import { runTop } from "./top.ts";

/** Lists are written in pieces of about this length: a system call for each of a million lines would take seconds. */
const OUTPUT_PIECE_LENGTH = 1 << 16;

/** Runs a client command and returns the exit status; what goes wrong is told on standard error. */
export async function runClient(command: ClientCommand, processIo: CliIo): Promise<number> {
  const io = escaping(processIo, command.json);
  try {
    return await dispatch(command, io);
  } catch (error) {
    if (isBrokenPipe(error)) return EXIT_BROKEN_PIPE;
    io.stderr(`dplaned: ${error instanceof Error ? error.message : String(error)}\n`);
    if (error instanceof UsageError) return EXIT_USAGE;
    return error instanceof UnreachableError ? EXIT_NO_DAEMON : EXIT_FAILED;
  }
}

/**
 * Escapes what names and messages of others could do to a terminal, but for the progress line, which drives it, and JSON,
 * which would no longer be JSON.
 */
function escaping(io: CliIo, json: boolean): CliIo {
  return {
    ...io,
    stdout: (text) => io.stdout(json ? text : escapeControls(text, "\n\t")),
    stderr: (text) => io.stderr(text.startsWith("\r") ? text : escapeControls(text, "\n\t")),
  };
}

async function dispatch(command: ClientCommand, io: CliIo): Promise<number> {
  if (command.kind === "version") return printVersion(command.json, io);
  if (command.kind === "check-config") return checkConfig(command.file, command.json, io);

  if (command.kind === "provider-types" || command.kind === "provider-init") return writeProvider(command, io);

  const socket = command.socket ?? (io.environment["DPLANED_DAEMON_SOCKET"] || SOCKET_PATH_DEFAULT);
  const client = new ApiClient(socket, readToken(command, io));
  const { json } = command;
  switch (command.kind) {
    case "route-install":
      return updateRoute("install", command, client, io);
    case "route-delete":
      return updateRoute("delete", command, client, io);
    case "route-show": {
      const list = toListQuery(command.words, command);
      const query = toHistoryQuery(list);
      return query === undefined ? listRoutes(list, json, client, io) : showHistory(query, json, client, io);
    }
    case "route-list":
      return listRoutes(toListQuery(command.words, command), json, client, io);
    case "route-lookup":
      return lookUp(command, client, io);
    case "route-load":
      return loadRoutes(command, client, io);
    case "group-set":
      return setNexthopGroup(command, client, io);
    case "group-delete":
      return deleteNexthopGroup(command, client, io);
    case "group-show": {
      const group = await client.getJson<NexthopGroupJson>(groupPath(command.id));
      return show(group, formatNexthopGroup, json, io);
    }
    case "group-list":
      return listNexthopGroups(json, client, io);
    case "route-sync":
      return syncRoutes(command, client, io);
    case "route-flush":
      return flushRoutes({ ...command, owner: toFlushedOwner(command.words, command.owner) }, client, io);
    case "show-owners":
      return show(await client.getJson<OwnersJson>("/v1/owners"), formatOwners, json, io);
    case "show-fpm":
      return show(await client.getJson<FpmJson>("/v1/fpm"), formatFpm, json, io);
    case "show-dplane":
      return show(await client.getJson<DplaneJson>("/v1/dplane"), formatDplane, json, io);
    case "show-providers":
      return show(await client.getJson<ProvidersJson>("/v1/providers"), formatProviders, json, io);
    case "show-health":
      return showHealth(json, client, io);
    case "fpm-replay":
      return replayFpm(command, client, io);
    case "provider-restart":
      return (await import("./provider.ts")).restartProvider(command, client, io);
    case "audit":
      return audit(json, client, io);
    case "monitor":
      return monitor(command, client, io);
    case "top":
      return runTop(command, client, io);
  }
}

/** The token to show, of a command that changes something. */
function readToken(command: ClientCommand, io: CliIo): string | undefined {
  if (!("tokenFile" in command)) return undefined;
  const path = command.tokenFile ?? (io.environment["DPLANED_TOKEN_FILE"] || undefined);
  if (path === undefined) return undefined;
  const token = readTokenFile(path);
  if (!token.ok) throw new Error(`Cannot read the token in ${path}: ${token.message}`);
  return token.token;
}

function show<T>(answer: T, format: (answer: T) => string, json: boolean, io: CliIo): number {
  io.stdout(json ? `${JSON.stringify(answer)}\n` : format(answer));
  return 0;
}

function printVersion(json: boolean, io: CliIo): number {
  return show({ version: VERSION }, ({ version }) => `dplaned ${version}\n`, json, io);
}

/** Checks the file by itself: what the environment of this shell overrides says nothing about the service's. */
async function checkConfig(file: string | undefined, json: boolean, io: CliIo): Promise<number> {
  // Loaded only here: the checks take longer to load than any other command takes to run.
  const { formatConfigProblem, loadConfig } = await import("../../config/config.ts");
  const { checkPluginFiles } = await import("../../config/plugin_files.ts");
  const path = file ?? CONFIG_PATH_DEFAULT;
  const result = loadConfig({ path });
  const problems = result.ok ? checkPluginFiles(result.config) : result.problems;
  const ok = problems.length === 0;
  if (json) io.stdout(`${JSON.stringify({ file: path, ok, problems })}\n`);
  else if (ok) io.stdout(`${path}: ok\n`);
  else io.stderr(problems.map((problem) => `${formatConfigProblem(problem)}\n`).join(""));
  return ok ? 0 : EXIT_FAILED;
}

async function writeProvider(
  command: Extract<ClientCommand, { kind: "provider-types" | "provider-init" }>,
  io: CliIo,
): Promise<number> {
  // The texts are of use to nobody else.
  const { initProvider, printTypes } = await import("./provider.ts");
  return command.kind === "provider-types" ? printTypes(command.json, io) : initProvider(command, io);
}

interface UpdateCommand {
  words: readonly string[];
  owner: string | undefined;
  dryRun: boolean;
  json: boolean;
}

async function updateRoute(
  op: "install" | "delete",
  command: UpdateCommand,
  client: ApiClient,
  io: CliIo,
): Promise<number> {
  const { line, owner } = toUpdateLine(op, command.words, command.owner);
  const response = await client.request({
    method: "POST",
    path: "/v1/routes",
    query: { owner, dryRun: command.dryRun ? "true" : undefined },
    headers: { "content-type": UPDATE_CONTENT_TYPES.iproute2, accept: UPDATE_CONTENT_TYPES.ndjson },
    body: `${line}\n`,
  });
  let result: ResultJson | PlanJson | undefined;
  for await (const text of readLines(response)) {
    const answer = JSON.parse(text) as ResultJson | PlanJson | SummaryLineJson;
    if (!("summary" in answer)) result = answer;
  }
  if (result !== undefined && "plan" in result) return show(result, formatPlan, command.json, io);
  if (result === undefined) throw new Error("The daemon ended its answer without a result; see `dplaned route show`");

  const failed = result.status === "fib_failed" || result.status === "rejected";
  const text = command.json ? JSON.stringify(result) : formatResult(result);
  if (failed && !command.json) io.stderr(`${text}\n`);
  else io.stdout(`${text}\n`);
  return failed ? EXIT_FAILED : 0;
}

async function listRoutes(query: RouteListQuery, json: boolean, client: ApiClient, io: CliIo): Promise<number> {
  const response = await client.request({
    path: "/v1/routes",
    query: { ...query },
    headers: { accept: UPDATE_CONTENT_TYPES.ndjson },
  });
  let piece = "";
  for await (const line of readLines(response)) {
    if (line === "") continue;
    piece += json ? `${line}\n` : formatRoute(JSON.parse(line) as RouteJson);
    if (piece.length < OUTPUT_PIECE_LENGTH) continue;
    io.stdout(piece);
    piece = "";
  }
  io.stdout(piece);
  return 0;
}

async function lookUp(
  command: { words: readonly string[]; json: boolean },
  client: ApiClient,
  io: CliIo,
): Promise<number> {
  const answer = await client.getJson<LookupJson>("/v1/lookup", { ...toLookupQuery(command.words) });
  if (command.json) io.stdout(`${JSON.stringify(answer)}\n`);
  else if (answer.route !== null) io.stdout(formatLookup(answer));
  else io.stderr(formatLookup(answer));
  return answer.route === null ? EXIT_FAILED : 0;
}

async function audit(json: boolean, client: ApiClient, io: CliIo): Promise<number> {
  const response = await client.request({ method: "POST", path: "/v1/audit" });
  const [text] = await Array.fromAsync(readLines(response));
  const report = JSON.parse(text!) as AuditJson;
  io.stdout(json ? `${text}\n` : formatAudit(report, await client.getJson<AuditStatusJson>("/v1/audit")));
  return report.complete ? 0 : EXIT_FAILED;
}

async function replayFpm(
  { name, json }: { name: string; json: boolean },
  client: ApiClient,
  io: CliIo,
): Promise<number> {
  const path = `/v1/fpm/clients/${encodeURIComponent(name)}/replay`;
  const answer = JSON.parse(await readAll(await client.request({ method: "POST", path }))) as FpmReplayJson;
  return show(answer, () => `${name}: everything is being sent again\n`, json, io);
}

function groupPath(id: string): string {
  return `/v1/nexthop-groups/${toGroupNumber(id)}`;
}

async function setNexthopGroup(
  command: { id: string; words: readonly string[]; json: boolean },
  client: ApiClient,
  io: CliIo,
): Promise<number> {
  const body = JSON.stringify(toNexthopGroup(command.words));
  const headers = { "content-type": "application/json", accept: "application/json" };
  const response = await client.request({ method: "PUT", path: groupPath(command.id), headers, body });
  const group = JSON.parse(await readAll(response)) as NexthopGroupJson;
  const failed = group.status === "fib_failed";
  const text = command.json ? `${JSON.stringify(group)}\n` : formatNexthopGroup(group);
  if (failed && !command.json) io.stderr(text);
  else io.stdout(text);
  return failed ? EXIT_FAILED : 0;
}

async function deleteNexthopGroup(
  { id, json }: { id: string; json: boolean },
  client: ApiClient,
  io: CliIo,
): Promise<number> {
  await readAll(await client.request({ method: "DELETE", path: groupPath(id) }));
  return show({ id: toGroupNumber(id), deleted: true }, () => `nexthop group ${id}: deleted\n`, json, io);
}

async function listNexthopGroups(json: boolean, client: ApiClient, io: CliIo): Promise<number> {
  const list = await client.getJson<NexthopGroupsJson>("/v1/nexthop-groups");
  return show(list, ({ nexthopGroups }) => nexthopGroups.map(formatNexthopGroup).join(""), json, io);
}

async function showHealth(json: boolean, client: ApiClient, io: CliIo): Promise<number> {
  const [health, ready] = await Promise.all([
    client.getJson<HealthJson>("/healthz", {}, [503]),
    client.getJson<ReadyJson>("/readyz", {}, [503]),
  ]);
  if (json) io.stdout(`${JSON.stringify({ health, ready })}\n`);
  else io.stdout(formatHealth(health, ready));
  return health.status === "ok" && ready.ready ? 0 : EXIT_FAILED;
}
