/**
 * What the API says about outcomes: statuses, and failures with their errno's name, the kernel's words and a hint. Main
 * thread.
 */
import { errnoName, errnoText } from "../../ffi/libc/errno.ts";
import { CONTEXT_BYTES } from "../constants.ts";
import { NO_ATTRS } from "../context/attrs.ts";
import type { Contexts } from "../context/contexts.ts";
import { ContextOp, DPLANE_ERROR_NAMES, DplaneError, U8, U32 } from "../context/layout.ts";
import { parseRefusal } from "../context/refusal.ts";
import type { Dataplane } from "../dataplane/dataplane.ts";
import type { LinkTable } from "../model/link_table.ts";
import { formatPrefix } from "../model/prefix.ts";
import { createRouteUpdate, type Family, type RouteUpdate, UpdateOp } from "../model/route.ts";
import { Outcome } from "../rib/outcome.ts";
import { Cause, causeOf } from "../rib/retry.ts";
import type { Rib } from "../rib/rib.ts";
import type { ErrorJson } from "./api_types.ts";
import { hintForFailure } from "./hint.ts";
import type { LineBuffer } from "./line_buffer.ts";
import { beginResult, endResult, putSource, type ResultDetails, ResultStatus } from "./result_json.ts";
import { describeCause, downLinks } from "./waiting.ts";

export const STATUS_OF_OUTCOME: Readonly<Record<Outcome, ResultStatus>> = {
  [Outcome.FIB_PROGRAMMED]: ResultStatus.FIB_PROGRAMMED,
  [Outcome.FIB_FAILED]: ResultStatus.FIB_FAILED,
  [Outcome.RIB_PROGRAMMED]: ResultStatus.RIB_PROGRAMMED,
  [Outcome.SKIPPED]: ResultStatus.SKIPPED,
  [Outcome.SUPERSEDED]: ResultStatus.SUPERSEDED,
};

/** A failure in words. `update` is what failed; its key and attributes go into the hint. */
export function describeError(error: number, text: string, update: RouteUpdate, links: LinkTable): ErrorJson {
  if (error === DplaneError.PROVIDER_REFUSED) {
    const refusal = parseRefusal(text);
    if (refusal !== undefined) return withHint(refusal.code, refusal.message, refusal.hint);
  }
  const code = DPLANE_ERROR_NAMES[error] ?? errnoName(error);
  const message = text === "" ? errnoText(error) : text;
  const cause = causeOf(error, text);
  const [down] = cause === Cause.LINK || cause === Cause.ADDRESS ? downLinks(update, links) : [];
  // The kernel looks for the gateway first, and blames that.
  const hint =
    down === undefined
      ? hintForFailure(code, text, update, (ifindex) => links.nameOf(ifindex))
      : links.indexOf(down) === 0
        ? `interface ${down.slice(2)} is gone; ip link shows what there is`
        : `link ${down} is down; ip link set ${down} up`;
  return withHint(code, message, hint);
}

function withHint(code: string, message: string, hint: string): ErrorJson {
  return hint === "" ? { code, message } : { code, message, hint };
}

/** `waitingFor` of a route whose nexthop group is not there. */
export function formatGroupWait(nexthopGroup: number): string {
  return `nexthop-group ${nexthopGroup}`;
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

  /** Puts the result into `out`, as a line of an answer. */
  putLine(out: LineBuffer, slot: number, outcome: Outcome, contexts: Contexts): void {
    const base = slot * CONTEXT_BYTES;
    const { u8 } = contexts;
    const family = u8[base + U8.FAMILY] as Family;
    const op = this.op(slot, contexts);
    const line = contexts.getU32(slot, U32.LINE);
    beginResult(out, line, op, family, u8, base + U8.PREFIX, u8[base + U8.PREFIX_LENGTH]!);
    putSource(out, family, u8, base + U8.SOURCE, u8[base + U8.SOURCE_LENGTH]!);
    const details = this.details(slot, outcome, contexts);
    endResult(out, contexts.getU32(slot, U32.TABLE), STATUS_OF_OUTCOME[outcome], details);
  }

  /** What was asked for; of a write of the daemon's own, what was done. */
  op(slot: number, contexts: Contexts): UpdateOp {
    const asked = contexts.getU32(slot, U32.CLIENT_OP) as UpdateOp | 0;
    if (asked !== 0) return asked;
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
    const details = this.#details(slot, outcome, contexts);
    const bypassed = contexts.getU32(slot, U32.BYPASSED);
    return bypassed === 0 ? details : { ...details, bypassed: this.#dataplane.bypassedNames(bypassed) };
  }

  #details(slot: number, outcome: Outcome, contexts: Contexts): ResultDetails | undefined {
    const winner = this.#rib.owners.nameOf(contexts.getU32(slot, U32.WINNER));
    if (outcome === Outcome.RIB_PROGRAMMED) {
      return winner === "" ? { waitingFor: this.#waitingFor(slot, contexts) } : { winner };
    }
    if (outcome !== Outcome.FIB_FAILED) return winner === "" ? undefined : { winner };
    const update = this.#readUpdate(slot, contexts);
    const errno = contexts.getU32(slot, U32.ERROR);
    const text = contexts.errorText(slot);
    const details: ResultDetails = { error: describeError(errno, text, update, this.#links) };
    const provider = this.#dataplane.providerName(contexts.getU8(slot, U8.PROVIDER));
    if (provider !== "") details.provider = provider;
    const waitingFor = describeCause(causeOf(errno, text), update, this.#links);
    if (waitingFor !== undefined) details.waitingFor = waitingFor;
    return details;
  }

  /** What a route waits for that is held although no other is better: its nexthop group. */
  #waitingFor(slot: number, contexts: Contexts): string {
    const desired = this.#rib.store(contexts.getU8(slot, U8.FAMILY)).desired(contexts.getU32(slot, U32.ENTRY));
    return formatGroupWait(desired === NO_ATTRS ? 0 : this.#rib.attrs.reader.nexthopGroup(desired));
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
