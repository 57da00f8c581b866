/** What the RIB writes into a context, and how it reads some of it. Main thread only. */
import { CONTEXT_BYTES } from "../constants.ts";
import type { Contexts } from "../context/contexts.ts";
import { ContextFlag, DplaneError, F64, U8, U32 } from "../context/layout.ts";
import type { Dataplane } from "../dataplane/dataplane.ts";
import { UpdateOp } from "../model/route.ts";
import type { KeyClass } from "./key_classes.ts";
import type { RouteStore } from "./route_store.ts";

/** Writes into an empty context which route it is about, and when it came. */
export function fillContext(
  dataplane: Dataplane,
  slot: number,
  store: RouteStore,
  route: number,
  { family, table, metric, source, sourceLength }: KeyClass,
): void {
  const { contexts } = dataplane;
  const { u8 } = contexts;
  const base = slot * CONTEXT_BYTES;
  u8[base + U8.FAMILY] = family;
  u8[base + U8.PREFIX_LENGTH] = store.prefixLength(route);
  u8[base + U8.SOURCE_LENGTH] = sourceLength;
  store.address(route, u8, base + U8.PREFIX);
  if (sourceLength > 0) u8.set(source, base + U8.SOURCE);
  contexts.setU32(slot, U32.TABLE, table);
  contexts.setU32(slot, U32.METRIC, metric);
  contexts.setU32(slot, U32.ENTRY, route);
  contexts.setF64(slot, F64.ADMITTED_AT, dataplane.admissionTime());
}

/** The kernel may have done it, or not. */
export function isInDoubt(contexts: Contexts, slot: number): boolean {
  const error = contexts.getU32(slot, U32.ERROR);
  const isUnknown = error === DplaneError.NO_ANSWER || error === DplaneError.THREAD_DIED;
  return isUnknown || contexts.hasFlag(slot, ContextFlag.UNDO_FAILED);
}

export function isAskedDelete(contexts: Contexts, slot: number): boolean {
  return contexts.getU32(slot, U32.CLIENT_OP) === UpdateOp.DELETE;
}
