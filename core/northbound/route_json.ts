/**
 * Routes of the RIB as JSON, put together as text: a listing has a million of them, and most share their attributes,
 * whose text is made once. Main thread; one writer serves one request, because names of interfaces change.
 */
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
import type { KeyClass } from "../rib/key_classes.ts";
import type { Rib } from "../rib/rib.ts";
import { RouteState, type RouteStore } from "../rib/route_store.ts";
import type { NexthopJson, ResultStatus } from "./api_types.ts";
import { describeError } from "./outcome.ts";
import { jsonString } from "./result_json.ts";

/** Texts of attributes kept at a time. */
const TEXTS_MAX = 4096;

const STATUS_OF_STATE: Readonly<Record<RouteState, ResultStatus>> = {
  [RouteState.QUEUED]: "rib_programmed",
  [RouteState.PROGRAMMED]: "fib_programmed",
  [RouteState.FAILED]: "fib_failed",
  [RouteState.SKIPPED]: "skipped",
};

/** The API's status of a route: held and waiting while an update of it is under way. */
export function statusOfRoute(store: RouteStore, route: number): ResultStatus {
  return store.isInFlight(route) ? "rib_programmed" : STATUS_OF_STATE[store.state(route)];
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

  /** The route as an object of JSON, with the attributes of record `attrs`. */
  write(store: RouteStore, route: number, attrs: number): string {
    const keyClass = this.#rib.keyClass(store, route);
    store.address(route, this.#address);
    const prefix = formatPrefix(keyClass.family, this.#address, 0, store.prefixLength(route));
    const owner = jsonString(this.#rib.ownerName(store.owner(route)));
    const status = statusOfRoute(store, route);
    let text = `{"prefix":"${prefix}",${this.#describeKey(keyClass)},${this.#describeAttrs(attrs)},"owner":${owner}`;
    text += `,"status":"${status}"`;
    if (status === "rib_programmed") text += ',"waitingFor":"dataplane"';
    if (status === "fib_failed") text += this.#describeFailure(store, route, keyClass, attrs);
    const since = store.since(route);
    return since === 0 ? `${text}}` : `${text},"since":${since * 1000}}`;
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
    const text = formatAttributes(this.#update, this.#links);
    if (this.#texts.size >= TEXTS_MAX) this.#texts.clear();
    this.#texts.set(attrs, { epoch, text });
    return text;
  }

  #describeFailure(store: RouteStore, route: number, keyClass: KeyClass, attrs: number): string {
    const failure = this.#rib.failures.get(store.failure(route));
    const update = this.#update;
    update.op = store.desired(route) === NO_ATTRS ? UpdateOp.DELETE : UpdateOp.INSTALL;
    update.family = keyClass.family;
    update.prefix.set(this.#address);
    update.prefixLength = store.prefixLength(route);
    update.table = keyClass.table;
    update.metric = keyClass.metric;
    update.nexthops.length = 0;
    if (attrs !== NO_ATTRS) this.#rib.attrs.reader.read(attrs, update);
    const error = JSON.stringify(describeError(failure.error, failure.text, update, this.#links));
    const provider = this.#dataplane.providerName(failure.provider);
    return provider === "" ? `,"error":${error}` : `,"provider":${jsonString(provider)},"error":${error}`;
  }
}

/** The attributes as members of an object, in the words of an update; what is at its default is left out. */
function formatAttributes(update: RouteUpdate, links: LinkTable): string {
  const { type, nexthops, nexthopGroup, protocol, distance, tag, mtu, prefsrcFamily, prefsrc } = update;
  let text = `"type":"${ROUTE_TYPE_NAMES[type]}"`;
  if (nexthops.length > 0) text += `,"nexthops":${JSON.stringify(nexthops.map((nexthop) => toJson(nexthop, links)))}`;
  if (nexthopGroup !== 0) text += `,"nexthopGroup":${nexthopGroup}`;
  if (protocol !== 0) text += `,"protocol":${jsonString(formatProtocol(protocol))}`;
  if (distance !== 0) text += `,"distance":${distance}`;
  if (tag !== 0) text += `,"tag":${tag}`;
  if (mtu !== 0) text += `,"mtu":${mtu}`;
  if (prefsrcFamily !== Family.NONE) text += `,"prefsrc":"${formatAddress(prefsrcFamily, prefsrc, 0)}"`;
  return text;
}

function toJson(nexthop: Nexthop, links: LinkTable): NexthopJson {
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
