/**
 * The daemon's configuration: read from a TOML file, overridden by the environment and by flags, checked as a whole. All
 * that is wrong is reported, each with its place, so that one look at the output is enough to repair a file. Main thread,
 * at start and on SIGHUP.
 */
import { dirname, resolve } from "node:path";
import { parse, TomlError } from "smol-toml";
import type { z } from "zod";
import { CONFIG_PATH_DEFAULT } from "../constants.ts";
import type { LogLevel } from "../log.ts";
import { suggest } from "../suggest.ts";
import { readTrustedFile } from "../trusted_file.ts";
import {
  configSchema,
  type Endpoint,
  environmentName,
  type FpmPeerConfig,
  knownKeys,
  type ParsedConfig,
  type ProviderPriority,
  SECTION_SCHEMAS,
} from "./schema.ts";
import { TomlPositions } from "./toml_positions.ts";

export type { Endpoint, FpmPeerConfig, ProviderPriority } from "./schema.ts";

export interface Config {
  /** The file it was read from; null where there is none and all values are defaults and overrides. */
  path: string | null;
  daemon: {
    socket: string;
    /** TCP endpoint of the HTTP API; null when it is off. */
    http: Endpoint | null;
    httpHosts: string[];
    httpConnections: number;
    /** 0 for no limit. */
    httpRate: number;
    /** Null for plain HTTP. */
    tls: TlsConfig | null;
    logLevel: LogLevel;
    withdrawOnExit: boolean;
  };
  dataplane: { queueLimit: number; workLimit: number };
  kernel: {
    /** Name or path of the network namespace to program; null for the daemon's own. */
    netns: string | null;
    protocol: number;
    metric: number;
    table: number;
    nexthopObjects: "auto" | "on" | "off";
    staleTimeMs: number;
    /** 0 when audits are off. */
    auditIntervalMs: number;
  };
  fpm: FpmConfig;
  owners: OwnerConfig[];
  providers: ProviderConfig[];
}

export interface TlsConfig {
  certificateFile: string;
  keyFile: string;
  /** Null where clients need no certificate. */
  clientCaFile: string | null;
}

export interface FpmConfig {
  /** Null when it is off. */
  listen: Endpoint | null;
  /** Empty for whoever can reach the address. */
  peers: FpmPeerConfig[];
  offloadReplies: boolean;
  acceptKernel: boolean;
  metric: number;
  quietTimeMs: number;
  holdTimeMs: number;
  /** The peer's tables that are others here. */
  tables: ReadonlyMap<number, number>;
  /** Names of our interfaces by the peer's numbers. */
  links: ReadonlyMap<number, string>;
  allowsSharedKernel: boolean;
}

export interface OwnerConfig {
  name: string;
  distance: number;
  tokenFile: string | null;
  /** Names in client certificates. */
  certificates: string[];
  /** 0 for none. */
  prefixLimit: number;
  /** Tables that the owner may write to; empty for all. */
  tables: number[];
  takeOver: boolean;
}

interface ProviderConfigBase {
  /** Undefined where the file gives none. */
  name: string | undefined;
  priority: ProviderPriority;
  threaded: boolean;
}

export type ProviderConfig = ProviderConfigBase &
  (
    | { kind: "kernel" }
    | { kind: "fpm"; address: Endpoint; profile: "frr" | "sonic"; nexthopGroups: boolean; exportFailed: boolean }
    | { kind: "test"; seed: number; failRate: number; delayMs: number; dieAfter: number; stuckAfter: number }
    | { kind: "record"; path: string }
    | ({ kind: "plugin" } & PluginConfig)
  );

export interface PluginConfig {
  /** Absolute. */
  path: string;
  options: Record<string, unknown>;
  failClosed: boolean;
  timeBudgetMs: number;
  hangTimeMs: number;
  answerTimeMs: number;
  errorBudget: number;
  memoryLimit: number;
  privileged: boolean;
}

/** Flags of `dplaned run` that override a key; absent ones do not. */
export interface ConfigFlags {
  socket?: string | undefined;
  http?: string | undefined;
  netns?: string | undefined;
  logLevel?: string | undefined;
}

export interface ConfigSource {
  /** File that must exist. Absent: the default file, which may be missing. */
  path?: string | undefined;
  environment?: Readonly<Record<string, string | undefined>>;
  flags?: ConfigFlags;
}

/** One thing that is wrong with the configuration. */
export interface ConfigProblem {
  /** Where the value comes from: a file, an environment variable or a flag. */
  origin: string;
  /** From 1; absent where the origin has no lines. */
  line?: number;
  column?: number;
  /** The key as `[section] key`; empty where the problem is with the whole. */
  key: string;
  message: string;
}

export type ConfigResult = { ok: true; config: Config } | { ok: false; problems: ConfigProblem[] };

type RawTable = Record<string, unknown>;

/** What overrides the file, and from where it came, by `section.key`. */
type Overrides = Map<string, { origin: string; section: string; key: string; value: unknown }>;

/** `dplaned.toml:12:3: [daemon] sokcet: unknown key; did you mean "socket"?` */
export function formatConfigProblem({ origin, line, column, key, message }: ConfigProblem): string {
  const place = line === undefined ? origin : `${origin}:${line}:${column ?? 1}`;
  return `${place}: ${key === "" ? "" : `${key}: `}${message}`;
}

/** Reads and checks everything that configures the daemon. */
export function loadConfig(source: ConfigSource = {}): ConfigResult {
  const path = source.path ?? CONFIG_PATH_DEFAULT;
  const file = readConfigFile(path, source.path !== undefined);
  if (!file.ok) return { ok: false, problems: [{ origin: path, key: "", message: file.message }] };

  const parsed = parseToml(path, file.text ?? "");
  if ("problem" in parsed) return { ok: false, problems: [parsed.problem] };

  const { overrides, problems } = readOverrides(source);
  const raw = applyOverrides(parsed.table, overrides);
  const checked = configSchema.safeParse(raw);
  if (!checked.success) {
    const positions = new TomlPositions(file.text ?? "");
    problems.push(
      ...checked.error.issues.flatMap((issue) => describeIssue(issue, { path, raw, positions, overrides })),
    );
  } else {
    problems.push(
      ...findDuplicates(path, checked.data, file.text ?? ""),
      ...findOpenFpm(path, checked.data, file.text ?? ""),
      ...findHalfTls(path, checked.data, file.text ?? ""),
    );
  }
  if (!checked.success || problems.length > 0) return { ok: false, problems: problems.sort(byPlace) };
  return { ok: true, config: toConfig(file.text === undefined ? null : path, checked.data) };
}

/** The file's text; undefined where it is missing and may be. */
function readConfigFile(path: string, required: boolean): { ok: true; text?: string } | { ok: false; message: string } {
  const read = readTrustedFile(resolve(path));
  if (read.ok) return { ok: true, text: read.text };
  if (read.code === "ENOENT" && !required) return { ok: true };
  const hint = read.code === "EACCES" ? " (the daemon's user may not read it)" : "";
  return { ok: false, message: `Cannot read the configuration: ${read.message}${hint}` };
}

function parseToml(origin: string, text: string): { table: RawTable } | { problem: ConfigProblem } {
  try {
    // Integers beyond 2^53 arrive as bigint and fail the key's range check, instead of the whole parse without its key.
    return { table: parse(text, { integersAsBigInt: "asNeeded" }) as RawTable };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const message = error.message.split("\n")[0]!.replace("Invalid TOML document: ", "not valid TOML: ");
    return { problem: { origin, line: error.line, column: error.column, key: "", message } };
  }
}

/** Environment variables first, so that flags override them. */
function readOverrides({ environment = {}, flags = {} }: ConfigSource): {
  overrides: Overrides;
  problems: ConfigProblem[];
} {
  const overrides: Overrides = new Map();
  const problems: ConfigProblem[] = [];
  const variables = new Map<string, { section: string; key: string; schema: z.ZodType }>();
  for (const [section, { shape }] of Object.entries(SECTION_SCHEMAS)) {
    for (const [key, schema] of Object.entries(shape))
      variables.set(environmentName(section, key), { section, key, schema });
  }

  const prefixes = Object.keys(SECTION_SCHEMAS).map((section) => environmentName(section, ""));
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined || !prefixes.some((prefix) => name.startsWith(prefix))) continue;
    const variable = variables.get(name);
    if (variable === undefined) {
      problems.push({
        origin: name,
        key: "",
        message: `unknown environment variable${didYouMean(name, variables.keys())}`,
      });
      continue;
    }
    const { section, key, schema } = variable;
    overrides.set(`${section}.${key}`, { origin: name, section, key, value: parseScalar(value, schema) });
  }

  const flag = (name: string, section: string, key: string, value: string | undefined) => {
    if (value !== undefined) overrides.set(`${section}.${key}`, { origin: name, section, key, value });
  };
  flag("--socket", "daemon", "socket", flags.socket);
  flag("--http", "daemon", "http", flags.http);
  flag("--log-level", "daemon", "log-level", flags.logLevel);
  flag("--netns", "kernel", "netns", flags.netns);
  return { overrides, problems };
}

/** A variable is text, or a list of texts with commas; where its key takes no such text, it is what stands in a file without quotes. */
function parseScalar(value: string, schema: z.ZodType): unknown {
  if (schema.safeParse(value).success) return value;
  const words = value.split(",").map((word) => word.trim());
  if (schema.safeParse(words).success) return words;
  if (value === "true" || value === "false") return value === "true";
  return /^-?\d+(?:\.\d+)?$/.test(value) ? Number(value) : value;
}

function applyOverrides(table: RawTable, overrides: Overrides): RawTable {
  const raw = { ...table };
  for (const { section, key, value } of overrides.values()) {
    const present = raw[section] ?? {};
    // A section of a wrong type stays as it is, for the check to report.
    if (isTable(present)) raw[section] = { ...present, [key]: value };
  }
  return raw;
}

interface IssueContext {
  path: string;
  raw: RawTable;
  positions: TomlPositions;
  overrides: Overrides;
}

function describeIssue(issue: z.core.$ZodIssue, context: IssueContext): ConfigProblem[] {
  const path = issue.path as (string | number)[];
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      origin: context.path,
      ...context.positions.find([...path, key]),
      key: formatKey([...path, key], context.raw[key]),
      message: describeUnknown(path, key, valueAt(context.raw, path)),
    }));
  }
  const value = valueAt(context.raw, path);
  // A list's check has told which of its elements is wrong.
  const got = Array.isArray(value) && issue.code === "custom" ? "" : `, got ${formatValue(value)}`;
  const message = value === undefined ? `missing; ${issue.message}` : `${issue.message}${got}`;
  const override = context.overrides.get(path.join("."));
  if (override !== undefined) return [{ origin: override.origin, key: "", message }];
  return [{ origin: context.path, ...context.positions.find(path), key: formatKey(path, value), message }];
}

function describeUnknown(path: readonly (string | number)[], key: string, table: unknown): string {
  const isTop = path.length === 0;
  if (isTop) {
    const home = Object.entries(SECTION_SCHEMAS).find(([, schema]) => Object.hasOwn(schema.shape, key));
    if (home !== undefined) return `unknown here; it belongs under [${home[0]}]`;
  }
  const candidates = knownKeys(path, isTable(table) ? table["kind"] : undefined);
  return `${isTop ? "unknown section" : "unknown key"}${didYouMean(key, candidates)}`;
}

function didYouMean(word: string, candidates: Iterable<string>): string {
  const meant = suggest(word, candidates);
  return meant === undefined ? "" : `; did you mean "${meant}"?`;
}

/** `[daemon] socket`, `[[provider]] path`, `[daemon]`; a key that stands outside all sections as itself. */
function formatKey(path: readonly (string | number)[], value: unknown): string {
  const [section, ...rest] = path;
  const names = rest.filter((part) => typeof part === "string");
  const isList = typeof rest[0] === "number" || (rest.length === 0 && Array.isArray(value));
  if (names.length === 0 && !isTable(value) && !Array.isArray(value)) return String(section);
  return `${isList ? `[[${section}]]` : `[${section}]`} ${names.join(".")}`.trimEnd();
}

/** Names must tell owners, and providers, apart; the schema sees only one of them at a time. */
function findDuplicates(origin: string, config: ParsedConfig, text: string): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  for (const section of ["owner", "provider"] as const) {
    const seen = new Set<string>();
    for (const [index, { name }] of config[section].entries()) {
      if (name === undefined) continue;
      if (seen.has(name)) {
        const position = new TomlPositions(text).find([section, index, "name"]);
        problems.push({ origin, ...position, key: `[[${section}]] name`, message: `"${name}" is used twice` });
      }
      seen.add(name);
    }
  }
  return problems;
}

/** Whoever reaches the FPM server may write routes: beyond the loopback it must be said who that may be. */
function findOpenFpm(origin: string, { fpm }: ParsedConfig, text: string): ConfigProblem[] {
  const twice = fpm.peers.find(
    ({ address, owner }, index) =>
      fpm.peers.findIndex((peer) => peer.address === address || (owner !== null && peer.owner === owner)) !== index,
  );
  if (twice !== undefined) {
    const { address, owner } = twice;
    const message = `each address and each owner may stand here once, and ${address}${owner === null ? "" : `=${owner}`} is the second`;
    return [{ origin, ...new TomlPositions(text).find(["fpm", "peers"]), key: "[fpm] peers", message }];
  }
  if (fpm.listen === null || fpm.peers.length > 0 || isLoopback(fpm.listen.host)) return [];
  const message =
    `whoever can reach ${fpm.listen.host} could write routes; name those who may, ` +
    'such as peers = ["10.0.0.1=frr"], or listen on 127.0.0.1';
  return [{ origin, ...new TomlPositions(text).find(["fpm", "listen"]), key: "[fpm] listen", message }];
}

/** TLS needs a certificate and its key, and client certificates need to be asked for. */
function findHalfTls(origin: string, { daemon, owner }: ParsedConfig, text: string): ConfigProblem[] {
  const problem = (path: (string | number)[], key: string, message: string): ConfigProblem[] => [
    { origin, ...new TomlPositions(text).find(path), key, message },
  ];
  const keys = ["tls-certificate", "tls-key", "tls-client-ca"] as const;
  const given = keys.find((key) => daemon[key] !== "");
  const missing = keys.slice(0, 2).find((key) => daemon[key] === "");
  if (given !== undefined && missing !== undefined) {
    return problem(["daemon", given], `[daemon] ${given}`, `${missing} is missing, and needed beside it`);
  }
  const index = owner.findIndex(({ certificates }) => certificates.length > 0);
  if (index === -1 || daemon["tls-client-ca"] !== "") return [];
  const message = "no client will be asked for a certificate: [daemon] tls-client-ca is missing";
  return problem(["owner", index, "certificates"], "[[owner]] certificates", message);
}

function toTlsConfig(daemon: ParsedConfig["daemon"]): TlsConfig | null {
  const { "tls-certificate": certificateFile, "tls-key": keyFile, "tls-client-ca": clientCa } = daemon;
  return certificateFile === "" ? null : { certificateFile, keyFile, clientCaFile: clientCa === "" ? null : clientCa };
}

function isLoopback(host: string): boolean {
  return host.startsWith("127.") || host === "::1";
}

function valueAt(table: unknown, path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>(
    (value, part) => (typeof value === "object" && value !== null ? (value as RawTable)[part] : undefined),
    table,
  );
}

function isTable(value: unknown): value is RawTable {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function formatValue(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (isTable(value)) return "a table";
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

function byPlace(a: ConfigProblem, b: ConfigProblem): number {
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0);
}

function toConfig(path: string | null, { daemon, dataplane, kernel, fpm, owner, provider }: ParsedConfig): Config {
  return {
    path,
    daemon: {
      socket: daemon.socket,
      http: daemon.http,
      httpHosts: daemon["http-hosts"],
      httpConnections: daemon["http-connections"],
      httpRate: daemon["http-rate"],
      tls: toTlsConfig(daemon),
      logLevel: daemon["log-level"],
      withdrawOnExit: daemon["withdraw-on-exit"],
    },
    dataplane: { queueLimit: dataplane["queue-limit"], workLimit: dataplane["work-limit"] },
    kernel: {
      netns: kernel.netns === "" ? null : kernel.netns,
      protocol: kernel.protocol,
      metric: kernel.metric,
      table: kernel.table,
      nexthopObjects: kernel["nexthop-objects"],
      staleTimeMs: kernel["stale-time"],
      auditIntervalMs: kernel["audit-interval"],
    },
    fpm: {
      listen: fpm.listen,
      peers: fpm.peers,
      offloadReplies: fpm["offload-replies"],
      acceptKernel: fpm["accept-kernel"],
      metric: fpm.metric,
      quietTimeMs: fpm["quiet-time"],
      holdTimeMs: fpm["hold-time"],
      tables: new Map(fpm["table-map"]),
      links: new Map(fpm["link-map"]),
      allowsSharedKernel: fpm["shared-kernel"] === "allow",
    },
    owners: owner.map((each) => ({
      name: each.name,
      distance: each.distance,
      tokenFile: each["token-file"] ?? null,
      certificates: each.certificates,
      prefixLimit: each["prefix-limit"],
      tables: each.tables,
      takeOver: each["take-over"],
    })),
    providers: provider.map((each) => toProviderConfig(each, resolve(path ?? CONFIG_PATH_DEFAULT))),
  };
}

/** `configPath` is the file in which it stands. */
function toProviderConfig(provider: ParsedConfig["provider"][number], configPath: string): ProviderConfig {
  const { name, priority, threaded } = provider;
  const base = { name, priority, threaded };
  switch (provider.kind) {
    case "kernel":
      return { ...base, kind: "kernel" };
    case "fpm":
      return {
        ...base,
        kind: "fpm",
        address: provider.address,
        profile: provider.profile,
        nexthopGroups: provider["nexthop-groups"],
        exportFailed: provider["export-failed"],
      };
    case "test":
      return {
        ...base,
        kind: "test",
        seed: provider.seed,
        failRate: provider["fail-rate"],
        delayMs: provider["delay-ms"],
        dieAfter: provider["die-after"],
        stuckAfter: provider["stuck-after"],
      };
    case "record":
      return { ...base, kind: "record", path: provider.path };
    case "plugin":
      return {
        ...base,
        kind: "plugin",
        path: resolve(dirname(configPath), provider.path),
        options: provider.options,
        failClosed: provider["fail-closed"],
        timeBudgetMs: provider["time-budget"],
        hangTimeMs: provider["hang-time"],
        answerTimeMs: provider["answer-time"],
        errorBudget: provider["error-budget"],
        memoryLimit: provider["memory-limit"],
        privileged: provider.privileged,
      };
  }
}
