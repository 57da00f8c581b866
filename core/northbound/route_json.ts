/**
 * Routes of the RIB as JSON, put together as text: a listing has a million of them, and most share their attributes,
 * whose text is made once. Main thread; one writer serves one request, because names of interfaces change.
 */
import { NEXTHOP_ID_MAX, NEXTHOP_ID_MIN, OWNER_DISTANCE_DEFAULT } from "../constants.ts";
import { NO_ATTRS } from "../context/attrs.ts";
import type { Dataplane } from "../dataplane/dataplane.ts";
import type { LinkTable } from "../model/link_table.ts";
import { formatAddress, formatPrefix } from "../model/prefix.ts";
import { formatProtocol } from "../model/protocol.ts";
import {
  createRouteUpdate,
  EncapType,
  Family,
  type Nexthop,
  ROUTE_TYPE_NAMES,
  type RouteUpdate,
  SEG6_MODE_NAMES,
  UpdateOp,
} from "../model/route.ts";
import { type Claim, routeKey } from "../rib/claims.ts";
import type { KeyClass } from "../rib/key_classes.ts";
import { NOBODY, type Owner } from "../rib/owners.ts";
import type { Held } from "../rib/plan.ts";
import { causeOf } from "../rib/retry.ts";
import type { Rib } from "../rib/rib.ts";
import { RouteState, type RouteStore } from "../rib/route_store.ts";
import type { NexthopJson, ResultStatus } from "./api_types.ts";
import { describeError, formatGroupWait } from "./outcome.ts";
import { jsonString } from "./result_json.ts";
import { describeCause, describeRepair } from "./waiting.ts";

/** Texts of attributes kept at a time. */
const TEXTS_MAX = 4096;

const STATUS_OF_STATE: Readonly<Record<RouteState, ResultStatus>> = {
  [RouteState.QUEUED]: "rib_programmed",
  [RouteState.PROGRAMMED]: "fib_programmed",
  [RouteState.FAILED]: "fib_failed",
  [RouteState.SKIPPED]: "skipped",
  [RouteState.WAITING]: "rib_programmed",
};

/** The API's status of a route as it is selected: held and waiting while an update of it is under way. */
export function statusOfRoute(store: RouteStore, route: number): ResultStatus {
  return store.isInFlight(route) ? "rib_programmed" : STATUS_OF_STATE[store.state(route)];
}

/** The API's status of a claim that is not selected. */
export function statusOfClaim(claim: Claim): ResultStatus {
  return claim.failure === 0 ? "rib_programmed" : "fib_failed";
}

export class RouteJsonWriter {
  readonly #rib: Rib;
  readonly #dataplane: Dataplane;
  readonly #links: LinkTable;
  readonly #update = createRouteUpdate();
  readonly #address = new Uint8Array(16);
  readonly #texts = new Map<number, { epoch: number; text: string }>();
  /** Text of the last class: table, metric and source prefix. */
  #keyClass: KeyClass | null = null;
  #keyText = "";

  constructor(rib: Rib, dataplane: Dataplane, links: LinkTable) {
    this.#rib = rib;
    this.#dataplane = dataplane;
    this.#links = links;
  }

  /** The route as it is selected, as an object of JSON, with the attributes of record `attrs`. */
  write(store: RouteStore, route: number, attrs: number): string {
    const status = statusOfRoute(store, route);
    let text = `${this.#describeRoute(store, route, attrs, store.owner(route))},"status":"${status}"`;
    if (status === "fib_failed") text += this.#describeFailure(store, route, attrs, store.failure(route));
    const waitingFor = this.#waitingFor(store, route, attrs, status);
    if (waitingFor !== "") text += `,"waitingFor":${jsonString(waitingFor)}`;
    const since = store.since(route);
    return since === 0 ? `${text}}` : `${text},"since":${since * 1000}}`;
  }

  /** What an owner wants of a route of which another's claim is selected. */
  writeHeld(store: RouteStore, route: number, claim: Claim): string {
    const status = statusOfClaim(claim);
    let text = `${this.#describeRoute(store, route, claim.attrs, claim.owner)},"status":"${status}"`;
    if (status === "fib_failed") text += this.#describeFailure(store, route, claim.attrs, claim.failure);
    return `${text},"winner":${jsonString(this.#rib.owners.nameOf(store.owner(route)))}}`;
  }

  /** What the kernel holds of a route, or would, if `asker` had its way, who may not be known otherwise. */
  writePlanned(store: RouteStore, route: number, { attrs, owner }: Held, asker: Owner): string {
    const name = owner === asker.id ? asker.name : this.#rib.owners.nameOf(owner);
    return `${this.#describeRoute(store, route, attrs, owner, name)},"status":"fib_programmed"}`;
  }

  /** The members that name the route, of which the object in a plan's line has the same. */
  describeName(store: RouteStore, route: number): string {
    const { family, table, source, sourceLength } = this.#rib.keyClass(store, route);
    const sourceText = sourceLength === 0 ? "" : `"source":"${formatPrefix(family, source, 0, sourceLength)}",`;
    return `"prefix":"${this.#formatPrefix(store, route)}",${sourceText}"table":${table}`;
  }

  #describeRoute(
    store: RouteStore,
    route: number,
    attrs: number,
    owner: number,
    ownerName = this.#rib.owners.nameOf(owner),
  ): string {
    const keyClass = this.#rib.keyClass(store, route);
    const name = `"prefix":"${this.#formatPrefix(store, route)}",${this.#describeKey(keyClass)}`;
    const text = `{${name},${this.#describeAttrs(attrs)},"owner":${jsonString(ownerName)}`;
    return owner === NOBODY ? `${text},"adopted":true` : text;
  }

  #formatPrefix(store: RouteStore, route: number): string {
    store.address(route, this.#address);
    return formatPrefix(this.#rib.keyClass(store, route).family, this.#address, 0, store.prefixLength(route));
  }

  /** What has to happen before the route is programmed; empty where nothing is known to be missing. */
  #waitingFor(store: RouteStore, route: number, attrs: number, status: ResultStatus): string {
    if (status !== "rib_programmed") return "";
    if (!store.isInFlight(route) && store.state(route) === RouteState.WAITING) {
      return formatGroupWait(this.#rib.attrs.reader.nexthopGroup(attrs));
    }
    const delayMs = this.#rib.reconciler.delayOf(routeKey(this.#rib.keyClass(store, route).family, route));
    return delayMs > 0 ? describeRepair(delayMs) : "dataplane";
  }

  #describeKey(keyClass: KeyClass): string {
    if (this.#keyClass === keyClass) return this.#keyText;
    const { family, table, metric, source, sourceLength } = keyClass;
    const vrf = this.#links.vrfName(table);
    let text = `"table":${table}`;
    if (vrf !== "") text += `,"vrf":${jsonString(vrf)}`;
    text += `,"metric":${metric}`;
    if (sourceLength > 0) text += `,"source":"${formatPrefix(family, source, 0, sourceLength)}"`;
    this.#keyClass = keyClass;
    this.#keyText = text;
    return text;
  }

  #describeAttrs(attrs: number): string {
    if (attrs === NO_ATTRS) return '"type":"unicast"';
    const { reader } = this.#rib.attrs;
    const epoch = reader.epoch(attrs);
    const known = this.#texts.get(attrs);
    if (known?.epoch === epoch) return known.text;
    reader.read(attrs, this.#update);
    this.#resolveObject(this.#update);
    const text = formatAttributes(this.#update, this.#links);
    if (this.#texts.size >= TEXTS_MAX) this.#texts.clear();
    this.#texts.set(attrs, { epoch, text });
    return text;
  }

  /** A route that was found on an object of the kernel has the object's nexthops, where these are all that it stands for. */
  #resolveObject(update: RouteUpdate): void {
    if (update.nexthopGroup < NEXTHOP_ID_MIN || update.nexthopGroup > NEXTHOP_ID_MAX) return;
    const members = this.#rib.compare.membersOf(update.nexthopGroup);
    if (members === null) return;
    update.nexthopGroup = 0;
    update.nexthops = [...members];
  }

  #describeFailure(store: RouteStore, route: number, attrs: number, reason: number): string {
    const failure = this.#rib.failures.get(reason);
    const keyClass = this.#rib.keyClass(store, route);
    const update = this.#update;
    update.op = store.desired(route) === NO_ATTRS ? UpdateOp.DELETE : UpdateOp.INSTALL;
    update.family = keyClass.family;
    update.prefix.set(this.#address);
    update.prefixLength = store.prefixLength(route);
    update.table = keyClass.table;
    update.metric = keyClass.metric;
    update.nexthops.length = 0;
    if (attrs !== NO_ATTRS) this.#rib.attrs.reader.read(attrs, update);
    let text = `,"error":${JSON.stringify(describeError(failure.error, failure.text, update, this.#links))}`;
    const provider = this.#dataplane.providerName(failure.provider);
    if (provider !== "") text = `,"provider":${jsonString(provider)}${text}`;
    const cause = causeOf(failure.error, failure.text);
    const waitingFor = describeCause(cause, update, this.#links);
    return waitingFor === undefined ? text : `${text},"waitingFor":${jsonString(waitingFor)}`;
  }
}

/** The attributes as members of an object, in the words of an update; what is at its default is left out. */
export function formatAttributes(update: RouteUpdate, links: LinkTable): string {
  const { type, nexthops, nexthopGroup, protocol, distance, tag, mtu, prefsrcFamily, prefsrc } = update;
  let text = `"type":"${ROUTE_TYPE_NAMES[type]}"`;
  if (nexthops.length > 0)
    text += `,"nexthops":${JSON.stringify(nexthops.map((nexthop) => nexthopToJson(nexthop, links)))}`;
  if (nexthopGroup !== 0) text += `,"nexthopGroup":${nexthopGroup}`;
  if (protocol !== 0) text += `,"protocol":${jsonString(formatProtocol(protocol))}`;
  if (distance !== 0 && distance !== OWNER_DISTANCE_DEFAULT) text += `,"distance":${distance}`;
  if (tag !== 0) text += `,"tag":${tag}`;
  if (mtu !== 0) text += `,"mtu":${mtu}`;
  if (prefsrcFamily !== Family.NONE) text += `,"prefsrc":"${formatAddress(prefsrcFamily, prefsrc, 0)}"`;
  return text;
}

export function nexthopToJson(nexthop: Nexthop, links: LinkTable): NexthopJson {
  const json: NexthopJson = {};
  if (nexthop.viaFamily !== Family.NONE) json.via = formatAddress(nexthop.viaFamily, nexthop.via, 0);
  // An interface that is gone has no name any more; its number still tells which it was.
  if (nexthop.ifindex !== 0) json.dev = links.nameOf(nexthop.ifindex) || `if${nexthop.ifindex}`;
  json.weight = nexthop.weight;
  if (nexthop.onlink) json.onlink = true;
  if (nexthop.encap === EncapType.MPLS) json.labels = nexthop.labels;
  if (nexthop.encap === EncapType.SEG6) {
    const segs = nexthop.segments.map((segment) => formatAddress(Family.IPV6, segment, 0));
    json.seg6 = { mode: SEG6_MODE_NAMES[nexthop.seg6Mode] ?? "", segs };
  }
  return json;
}
