/**
 * Every key of the configuration, once: its type, range, default and meaning. Checking, error messages, environment
 * variables and the reference in the documentation all derive from here. Any thread.
 */
import { isIP } from "node:net";
import { z } from "zod";
import {
  HTTP_ADDRESS_DEFAULT,
  HTTP_CONNECTIONS_DEFAULT,
  HTTP_RATE_DEFAULT,
  METRIC_DEFAULT,
  OWNER_DISTANCE_DEFAULT,
  PLUGIN_MEMORY_MIN,
  QUEUE_LIMIT_DEFAULT,
  QUEUE_LIMIT_MAX,
  RT_TABLE_DEFAULT,
  RTPROT_DEFAULT,
  SOCKET_PATH_DEFAULT,
  WORK_LIMIT_DEFAULT,
  WORK_LIMIT_MAX,
} from "../constants.ts";
import { LOG_LEVELS } from "../log.ts";

/** Where to listen or connect: an address, or for connecting also a host name, and a TCP port. */
export interface Endpoint {
  host: string;
  port: number;
}

const U32_MAX = 0xffff_ffff;
const DURATION_UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const DURATION_MAX_MS = 7 * 86_400_000;

// Each value type carries its name for the reference (`meta.type`) and one sentence for everything that can be wrong with it.

function integer(min: number, max: number) {
  const error = `expected a whole number from ${min} to ${max}`;
  return z
    .int({ error })
    .min(min, { error })
    .max(max, { error })
    .meta({ type: `integer, ${min} to ${max}` });
}

function fraction() {
  const error = "expected a number from 0 to 1";
  return z.number({ error }).min(0, { error }).max(1, { error }).meta({ type: "number, 0 to 1" });
}

function boolean() {
  return z.boolean({ error: "expected true or false" }).meta({ type: "boolean" });
}

function choice<const T extends readonly [string, ...string[]]>(words: T) {
  const list = words.map((word) => `"${word}"`).join(", ");
  return z.enum(words, { error: `expected one of ${list}` }).meta({ type: list.replaceAll(", ", " | ") });
}

function text(pattern: RegExp, expected: string, type: string) {
  const error = `expected ${expected}`;
  return z.string({ error }).regex(pattern, { error }).meta({ type });
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;
const name = () => text(NAME, "a name of letters, digits, '.', '_' and '-', 64 at most", "name");
/** The daemon's working directory is `/`, so a relative path would mean something else than its author thinks. */
const path = () => text(/^\/[^\0]*[^/\0]$/, "an absolute path", "path");

/** A file that stands beside the configuration, or anywhere by an absolute path (core/config/config.ts puts them together). */
const file = () => text(/^[^\0]*[^/\0]$/, "a path, absolute or from the folder of the configuration", "path");

const SIZE_UNITS: Readonly<Record<string, number>> = { K: 1 << 10, M: 1 << 20, G: 1 << 30 };

/** Bytes of `256M`, in multiples of 1024 as systemd takes them. */
function size(minBytes: number) {
  const error = `expected a size such as "256M" or "1G", at least "${minBytes >> 20}M"`;
  return z
    .string({ error })
    .transform((value, context) => {
      const [, count, unit] = /^(\d{1,6})([KMG])$/.exec(value) ?? [];
      const bytes = Number(count) * SIZE_UNITS[unit ?? ""]!;
      if (bytes >= minBytes) return bytes;
      context.addIssue({ code: "custom", message: error });
      return z.NEVER;
    })
    .meta({ type: "size" });
}

/** A table that is handed on as it is, as JSON. */
function table() {
  const error = "expected a table of what JSON can say";
  return z
    .record(z.string(), z.unknown(), { error })
    .transform((value, context) => {
      try {
        return JSON.parse(JSON.stringify(value)) as Record<string, unknown>;
      } catch {
        // A whole number of more than 53 bits.
        context.addIssue({ code: "custom", message: error });
        return z.NEVER;
      }
    })
    .meta({ type: "table" })
    .prefault({});
}
/** A path, or empty for none. */
const optionalPath = () => text(/^$|^\/[^\0]*[^/\0]$/, "an absolute path, or nothing", "path").default("");

function duration() {
  const error = 'expected a duration such as "500ms", "120s" or "2m", at most "7d"';
  return z
    .string({ error })
    .transform((value, context) => {
      const milliseconds = parseDuration(value);
      if (milliseconds !== undefined && milliseconds <= DURATION_MAX_MS) return milliseconds;
      context.addIssue({ code: "custom", message: error });
      return z.NEVER;
    })
    .meta({ type: "duration" });
}

/** An endpoint, or with `off` nothing. */
function listen() {
  const error = 'expected ADDRESS:PORT such as "127.0.0.1:2680" or "[::1]:2680", or "off"';
  return z
    .string({ error })
    .transform((value, context) => {
      if (value === "off") return null;
      const endpoint = parseEndpoint(value);
      if (endpoint !== undefined && isIP(endpoint.host) !== 0) return endpoint;
      context.addIssue({ code: "custom", message: error });
      return z.NEVER;
    })
    .meta({ type: 'ADDRESS:PORT or "off"' });
}

function connect() {
  const error = 'expected HOST:PORT such as "127.0.0.1:2620"';
  return z
    .string({ error })
    .transform((value, context) => {
      const endpoint = parseEndpoint(value);
      if (endpoint !== undefined && endpoint.port > 0) return endpoint;
      context.addIssue({ code: "custom", message: error });
      return z.NEVER;
    })
    .meta({ type: "HOST:PORT" });
}

/** Milliseconds of `500ms`, `120s`, `1h30m`; undefined for anything else. */
export function parseDuration(value: string): number | undefined {
  if (!/^(?:\d+(?:ms|s|m|h|d))+$/.test(value)) return undefined;
  let milliseconds = 0;
  for (const [, count, unit] of value.matchAll(/(\d+)(ms|s|m|h|d)/g)) {
    milliseconds += Number(count) * DURATION_UNITS_MS[unit!]!;
  }
  return milliseconds;
}

/** `HOST:PORT` with IPv6 addresses in brackets; undefined for anything else. */
export function parseEndpoint(value: string): Endpoint | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(value);
  if (match === null || Number(match[3]) > 0xffff) return undefined;
  if (match[1] !== undefined && isIP(match[1]) !== 6) return undefined;
  return { host: match[1] ?? match[2]!, port: Number(match[3]) };
}

/** A list of texts, each of which `read` understands; undefined means that it does not. */
function list<T>(read: (text: string) => T | undefined, expected: string) {
  const error = `expected a list of ${expected}`;
  return z
    .array(z.string({ error }), { error })
    .transform((texts, context) => {
      const values = texts.map(read);
      const wrong = values.indexOf(undefined);
      if (wrong === -1) return values as T[];
      context.addIssue({ code: "custom", message: `${error}, which ${JSON.stringify(texts[wrong])} is not` });
      return z.NEVER;
    })
    .meta({ type: "list of text" })
    .prefault([]);
}

/** A name as it stands in a request, in small letters and without a port. */
function parseHostName(text: string): string | undefined {
  return /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/i.test(text)
    ? text.toLowerCase()
    : undefined;
}

/** A name as core/northbound/certificate_names.ts spells those of a certificate. */
function parseCertificateName(text: string): string | undefined {
  return /^(?:CN=|DNS:|URI:|EMAIL:|IP:)[ -~]+$/.test(text) ? text : undefined;
}

const daemonSchema = z.strictObject({
  socket: path()
    .default(SOCKET_PATH_DEFAULT)
    .describe("Unix socket of the HTTP API. Mode 0660, group `dplaned` where it exists."),
  http: listen()
    .prefault(HTTP_ADDRESS_DEFAULT)
    .describe("TCP address of the HTTP API for reads, health, metrics and the dashboard."),
  "http-hosts": list(parseHostName, 'host names such as "router1.example"').describe(
    "Names by which the HTTP API is reached over TCP, beside addresses, `localhost` and the machine's own name. Requests for others are refused: a web page could have made them.",
  ),
  "http-connections": integer(1, 65_536)
    .default(HTTP_CONNECTIONS_DEFAULT)
    .describe("Connections over TCP at a time. One address may have half of them."),
  "http-rate": integer(0, 1_000_000)
    .default(HTTP_RATE_DEFAULT)
    .describe("Requests a second from one address over TCP. Those that may write do not count. 0: no limit."),
  "tls-certificate": optionalPath().describe(
    "File with the server's certificate chain, PEM: with it TCP is HTTPS, with TLS 1.3. Read again on SIGHUP, as the other two are.",
  ),
  "tls-key": optionalPath().describe(
    "File with the certificate's private key, PEM. Others must not be able to read it.",
  ),
  "tls-client-ca": optionalPath().describe(
    "File with the certificates of the authorities that clients' certificates come from, PEM. With it whoever connects over TCP must show one; what it may write `[[owner]] certificates` says.",
  ),
  "log-level": choice(LOG_LEVELS).default("info").describe("Least severe level that is logged. Reloaded on SIGHUP."),
  "withdraw-on-exit": boolean()
    .default(false)
    .describe(
      "Whether the daemon removes its routes from the kernel when it exits. Normally they stay and are adopted on the next start.",
    ),
});

const dataplaneSchema = z.strictObject({
  "queue-limit": integer(1, QUEUE_LIMIT_MAX)
    .default(QUEUE_LIMIT_DEFAULT)
    .describe("Updates that may wait in the incoming queue before clients are made to wait."),
  "work-limit": integer(1, WORK_LIMIT_MAX)
    .default(WORK_LIMIT_DEFAULT)
    .describe(
      "Updates that each provider may take in one cycle: larger batches are faster, smaller ones answer sooner.",
    ),
});

const kernelSchema = z.strictObject({
  netns: text(/^$|^[^/\0]+$|^\/[^\0]+$/, "the name of a network namespace or an absolute path to one", "name or path")
    .default("")
    .describe("Network namespace to program, by its name (`ip netns`) or path. Empty: the daemon's own."),
  // 0 to 4 are the kernel's and the administrator's own routes, which adoption after a restart would take for ours.
  protocol: integer(5, 255)
    .default(RTPROT_DEFAULT)
    .describe(
      "Protocol number with which the daemon's routes are marked in the kernel. Nothing else may use it: stale routes with it are removed.",
    ),
  metric: integer(0, U32_MAX).default(METRIC_DEFAULT).describe("Metric of updates that give none."),
  table: integer(1, U32_MAX)
    .default(RT_TABLE_DEFAULT)
    .describe("Routing table of updates that give none; 254 is `main`."),
  "nexthop-objects": choice(["auto", "on", "off"])
    .default("auto")
    .describe(
      "Whether routes on a nexthop group, and many routes over the same nexthops, go by an object in the kernel. `auto`: where the kernel can; `on`: no start where it cannot; `off`: each route has the nexthops itself.",
    ),
  "stale-time": duration()
    .prefault("120s")
    .describe("How long routes found in the kernel at start wait for an owner to claim them before they are removed."),
  "audit-interval": duration()
    .prefault("60s")
    .describe("How often the kernel's tables are compared with what they should hold. `0s`: never."),
});

/** Who may send routes over FPM. */
export interface FpmPeerConfig {
  address: string;
  /** Null for `fpm-ADDRESS`. */
  owner: string | null;
}

function parsePeer(text: string): FpmPeerConfig | undefined {
  const [address = "", owner = null, ...rest] = text.split("=");
  const isName = owner === null || NAME.test(owner);
  return isIP(address) !== 0 && isName && rest.length === 0 ? { address, owner } : undefined;
}

function parseTablePair(text: string): [peers: number, ours: number] | undefined {
  const [, peers, ours] = /^(\d{1,10})=(\d{1,10})$/.exec(text) ?? [];
  const pair: [number, number] = [Number(peers), Number(ours)];
  return pair[0] >= 0 && pair[0] <= U32_MAX && pair[1] >= 1 && pair[1] <= U32_MAX ? pair : undefined;
}

function parseLinkPair(text: string): [ifindex: number, name: string] | undefined {
  const [, ifindex, link] = /^([1-9]\d{0,8})=([^/\s=]{1,15})$/.exec(text) ?? [];
  return link === undefined ? undefined : [Number(ifindex), link];
}

const fpmSchema = z.strictObject({
  listen: listen()
    .prefault("off")
    .describe(
      "TCP address of the FPM server, usually `127.0.0.1:2620`: routing daemons such as FRR send their routes there.",
    ),
  peers: list(
    parsePeer,
    'peers such as "10.0.0.1" or "10.0.0.1=frr", an address with the owner of its routes',
  ).describe(
    "Who may connect, and the owner of its routes (`fpm-ADDRESS` where none is named). Empty: whoever can reach the address, which then has to be one of the loopback.",
  ),
  "offload-replies": boolean()
    .default(false)
    .describe(
      "Whether each result goes back to the peer as a route with the flag OFFLOAD or OFFLOAD_FAILED, for which FRR's `bgp suppress-fib-pending` waits.",
    ),
  "accept-kernel": boolean()
    .default(false)
    .describe("Whether routes are taken that the peer has from its own kernel (protocol 2), such as connected ones."),
  metric: integer(0, U32_MAX)
    .default(METRIC_DEFAULT)
    .describe(
      "Metric of all routes that come over FPM. The peer's own is not the kernel's, and part of no route's name.",
    ),
  "quiet-time": duration()
    .prefault("5s")
    .describe(
      "FPM has no mark where a replay ends: after so much silence what the peer had sent before, and not again, is removed.",
    ),
  "hold-time": duration()
    .prefault("120s")
    .describe(
      "How long the routes of a peer that is gone are kept, and after the restart of a peer those that it has not sent again.",
    ),
  "table-map": list(parseTablePair, 'pairs of table numbers such as "10=100", the peer\'s and ours').describe(
    "Tables of the peer that are others here. All the rest have the same number.",
  ),
  "link-map": list(
    parseLinkPair,
    'pairs such as "2=v0", the number of an interface of the peer and the name of ours',
  ).describe("Interfaces of the peer, which FPM names by number, where ours have other numbers."),
  "shared-kernel": choice(["refuse", "allow"])
    .default("refuse")
    .describe(
      "What to do with routes of a peer that programs the same kernel as dplaned, where they would land in the same table: FRR would take ours for somebody else's, withdraw its own, and so on for ever.",
    ),
});

const ownerSchema = z.strictObject({
  name: name().describe("Name that clients give with `owner`."),
  distance: integer(0, 255)
    .default(OWNER_DISTANCE_DEFAULT)
    .describe(
      "Administrative distance of the owner's routes that give none. Of several owners' routes to one prefix the lowest distance wins.",
    ),
  "token-file": path()
    .optional()
    .describe("File with the token that clients show to write as this owner. Absent: no token."),
  certificates: list(
    parseCertificateName,
    'names in certificates such as "CN=frr", "DNS:frr.example", "URI:spiffe://lab/frr", "IP:10.0.0.9" or "EMAIL:a@b.example"',
  ).describe(
    "Names in client certificates: who shows a certificate with one of them may write as this owner over TCP. Needs `[daemon] tls-client-ca`.",
  ),
  "prefix-limit": integer(0, U32_MAX).default(0).describe("Routes that the owner may hold. 0: no limit."),
  tables: z
    .array(integer(1, U32_MAX), { error: "expected a list of table numbers, such as [254, 100]" })
    .meta({ type: "list of integers" })
    .default([])
    .describe("Tables that the owner may write to. Empty: all."),
  "take-over": boolean()
    .default(false)
    .describe("Whether the owner may replace routes that somebody else put into the kernel."),
});

export const PROVIDER_PRIORITIES = ["preprocess", "pre-kernel", "kernel", "post-kernel", "postprocess"] as const;
export type ProviderPriority = (typeof PROVIDER_PRIORITIES)[number];

/** The keys that every provider has, with the defaults of one kind. */
function providerSchema<const K extends string, S extends z.core.$ZodLooseShape>(
  kind: K,
  defaults: { priority: ProviderPriority; threaded: boolean },
  own: S,
) {
  return z.strictObject({
    kind: z.literal(kind),
    name: name().optional().describe("Name in counters, results and logs. Absent: `provider-N`, with N its number."),
    priority: choice(PROVIDER_PRIORITIES).default(defaults.priority).describe("Place in the pipeline."),
    threaded: boolean().default(defaults.threaded).describe("Whether the provider runs in a thread of its own."),
    ...own,
  });
}

export const PROVIDER_SCHEMAS = {
  kernel: providerSchema("kernel", { priority: "kernel", threaded: false }, {}),
  fpm: providerSchema(
    "fpm",
    { priority: "post-kernel", threaded: true },
    {
      threaded: z
        .literal(true, { error: "expected true: an FPM client always runs in a thread of its own" })
        .meta({ type: "boolean" })
        .default(true)
        .describe("Always true: an FPM client runs in a thread of its own."),
      address: connect().describe("FPM server to export routes to."),
      profile: choice(["frr", "sonic"])
        .default("frr")
        .describe("Dialect of the FPM server: that of FRR's tools and of dplaned itself, or that of SONiC's fpmsyncd."),
      "nexthop-groups": boolean()
        .default(true)
        .describe("Whether nexthop objects are exported. `false`: each route has its nexthops itself."),
      "export-failed": boolean()
        .default(false)
        .describe("Whether routes that the kernel has refused are exported all the same."),
    },
  ),
  test: providerSchema(
    "test",
    { priority: "pre-kernel", threaded: false },
    {
      seed: integer(0, U32_MAX)
        .default(1)
        .describe("Seed from which failures and delays are drawn, the same ones on each run."),
      "fail-rate": fraction().default(0).describe("Share of the updates that fail."),
      "delay-ms": integer(0, 60_000).default(0).describe("Longest delay of an update, in milliseconds."),
      "die-after": integer(0, U32_MAX)
        .default(0)
        .describe("Updates after which its thread ends without a word, to see what becomes of it. 0: never."),
      "stuck-after": integer(0, U32_MAX)
        .default(0)
        .describe("Updates after which it does not return, to see what becomes of it. 0: never."),
    },
  ),
  record: providerSchema(
    "record",
    { priority: "post-kernel", threaded: false },
    { path: path().describe("File that every update is written to, for replay.") },
  ),
  plugin: providerSchema(
    "plugin",
    { priority: "post-kernel", threaded: true },
    {
      path: file().describe(
        "TypeScript or JavaScript file of the provider; nobody but root and the daemon's user may write to it.",
      ),
      options: table().describe("What the plugin is configured with; it checks that itself."),
      "fail-closed": boolean()
        .default(false)
        .describe(
          "What becomes of updates that the plugin does not decide, because it is down, threw an exception or took too long. `false`: they go on, and their results say so; `true`: they fail.",
        ),
      "time-budget": duration()
        .prefault("100ms")
        .describe("How long one call of the plugin may take. Longer ones are counted and logged."),
      "hang-time": duration()
        .prefault("5s")
        .describe("How long the plugin may give no sign of life before it is ended and started anew."),
      "answer-time": duration()
        .prefault("10s")
        .describe("How long the plugin may keep an update before it counts as not decided."),
      "error-budget": integer(0, 1_000_000)
        .default(10)
        .describe(
          "Exceptions and late answers within a minute after which the plugin is ended, and started anew later.",
        ),
      "memory-limit": size(PLUGIN_MEMORY_MIN)
        .prefault("256M")
        .describe("Memory of the plugin's process above which it is ended and started anew."),
      privileged: boolean()
        .default(false)
        .describe("Whether the plugin's process keeps the daemon's capabilities, such as CAP_NET_ADMIN."),
      threaded: z
        .literal(true, { error: "expected true: a plugin always runs in a thread of its own" })
        .meta({ type: "boolean" })
        .default(true)
        .describe("Always true: a plugin runs in a thread of its own."),
    },
  ),
} as const;
export const PROVIDER_KINDS = Object.keys(PROVIDER_SCHEMAS) as (keyof typeof PROVIDER_SCHEMAS)[];

/** Sections with single values, each of which a `DPLANED_<SECTION>_<KEY>` environment variable may override. */
export const SECTION_SCHEMAS = {
  daemon: daemonSchema,
  dataplane: dataplaneSchema,
  kernel: kernelSchema,
  fpm: fpmSchema,
} as const;
export type SectionName = keyof typeof SECTION_SCHEMAS;

const section = <S extends z.ZodType>(schema: S) => schema.prefault({} as z.input<S>);

export const configSchema = z.strictObject({
  daemon: section(daemonSchema),
  dataplane: section(dataplaneSchema),
  kernel: section(kernelSchema),
  fpm: section(fpmSchema),
  owner: z.array(ownerSchema, { error: "expected [[owner]], with two brackets" }).default([]),
  provider: z
    .array(
      z.discriminatedUnion(
        "kind",
        [
          PROVIDER_SCHEMAS.kernel,
          PROVIDER_SCHEMAS.fpm,
          PROVIDER_SCHEMAS.test,
          PROVIDER_SCHEMAS.record,
          PROVIDER_SCHEMAS.plugin,
        ],
        { error: `expected one of ${PROVIDER_KINDS.map((kind) => `"${kind}"`).join(", ")}` },
      ),
      { error: "expected [[provider]], with two brackets" },
    )
    .default([]),
});
export type ParsedConfig = z.output<typeof configSchema>;

export interface ConfigKey {
  /** As in the file: `[kernel] table`, `[[provider]] kind = "test": seed`. */
  section: string;
  key: string;
  type: string;
  /** As written in the file; absent where there is none. */
  default?: string;
  /** Environment variable that overrides it; absent for lists of tables. */
  environment?: string;
  description: string;
}

/** Name of the environment variable that overrides a key. */
export function environmentName(sectionName: string, key: string): string {
  return `DPLANED_${sectionName}_${key}`.toUpperCase().replaceAll("-", "_");
}

/** All keys in the order of the documentation. */
export function configReference(): ConfigKey[] {
  const keys: ConfigKey[] = [];
  for (const [sectionName, schema] of Object.entries(SECTION_SCHEMAS)) {
    for (const key of describeKeys(`[${sectionName}]`, schema.shape)) {
      keys.push({ ...key, environment: environmentName(sectionName, key.key) });
    }
  }
  keys.push(...describeKeys("[[owner]]", ownerSchema.shape));
  for (const [kind, schema] of Object.entries(PROVIDER_SCHEMAS)) {
    const { kind: _, ...rest } = schema.shape;
    keys.push(...describeKeys(`[[provider]] kind = "${kind}"`, rest));
  }
  return keys;
}

/** The keys that stand in the table at `path` of a document, for suggestions; none where `path` leads nowhere. */
export function knownKeys(path: readonly PropertyKey[], kind: unknown): string[] {
  const [sectionName, index] = path;
  if (sectionName === undefined) return Object.keys(configSchema.shape);
  if (sectionName === "owner" && index !== undefined) return Object.keys(ownerSchema.shape);
  if (sectionName === "provider" && index !== undefined) {
    const schema = Object.hasOwn(PROVIDER_SCHEMAS, kind as string)
      ? PROVIDER_SCHEMAS[kind as keyof typeof PROVIDER_SCHEMAS]
      : undefined;
    return Object.keys(schema?.shape ?? {});
  }
  return Object.hasOwn(SECTION_SCHEMAS, sectionName)
    ? Object.keys(SECTION_SCHEMAS[sectionName as SectionName].shape)
    : [];
}

function describeKeys(sectionName: string, shape: Readonly<Record<string, z.core.$ZodType>>): ConfigKey[] {
  return Object.entries(shape).map(([key, schema]) => {
    const description = z.globalRegistry.get(schema)?.description ?? "";
    const described: ConfigKey = { section: sectionName, key, type: "", description };
    for (
      let inner: unknown = schema;
      inner instanceof z.ZodType;
      inner = (inner.def as { innerType?: unknown }).innerType
    ) {
      const { defaultValue } = inner.def as { defaultValue?: unknown };
      if (defaultValue !== undefined) described.default = JSON.stringify(defaultValue);
      described.type ||= String(z.globalRegistry.get(inner)?.["type"] ?? "");
    }
    return described;
  });
}
