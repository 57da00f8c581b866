/**
 * The story of the routes to one prefix, behind `GET /v1/routes/history`: what each is now, who wants it and why which of
 * them is not selected, what the kernel holds instead, and what happened to it. Main thread.
 */
import { NO_ATTRS } from "../context/attrs.ts";
import { ContextOp } from "../context/layout.ts";
import type { Dataplane } from "../dataplane/dataplane.ts";
import type { LinkTable } from "../model/link_table.ts";
import { formatPrefix } from "../model/prefix.ts";
import { formatProtocol } from "../model/protocol.ts";
import { createRouteUpdate, Family, type RouteUpdate, UpdateOp } from "../model/route.ts";
import { type Claim, routeKey } from "../rib/claims.ts";
import { type Journal, type JournalEntry, JournalKind } from "../rib/journal.ts";
import type { KeyClass } from "../rib/key_classes.ts";
import type { Rib } from "../rib/rib.ts";
import { NO_ROUTE } from "../rib/route_store.ts";
import type {
  ClaimJson,
  ErrorJson,
  HistoryEntryJson,
  HistoryEvent,
  ResultStatus,
  RouteAttributesJson,
  RouteHistoryJson,
  RouteJson,
  RouteKeyJson,
  RouteStoryJson,
} from "./api_types.ts";
import { summarizeEntry } from "./cli/history_format.ts";
import { describeError } from "./outcome.ts";
import type { TroubleJson } from "./overview_types.ts";
import { formatAttributes, RouteJsonWriter } from "./route_json.ts";

export interface HistoryParts {
  rib: Rib;
  journal: Journal;
  dataplane: Dataplane;
  links: LinkTable;
}

/** What is asked for; null for any. */
export interface HistoryQuery {
  /** `family` NONE stands for the default route of both. */
  prefix: { family: Family; address: Uint8Array; length: number };
  table: number | null;
  metric: number | null;
  source: { address: Uint8Array; length: number } | null;
  /** Most entries. */
  limit: number;
}

type RouteKey = Pick<KeyClass, "family" | "table" | "metric" | "source" | "sourceLength">;

interface Story {
  key: RouteKey;
  /** Its number in the RIB; NO_ROUTE if it is not there any more. */
  route: number;
  entries: JournalEntry[];
}

const EVENTS: Readonly<Record<JournalKind, HistoryEvent>> = {
  [JournalKind.FIB_PROGRAMMED]: "result",
  [JournalKind.FIB_FAILED]: "result",
  [JournalKind.RIB_PROGRAMMED]: "result",
  [JournalKind.SKIPPED]: "result",
  [JournalKind.SUPERSEDED]: "result",
  [JournalKind.SWEPT]: "swept",
  [JournalKind.DRIFT_MISSING]: "drift",
  [JournalKind.DRIFT_CHANGED]: "drift",
  [JournalKind.DRIFT_REPLACED]: "drift",
  [JournalKind.REPAIR_DELAYED]: "repair_delayed",
  [JournalKind.PROMOTED]: "promoted",
  [JournalKind.DISPLACED]: "displaced",
  [JournalKind.RETRIED]: "retried",
};

const STATUSES: Readonly<Partial<Record<JournalKind, ResultStatus>>> = {
  [JournalKind.FIB_PROGRAMMED]: "fib_programmed",
  [JournalKind.FIB_FAILED]: "fib_failed",
  [JournalKind.RIB_PROGRAMMED]: "rib_programmed",
  [JournalKind.SKIPPED]: "skipped",
  [JournalKind.SUPERSEDED]: "superseded",
};

const DRIFTS: Readonly<Partial<Record<JournalKind, HistoryEntryJson["drift"]>>> = {
  [JournalKind.DRIFT_MISSING]: "missing",
  [JournalKind.DRIFT_CHANGED]: "changed",
  [JournalKind.DRIFT_REPLACED]: "replaced",
};

const CHANGES: Readonly<Partial<Record<ContextOp, HistoryEntryJson["change"]>>> = {
  [ContextOp.ROUTE_INSTALL]: "new",
  [ContextOp.ROUTE_UPDATE]: "replace",
  [ContextOp.ROUTE_DELETE]: "delete",
};

/** The routes to the prefix that there are or were lately, by table, metric and source. */
export function describeHistory(parts: HistoryParts, query: HistoryQuery): RouteHistoryJson {
  const { journal } = parts;
  const { address, length } = query.prefix;
  const routes: RouteStoryJson[] = [];
  let omitted = 0;
  const families = query.prefix.family === Family.NONE ? [Family.IPV4, Family.IPV6] : [query.prefix.family];
  for (const family of families) {
    const exact = { ...query, family, prefix: address, prefixLength: length };
    const found = journal.find(exact, query.limit);
    omitted += found.omitted;
    for (const story of collectStories(parts.rib, query, family, found.entries)) {
      routes.push(new StoryWriter(parts, story, address, length).write());
    }
  }
  const since = journal.since === 0 ? {} : { since: Math.round(journal.since + journal.epochOffset) };
  return { ...since, omitted, routes };
}

/** The failures and the drift from number `first` on that are remembered, oldest first. */
export function describeTroubles(parts: HistoryParts, first: number): TroubleJson[] {
  const troubles: TroubleJson[] = [];
  for (const entry of parts.journal.troubles?.from(first) ?? []) {
    const { family, table, metric, source, sourceLength } = entry;
    const key = { family, table, metric, source, sourceLength };
    const story = { key, route: NO_ROUTE, entries: [entry] };
    troubles.push(new StoryWriter(parts, story, entry.prefix, entry.prefixLength).writeEntry(entry));
  }
  return troubles;
}

function collectStories(rib: Rib, query: HistoryQuery, family: Family, entries: JournalEntry[]): Story[] {
  const { address, length } = query.prefix;
  const stories = new Map<string, Story>();
  const sourceOf = ({ source, sourceLength }: Omit<RouteKey, "family">): string =>
    sourceLength === 0 ? "" : formatPrefix(family, source, 0, sourceLength);
  const storyOf = (key: Omit<RouteKey, "family">): Story => {
    const name = `${key.table} ${key.metric} ${sourceOf(key)}`;
    let story = stories.get(name);
    if (story === undefined) {
      const { table, metric, source, sourceLength } = key;
      story = { key: { family, table, metric, source, sourceLength }, route: NO_ROUTE, entries: [] };
      stories.set(name, story);
    }
    return story;
  };
  const wantedSource = query.source === null ? "" : formatPrefix(family, query.source.address, 0, query.source.length);
  for (const keyClass of rib.classes.values()) {
    if (keyClass.family !== family || keyClass.byLength[length] === 0) continue;
    if (query.table !== null && keyClass.table !== query.table) continue;
    if (query.metric !== null && keyClass.metric !== query.metric) continue;
    if (query.source !== null && sourceOf(keyClass) !== wantedSource) continue;
    const route = rib.store(family).find(address, length, keyClass.id);
    if (route !== NO_ROUTE) storyOf(keyClass).route = route;
  }
  for (const entry of entries) storyOf(entry).entries.push(entry);
  return [...stories.values()].sort(
    ({ key: a }, { key: b }) => a.table - b.table || a.sourceLength - b.sourceLength || a.metric - b.metric,
  );
}

/** Tells one route's story. */
class StoryWriter {
  readonly #parts: HistoryParts;
  readonly #story: Story;
  /** The key of the route, and whatever attributes are being told. */
  readonly #update: RouteUpdate = createRouteUpdate();

  constructor(parts: HistoryParts, story: Story, prefix: Uint8Array, prefixLength: number) {
    this.#parts = parts;
    this.#story = story;
    const { family, table, metric, source, sourceLength } = story.key;
    Object.assign(this.#update, { family, prefix, prefixLength, table, metric, source, sourceLength });
  }

  write(): RouteStoryJson {
    const entries = this.#story.entries.map((entry) => this.#describeEntry(entry));
    // A hint goes by what links are now, and what failed before may have failed for another reason.
    for (const { error } of entries.slice(0, -1)) delete error?.hint;
    return { ...this.#describeKey(), ...this.#describeNow(), entries };
  }

  /** One entry, with what names its route. */
  writeEntry(entry: JournalEntry): TroubleJson {
    return { ...this.#describeKey(), ...this.#describeEntry(entry) };
  }

  #describeKey(): RouteKeyJson {
    const { key } = this.#story;
    const { prefix, prefixLength } = this.#update;
    const vrf = this.#parts.links.vrfName(key.table);
    return {
      prefix: formatPrefix(key.family, prefix, 0, prefixLength),
      table: key.table,
      ...(vrf === "" ? {} : { vrf }),
      metric: key.metric,
      ...(key.sourceLength === 0 ? {} : { source: formatPrefix(key.family, key.source, 0, key.sourceLength) }),
    };
  }

  #describeNow(): Pick<RouteStoryJson, "route" | "claims" | "kernel" | "nextTryMs"> {
    const { rib, dataplane, links } = this.#parts;
    const { key, route } = this.#story;
    if (route === NO_ROUTE) return { route: null, claims: [] };
    const store = rib.store(key.family);
    const desired = store.desired(route);
    const programmed = store.programmed(route);
    const shown = desired === NO_ATTRS ? programmed : desired;
    // Nobody wants it and the kernel does not have it: the deletion of a route that never was.
    if (shown === NO_ATTRS) return { route: null, claims: [] };
    const writer = new RouteJsonWriter(rib, dataplane, links);
    const nextTryMs = Math.round(rib.reconciler.delayOf(routeKey(key.family, route)));
    const isSame = rib.compare.isSame(rib.target(store, route), programmed);
    return {
      route: JSON.parse(writer.write(store, route, shown)) as RouteJson,
      claims: this.#describeClaims(rib.claims.list(key.family, store, route)),
      ...(isSame ? {} : { kernel: programmed === NO_ATTRS ? null : this.#describeAttrs(programmed) }),
      ...(nextTryMs === 0 ? {} : { nextTryMs }),
    };
  }

  #describeClaims(claims: readonly Claim[]): ClaimJson[] {
    const { rib } = this.#parts;
    const { reader } = rib.attrs;
    const [selected] = claims;
    return claims.map((claim) => {
      const distance = reader.distance(claim.attrs);
      const json: ClaimJson = {
        owner: rib.owners.nameOf(claim.owner),
        distance,
        selected: claim === selected,
        attributes: this.#describeAttrs(claim.attrs),
      };
      if (selected !== undefined && claim !== selected) {
        if (claim.failure !== 0 && selected.failure === 0) json.notSelected = "refused";
        else json.notSelected = distance > reader.distance(selected.attrs) ? "higher_distance" : "came_later";
      }
      if (claim.failure !== 0) Object.assign(json, this.#describeFailure(claim.failure, UpdateOp.INSTALL, claim.attrs));
      return json;
    });
  }

  #describeEntry(entry: JournalEntry): HistoryEntryJson {
    const json = this.#describeFacts(entry);
    return { ...json, summary: summarizeEntry(json) };
  }

  #describeFacts(entry: JournalEntry): Omit<HistoryEntryJson, "summary"> {
    const { owners } = this.#parts.rib;
    const { kind, owner, other, attrs } = entry;
    const json: Omit<HistoryEntryJson, "summary"> = {
      time: Math.round(entry.time + this.#parts.journal.epochOffset),
      event: EVENTS[kind],
    };
    if (owner !== 0) json.owner = owners.nameOf(owner);
    const status = STATUSES[kind];
    if (status === undefined) return this.#describeNote(json, entry);
    json.status = status;
    if (entry.asked !== 0) json.op = entry.asked === UpdateOp.DELETE ? "delete" : "install";
    const change = entry.isUnchanged ? "none" : CHANGES[entry.op];
    if (change !== undefined) json.change = change;
    if (other !== 0) json.winner = owners.nameOf(other);
    if (entry.failure !== 0) Object.assign(json, this.#describeFailure(entry.failure, entry.asked, attrs));
    if (attrs !== NO_ATTRS) json.attributes = this.#describeAttrs(attrs);
    for (const stage of ["queueMs", "kernelMs", "pipelineMs", "resultMs"] as const) {
      if (!Number.isNaN(entry[stage])) json[stage] = Math.round(entry[stage] * 1000) / 1000;
    }
    return json;
  }

  #describeNote<Json extends Omit<HistoryEntryJson, "summary">>(
    json: Json,
    { kind, other, protocol, text, delayMs }: JournalEntry,
  ): Json {
    const drift = DRIFTS[kind];
    if (drift !== undefined) json.drift = drift;
    if (kind === JournalKind.DRIFT_REPLACED) json.protocol = formatProtocol(protocol);
    if (other !== 0) json.other = this.#parts.rib.owners.nameOf(other);
    if (text !== "") json.text = text;
    if (!Number.isNaN(delayMs)) json.delayMs = Math.round(delayMs);
    return json;
  }

  #describeFailure(number: number, op: UpdateOp | 0, attrs: number): { provider?: string; error: ErrorJson } {
    const { rib, dataplane, links } = this.#parts;
    const failure = rib.failures.get(number);
    const update = this.#update;
    update.op = op === 0 ? UpdateOp.INSTALL : op;
    if (attrs !== NO_ATTRS) rib.attrs.reader.read(attrs, update);
    else update.nexthops = [];
    const error = describeError(failure.error, failure.text, update, links);
    const provider = dataplane.providerName(failure.provider);
    return provider === "" ? { error } : { provider, error };
  }

  #describeAttrs(attrs: number): RouteAttributesJson {
    this.#parts.rib.attrs.reader.read(attrs, this.#update);
    return JSON.parse(`{${formatAttributes(this.#update, this.#parts.links)}}`) as RouteAttributesJson;
  }
}
