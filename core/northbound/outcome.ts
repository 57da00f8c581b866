/**
 * What the API says about outcomes: statuses, and failures with their errno's name, the kernel's words and a hint. Main
 * thread.
 */
import { errnoName, errnoText } from "../../ffi/libc/errno.ts";
import { CONTEXT_BYTES } from "../constants.ts";
import { NO_ATTRS } from "../context/attrs.ts";
import type { Contexts } from "../context/contexts.ts";
import { ContextOp, DPLANE_ERROR_NAMES, U8, U32 } from "../context/layout.ts";
import type { Dataplane } from "../dataplane/dataplane.ts";
import type { LinkTable } from "../model/link_table.ts";
import { formatPrefix } from "../model/prefix.ts";
import { createRouteUpdate, type Family, type RouteUpdate, UpdateOp } from "../model/route.ts";
import { Outcome, type Rib } from "../rib/rib.ts";
import type { ErrorJson } from "./api_types.ts";
import { hintForFailure } from "./hint.ts";
import { type ResultDetails, ResultStatus } from "./result_json.ts";

export const STATUS_OF_OUTCOME: Readonly<Record<Outcome, ResultStatus>> = {
  [Outcome.FIB_PROGRAMMED]: ResultStatus.FIB_PROGRAMMED,
  [Outcome.FIB_FAILED]: ResultStatus.FIB_FAILED,
  [Outcome.SKIPPED]: ResultStatus.SKIPPED,
  [Outcome.SUPERSEDED]: ResultStatus.SUPERSEDED,
};

/** A failure in words. `update` is what failed; its key and attributes go into the hint. */
export function describeError(error: number, text: string, update: RouteUpdate, links: LinkTable): ErrorJson {
  const code = DPLANE_ERROR_NAMES[error] ?? errnoName(error);
  const message = text === "" ? errnoText(error) : text;
  const hint = hintForFailure(code, text, update, (ifindex) => links.nameOf(ifindex));
  return hint === "" ? { code, message } : { code, message, hint };
}

/** Reads what results say out of contexts that have come back. */
export class OutcomeReader {
  readonly #rib: Rib;
  readonly #dataplane: Dataplane;
  readonly #links: LinkTable;
  readonly #update = createRouteUpdate();

  constructor(rib: Rib, dataplane: Dataplane, links: LinkTable) {
    this.#rib = rib;
    this.#dataplane = dataplane;
    this.#links = links;
  }

  op(slot: number, contexts: Contexts): UpdateOp {
    return contexts.getU8(slot, U8.OP) === ContextOp.ROUTE_DELETE ? UpdateOp.DELETE : UpdateOp.INSTALL;
  }

  prefix(slot: number, contexts: Contexts): string {
    const base = slot * CONTEXT_BYTES;
    const { u8 } = contexts;
    return formatPrefix(u8[base + U8.FAMILY] as Family, u8, base + U8.PREFIX, u8[base + U8.PREFIX_LENGTH]!);
  }

  /** Empty for a route that is for all sources. */
  source(slot: number, contexts: Contexts): string {
    const base = slot * CONTEXT_BYTES;
    const { u8 } = contexts;
    const length = u8[base + U8.SOURCE_LENGTH]!;
    return length === 0 ? "" : formatPrefix(u8[base + U8.FAMILY] as Family, u8, base + U8.SOURCE, length);
  }

  /** What a result says besides its status; undefined where nothing more is known. */
  details(slot: number, outcome: Outcome, contexts: Contexts): ResultDetails | undefined {
    if (outcome !== Outcome.FIB_FAILED) return undefined;
    const update = this.#readUpdate(slot, contexts);
    const error = describeError(contexts.getU32(slot, U32.ERROR), contexts.errorText(slot), update, this.#links);
    const provider = this.#dataplane.providerName(contexts.getU8(slot, U8.PROVIDER));
    return provider === "" ? { error } : { provider, error };
  }

  #readUpdate(slot: number, contexts: Contexts): RouteUpdate {
    const update = this.#update;
    const base = slot * CONTEXT_BYTES;
    const { u8 } = contexts;
    update.op = this.op(slot, contexts);
    update.family = u8[base + U8.FAMILY] as Family;
    update.prefix.set(u8.subarray(base + U8.PREFIX, base + U8.PREFIX + 16));
    update.prefixLength = u8[base + U8.PREFIX_LENGTH]!;
    update.table = contexts.getU32(slot, U32.TABLE);
    update.metric = contexts.getU32(slot, U32.METRIC);
    const attrs = contexts.getU32(slot, U32.ATTRS);
    if (attrs !== NO_ATTRS) this.#rib.attrs.reader.read(attrs, update);
    else update.nexthops.length = 0;
    return update;
  }
}
