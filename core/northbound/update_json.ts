/**
 * An update as JSON (a line of NDJSON, or an element of an array) into a `RouteUpdate`. It runs for every route that a
 * client sends, so it is written by hand: on the way of a right update nothing is allocated. Main thread.
 */
import { MPLS_LABELS_MAX, NEXTHOPS_MAX, WEIGHT_MAX } from "../constants.ts";
import { EncapType, type Nexthop, type RouteUpdate, UpdateOp } from "../model/route.ts";
import { suggest } from "../suggest.ts";
import { createUpdateError, quote, type UpdateError } from "./update_error.ts";
import {
  completeUpdate,
  MTU_MAX,
  type NameResolver,
  resetNexthop,
  resetUpdate,
  UPDATE_DEFAULTS,
  type UpdateDefaults,
} from "./update_rules.ts";
import {
  checkLabel,
  setDevice,
  setPrefix,
  setPrefsrc,
  setProtocol,
  setSeg6Mode,
  setSegment,
  setSource,
  setType,
  setVia,
  setVrf,
  U32_MAX,
  unknownValue,
} from "./update_values.ts";

export type Fields = Readonly<Record<string, unknown>>;

const UPDATE_FIELDS: ReadonlySet<string> = new Set([
  "op",
  "prefix",
  "source",
  "table",
  "vrf",
  "type",
  "nexthops",
  "nexthopGroup",
  "metric",
  "distance",
  "protocol",
  "tag",
  "mtu",
  "prefsrc",
]);
const NEXTHOP_FIELDS: ReadonlySet<string> = new Set(["via", "dev", "weight", "onlink", "labels", "seg6"]);
const SEG6_FIELDS: ReadonlySet<string> = new Set(["mode", "segs"]);

/** What people write for a field of ours, where spelling alone does not tell. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  owner: "the owner is named in the URL: ?owner=…",
  gateway: "did you mean via, in nexthops?",
  via: "did you mean nexthops: [{via: …}]?",
  dev: "did you mean nexthops: [{dev: …}]?",
  nexthop: "did you mean nexthops?",
  nhid: "did you mean nexthopGroup?",
  priority: "did you mean metric?",
  preference: "did you mean metric?",
  src: "did you mean prefsrc, or source for a source prefix?",
  from: "did you mean source?",
  dst: "did you mean prefix?",
  scope: "the scope follows from the nexthops",
};

/**
 * Fills `into` from one parsed JSON value and returns what is wrong with it, or null. After an error `into` is to be
 * thrown away; only that `into.family` is not NONE tells that its prefix was read.
 */
export function parseUpdateObject(
  value: unknown,
  into: RouteUpdate,
  resolver: NameResolver,
  defaults: UpdateDefaults = UPDATE_DEFAULTS,
): UpdateError | null {
  resetUpdate(into, defaults);
  if (!isObject(value)) return wrongType("", "An update is a JSON object", value);
  const { prefix, nexthops } = value;
  let error = prefix === undefined ? missingPrefix() : setText(prefix, "prefix", into, setJsonPrefix);
  // The fields' names come next: a missing prefix is most often a misspelt one.
  error = checkFieldNames(value, UPDATE_FIELDS, "") ?? error ?? parseKey(value, into, resolver);
  if (error !== null) return error;
  error = parseAttributes(value, into);
  if (error !== null) return error;
  if (nexthops === undefined) return completeUpdate(into, 0);
  if (!Array.isArray(nexthops)) return wrongType("nexthops", "It takes an array of objects", nexthops);
  if (nexthops.length > NEXTHOPS_MAX) {
    const message = `${nexthops.length} nexthops are too many; a route takes ${NEXTHOPS_MAX}`;
    return createUpdateError("OUT_OF_RANGE", "nexthops", message);
  }
  for (let index = 0; index < nexthops.length; index++) {
    error = parseNexthop(nexthops[index], resetNexthop(into, index), into.op, resolver);
    if (error === null) continue;
    error.field = error.field === "" ? `nexthops[${index}]` : `nexthops[${index}].${error.field}`;
    return error;
  }
  return completeUpdate(into, nexthops.length);
}

/** What names the route beside its prefix, and what is asked for. */
function parseKey(fields: Fields, into: RouteUpdate, resolver: NameResolver): UpdateError | null {
  const { op, source, table, vrf, metric } = fields;
  if (op !== undefined && op !== "install") {
    if (op !== "delete") return invalidOp(op);
    into.op = UpdateOp.DELETE;
  }
  if (table !== undefined) {
    if (!isInteger(table, 1, U32_MAX)) return integerError("table", table, 1, U32_MAX);
    into.table = table;
  }
  if (metric !== undefined) {
    if (!isInteger(metric, 0, U32_MAX)) return integerError("metric", metric, 0, U32_MAX);
    into.metric = metric;
  }
  if (vrf !== undefined) {
    if (typeof vrf !== "string") return wrongType("vrf", "It takes a string", vrf);
    const error = setVrf(into, vrf, table !== undefined, resolver);
    if (error !== null) return error;
  }
  return source === undefined ? null : setText(source, "source", into, setJsonSource);
}

function parseAttributes(fields: Fields, into: RouteUpdate): UpdateError | null {
  const { type, nexthopGroup, distance, protocol, tag, mtu, prefsrc } = fields;
  let error: UpdateError | null = null;
  if (type !== undefined) error = setText(type, "type", into, setType);
  if (prefsrc !== undefined) error ??= setText(prefsrc, "prefsrc", into, setPrefsrc);
  if (typeof protocol === "string") error ??= setProtocol(into, protocol);
  else if (protocol !== undefined) {
    if (isInteger(protocol, 0, 255)) into.protocol = protocol;
    else error ??= integerError("protocol", protocol, 0, 255);
  }
  if (nexthopGroup !== undefined) {
    if (isInteger(nexthopGroup, 1, U32_MAX)) into.nexthopGroup = nexthopGroup;
    else error ??= integerError("nexthopGroup", nexthopGroup, 1, U32_MAX);
  }
  if (distance !== undefined) {
    if (isInteger(distance, 0, 255)) into.distance = distance;
    else error ??= integerError("distance", distance, 0, 255);
  }
  if (tag !== undefined) {
    if (isInteger(tag, 0, U32_MAX)) into.tag = tag;
    else error ??= integerError("tag", tag, 0, U32_MAX);
  }
  if (mtu !== undefined) {
    // The lower bound depends on the family and is checked with the other rules; 0 would mean "none" to the kernel.
    if (isInteger(mtu, 1, MTU_MAX)) into.mtu = mtu;
    else error ??= integerError("mtu", mtu, 1, MTU_MAX);
  }
  return error;
}

export function parseNexthop(
  value: unknown,
  nexthop: Nexthop,
  op: UpdateOp,
  resolver: NameResolver,
): UpdateError | null {
  if (!isObject(value)) return wrongType("", "A nexthop is a JSON object", value);
  const nameError = checkFieldNames(value, NEXTHOP_FIELDS, "");
  if (nameError !== null) return nameError;
  const { via, dev, weight, onlink, labels, seg6 } = value;
  if (via !== undefined) {
    if (typeof via !== "string") return wrongType("via", "It takes a string", via);
    const error = setVia(nexthop, via);
    if (error !== null) return error;
  }
  if (dev !== undefined) {
    if (typeof dev !== "string") return wrongType("dev", "It takes a string", dev);
    const error = setDevice(nexthop, dev, op, resolver);
    if (error !== null) return error;
  }
  if (weight !== undefined) {
    if (!isInteger(weight, 1, WEIGHT_MAX)) return integerError("weight", weight, 1, WEIGHT_MAX);
    nexthop.weight = weight;
  }
  if (onlink !== undefined) {
    if (typeof onlink !== "boolean") return wrongType("onlink", "It takes true or false", onlink);
    nexthop.onlink = onlink;
  }
  if (labels !== undefined) {
    if (seg6 !== undefined) {
      return createUpdateError("CONFLICT", "seg6", "A nexthop pushes MPLS labels or SRv6 segments, not both");
    }
    return parseLabels(labels, nexthop);
  }
  return seg6 === undefined ? null : parseSeg6(seg6, nexthop);
}

function parseLabels(labels: unknown, nexthop: Nexthop): UpdateError | null {
  if (!Array.isArray(labels)) return wrongType("labels", "It takes an array of numbers", labels);
  if (labels.length < 1 || labels.length > MPLS_LABELS_MAX) {
    const message = `A nexthop pushes 1 to ${MPLS_LABELS_MAX} labels, not ${labels.length}`;
    return createUpdateError("OUT_OF_RANGE", "labels", message);
  }
  nexthop.labels.length = 0;
  for (let index = 0; index < labels.length; index++) {
    const label: unknown = labels[index];
    if (!isInteger(label, 0, U32_MAX)) return integerError(`labels[${index}]`, label, 0, U32_MAX);
    const error = checkLabel(label, index);
    if (error !== null) return error;
    nexthop.labels.push(label);
  }
  nexthop.encap = EncapType.MPLS;
  return null;
}

function parseSeg6(value: unknown, nexthop: Nexthop): UpdateError | null {
  if (!isObject(value)) return wrongType("seg6", "It takes an object {mode, segs}", value);
  const nameError = checkFieldNames(value, SEG6_FIELDS, "seg6");
  if (nameError !== null) return nameError;
  const { mode, segs } = value;
  if (mode === undefined) {
    return createUpdateError("MISSING_FIELD", "seg6.mode", "SRv6 needs a mode", "most routes take encap");
  }
  if (typeof mode !== "string") return wrongType("seg6.mode", "It takes a string", mode);
  const modeError = setSeg6Mode(nexthop, mode);
  if (modeError !== null) return modeError;
  if (segs === undefined) return createUpdateError("MISSING_FIELD", "seg6.segs", "SRv6 needs segments");
  if (!Array.isArray(segs)) return wrongType("seg6.segs", "It takes an array of addresses", segs);
  if (segs.length === 0) return createUpdateError("OUT_OF_RANGE", "seg6.segs", "SRv6 needs at least one segment");
  for (let index = 0; index < segs.length; index++) {
    const segment: unknown = segs[index];
    if (typeof segment !== "string") return wrongType(`seg6.segs[${index}]`, "It takes a string", segment);
    const error = setSegment(nexthop, index, segment);
    if (error !== null) return error;
  }
  nexthop.segments.length = segs.length;
  return null;
}

export function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isInteger(value: unknown, min: number, max: number): value is number {
  return typeof value === "number" && value >>> 0 === value && value >= min && value <= max;
}

function setText(
  value: unknown,
  field: string,
  into: RouteUpdate,
  set: (into: RouteUpdate, text: string) => UpdateError | null,
): UpdateError | null {
  return typeof value === "string" ? set(into, value) : wrongType(field, "It takes a string", value);
}

// JSON is written by programs, where an address without a length is more often a mistake than a host prefix.
function setJsonPrefix(into: RouteUpdate, text: string): UpdateError | null {
  return setPrefix(into, text, false);
}

function setJsonSource(into: RouteUpdate, text: string): UpdateError | null {
  return setSource(into, text, false);
}

export function checkFieldNames(fields: Fields, known: ReadonlySet<string>, parent: string): UpdateError | null {
  for (const name in fields) if (!known.has(name)) return unknownField(name, known, parent);
  return null;
}

function unknownField(name: string, known: ReadonlySet<string>, parent: string): UpdateError {
  const near = suggest(name, known);
  let hint = near === undefined ? `the fields are: ${Array.from(known).join(", ")}` : `did you mean ${near}?`;
  if (near === undefined && known === UPDATE_FIELDS && Object.hasOwn(OTHER_NAMES, name)) hint = OTHER_NAMES[name]!;
  const shown = name.length > 64 ? `${name.slice(0, 64)}…` : name;
  const field = parent === "" ? shown : `${parent}.${shown}`;
  return createUpdateError("UNKNOWN_FIELD", field, `There is no field ${quote(name)}`, hint);
}

function missingPrefix(): UpdateError {
  return createUpdateError("MISSING_FIELD", "prefix", "An update needs a prefix", 'such as "203.0.113.0/24"');
}

function invalidOp(op: unknown): UpdateError {
  if (typeof op !== "string") return wrongType("op", "It takes a string", op);
  if (["add", "replace", "update", "change"].includes(op)) {
    const hint = "install adds or replaces";
    return createUpdateError("INVALID_VALUE", "op", `${quote(op)} is not an operation`, hint);
  }
  if (["del", "remove", "withdraw"].includes(op)) {
    return createUpdateError("INVALID_VALUE", "op", `${quote(op)} is not an operation`, "did you mean delete?");
  }
  return unknownValue("op", "an operation", op, ["install", "delete"]);
}

export function wrongType(field: string, wanted: string, value: unknown): UpdateError {
  const found =
    value === null ? "null" : Array.isArray(value) ? "an array" : `${articleOf(typeof value)} ${typeof value}`;
  const hint = value === null ? "leave the field out" : undefined;
  return createUpdateError("WRONG_TYPE", field, `${wanted}, not ${found}`, hint);
}

function articleOf(type: string): string {
  return type === "object" ? "an" : "a";
}

export function integerError(field: string, value: unknown, min: number, max: number): UpdateError {
  if (typeof value !== "number") {
    const error = wrongType(field, "It takes a number", value);
    if (typeof value === "string" && /^\d+$/.test(value)) error.hint = "leave the quotes out";
    return error;
  }
  const kind = Number.isInteger(value) ? "out of range" : "not a whole number";
  return createUpdateError("OUT_OF_RANGE", field, `${value} is ${kind}; it is ${min} to ${max}`);
}
