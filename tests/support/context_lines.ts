/** Contexts made from route commands, as the RIB makes them, without a RIB and a dataplane around. */
import assert from "node:assert/strict";
import { CONTEXT_BYTES } from "../../core/constants.ts";
import { NO_ATTRS } from "../../core/context/attrs.ts";
import type { AttrsStore } from "../../core/context/attrs_store.ts";
import type { Contexts } from "../../core/context/contexts.ts";
import { ContextOp, U8, U32 } from "../../core/context/layout.ts";
import { type NexthopObject, nexthopObjectUpdate } from "../../core/context/nexthop_object.ts";
import { createRouteUpdate, UpdateOp } from "../../core/model/route.ts";
import { parseUpdateLine } from "../../core/northbound/update_line.ts";

/** Interface numbers of the recordings in tests/golden/netlink. */
const RECORDED_DEVICES = { v0: 3, v1: 5 };

export interface ContextOptions {
  /** The command by which the route came to be that the kernel holds. */
  old?: string;
  flags?: number;
  /** Numbers of interfaces by name. */
  devices?: Record<string, number>;
}

export interface FilledContext {
  attrs: number;
  oldAttrs: number;
}

/** Fills `slot` from the command. */
export function fillContext(
  contexts: Contexts,
  store: AttrsStore,
  slot: number,
  line: string,
  { old, flags = 0, devices = RECORDED_DEVICES }: ContextOptions = {},
): FilledContext {
  const resolver = { deviceIndex: (name: string) => devices[name] ?? 0, vrfTable: () => 0 };
  const oldUpdate = createRouteUpdate();
  if (old !== undefined) assert.equal(parseUpdateLine(old, oldUpdate, resolver), null, old);
  const update = createRouteUpdate();
  assert.equal(parseUpdateLine(line, update, resolver), null, line);
  const oldAttrs = old === undefined ? NO_ATTRS : store.intern(oldUpdate);
  const install = update.op === UpdateOp.INSTALL;
  const attrs = install ? store.intern(update) : NO_ATTRS;
  const op = install ? (old === undefined ? ContextOp.ROUTE_INSTALL : ContextOp.ROUTE_UPDATE) : ContextOp.ROUTE_DELETE;
  contexts.clear(slot);
  contexts.setU8(slot, U8.OP, op);
  contexts.setU8(slot, U8.FLAGS, flags);
  contexts.setU8(slot, U8.FAMILY, update.family);
  contexts.setU8(slot, U8.PREFIX_LENGTH, update.prefixLength);
  contexts.setU8(slot, U8.SOURCE_LENGTH, update.sourceLength);
  contexts.u8.set(update.prefix, slot * CONTEXT_BYTES + U8.PREFIX);
  contexts.u8.set(update.source, slot * CONTEXT_BYTES + U8.SOURCE);
  contexts.setU32(slot, U32.TABLE, update.table);
  contexts.setU32(slot, U32.METRIC, update.metric);
  contexts.setU32(slot, U32.ATTRS, attrs);
  contexts.setU32(slot, U32.OLD_ATTRS, oldAttrs);
  return { attrs, oldAttrs };
}

/** What a context of a nexthop object is made from; without `object` it is a deletion. */
export interface NexthopLine {
  id: number;
  object?: NexthopObject;
  old?: NexthopObject;
  flags?: number;
}

/** Fills `slot` with an update of a nexthop object. */
export function fillNexthopContext(
  contexts: Contexts,
  store: AttrsStore,
  slot: number,
  { id, object, old, flags = 0 }: NexthopLine,
): FilledContext {
  const intern = (each: NexthopObject | undefined) =>
    each === undefined ? NO_ATTRS : store.intern(nexthopObjectUpdate(each));
  const [attrs, oldAttrs] = [intern(object), intern(old)];
  contexts.clear(slot);
  contexts.setU8(slot, U8.OP, object === undefined ? ContextOp.NEXTHOP_DELETE : ContextOp.NEXTHOP_INSTALL);
  contexts.setU8(slot, U8.FLAGS, flags);
  contexts.setU32(slot, U32.NEXTHOP_ID, id);
  contexts.setU32(slot, U32.ATTRS, attrs);
  contexts.setU32(slot, U32.OLD_ATTRS, oldAttrs);
  return { attrs, oldAttrs };
}
