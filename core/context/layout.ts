/**
 * The shape of a context: one update on its way through the pipeline, as a fixed record in shared memory
 * (FRR: `struct zebra_dplane_ctx`). Offsets are in units of the view that reads them; nothing else in the tree knows
 * where a field lives.
 *
 * The record holds the route's key, its new and old attributes by number (core/context/attrs.ts), and what became of
 * it. Metric is part of the key, so an update never changes it and there is no old one.
 */
import { assert } from "../assert.ts";
import { CONTEXT_BYTES, ERROR_TEXT_BYTES, PROVIDERS_MAX } from "../constants.ts";

/**
 * What a context asks of the providers (FRR: `enum dplane_op_e`, DPLANE_OP_ROUTE_*, DPLANE_OP_NH_*). A nexthop object is
 * installed and changed by the same op, NEXTHOP_INSTALL; its number is the field NEXTHOP_ID, what it is to be the record
 * ATTRS (core/context/nexthop_object.ts).
 */
export const ContextOp = {
  NONE: 0,
  ROUTE_INSTALL: 1,
  ROUTE_UPDATE: 2,
  ROUTE_DELETE: 3,
  NEXTHOP_INSTALL: 4,
  NEXTHOP_DELETE: 5,
} as const;
export type ContextOp = (typeof ContextOp)[keyof typeof ContextOp];

/** Whether an op is about a nexthop object; else it is about a route. */
export function isNexthopOp(op: number): boolean {
  return op === ContextOp.NEXTHOP_INSTALL || op === ContextOp.NEXTHOP_DELETE;
}

/**
 * What is known of its outcome (FRR: `enum zebra_dplane_result`). It starts as QUEUED; only the provider that programs
 * the forwarding plane says SUCCESS, so that a pipeline in which nobody did cannot report that somebody had.
 */
export const ContextStatus = { QUEUED: 0, SUCCESS: 1, FAILURE: 2 } as const;
export type ContextStatus = (typeof ContextStatus)[keyof typeof ContextStatus];

/** Bits of the flags byte. */
export const ContextFlag = {
  /** A provider before the kernel asked for this update to bypass it (FRR: DPLANE_CTX_FLAG_NO_KERNEL). */
  SKIP_KERNEL: 0x01,
  /** On its way back through the providers that had done it, because a later one failed. */
  UNDO: 0x02,
  /** Admitted to a dataplane thread that died, and given to its successor: it may have been done already. */
  REPLAYED: 0x04,
  /** A provider could not take its part back: the forwarding plane may hold what the result calls failed. */
  UNDO_FAILED: 0x08,
  /** The RIB held this route when its deletion was admitted, so finding it gone already is success. */
  KNOWN: 0x10,
  /** The owner may replace what somebody else has put into the kernel under the same key. */
  TAKE_OVER: 0x20,
  /** Held by the RIB and not for the forwarding plane: another owner's route is better. Never given to the dataplane. */
  HELD: 0x40,
} as const;

/** Indexes into the record as bytes. */
export const U8 = {
  OP: 0,
  STATUS: 1,
  FLAGS: 2,
  FAMILY: 3,
  PREFIX_LENGTH: 4,
  SOURCE_LENGTH: 5,
  /** Provider that has or last had the context; 0 for none. */
  PROVIDER: 6,
  ERROR_TEXT_LENGTH: 7,
  PREFIX: 64,
  SOURCE: 80,
  ERROR_TEXT: 160,
} as const;

/** Indexes into the record as 32-bit words. */
export const U32 = {
  TABLE: 2,
  /** Number of the failure of an earlier attempt, when the context is on its way for the second time. The RIB's alone. */
  FAILURE: 3,
  METRIC: 4,
  /** Attributes to program; 0 on a delete. */
  ATTRS: 5,
  /** Attributes that the RIB believed programmed when the update was admitted; 0 for none. */
  OLD_ATTRS: 6,
  /** Number of the route in the RIB; the RIB's alone. */
  ENTRY: 7,
  /** Number of the owner that asked; 0 for the daemon itself. The RIB's alone. */
  OWNER: 8,
  /** Who asked: northbound session, and the line in its stream. Opaque to the dataplane. */
  SESSION: 9,
  LINE: 10,
  /** 0, a positive errno, or one of {@linkcode DplaneError}. */
  ERROR: 11,
  /** Byte offset in the netlink message that the kernel objected to (NLMSGERR_ATTR_OFFS); 0 for none. */
  ERROR_OFFSET: 12,
  /**
   * What was asked for, by UpdateOp; 0 if the daemon itself wants it. It differs from OP where one owner's deletion lets
   * another's route take over. The RIB's alone.
   */
  CLIENT_OP: 13,
  /**
   * Number of the owner whose route is written, where that is not the one that asked; in a result, whose route is in the
   * forwarding plane instead. 0 for none. The RIB's alone.
   */
  WINNER: 14,
  /** Number of the nexthop object in the kernel that a NEXTHOP op is about. */
  NEXTHOP_ID: 15,
  PREFIX: 16,
  SOURCE: 20,
  /** Providers that it passed without their word, because they were down: bit 0 stands for provider 1. */
  BYPASSED: 34,
} as const;

/** Indexes into the record as 64-bit floats. */
export const F64 = {
  /** Admission number, rising over the daemon's life: the order in which updates are replayed. */
  ADMISSION: 12,
  /** Times of core/clock.ts in milliseconds: admitted, taken by the dataplane thread, answered by the kernel, done. */
  ADMITTED_AT: 13,
  TAKEN_AT: 14,
  PROGRAMMED_AT: 15,
  DONE_AT: 16,
} as const;

/** Failures that no errno names; above every errno. */
export const DplaneError = {
  /** A provider threw. */
  PROVIDER_EXCEPTION: 1001,
  /** The thread that held the update ended before it was done. */
  THREAD_DIED: 1002,
  /** The daemon shut down, and its deadline passed before the update was done. */
  SHUTDOWN: 1003,
  /** The update left the pipeline without any provider having programmed it. */
  NOT_PROGRAMMED: 1004,
  /** A provider refused it for a reason of its own, given in the error text; a plugin's also with a code (refusal.ts). */
  PROVIDER_REFUSED: 1005,
  /** The kernel did not answer. */
  NO_ANSWER: 1006,
  /** A provider without whose word nothing may go on gave none: it was down, threw, or took too long. */
  NO_VERDICT: 1007,
} as const;

/** Names of {@linkcode DplaneError} as results carry them in `error.code`. */
export const DPLANE_ERROR_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(DplaneError).map(([name, value]) => [value, name]),
);

export const CONTEXT_WORDS = CONTEXT_BYTES / 4;
export const CONTEXT_DOUBLES = CONTEXT_BYTES / 8;

assert(U8.PREFIX === U32.PREFIX * 4 && U8.SOURCE === U32.SOURCE * 4, "byte and word views of an address agree");
assert(F64.ADMISSION * 8 >= U8.SOURCE + 16, "times do not overlap addresses");
assert(U32.BYPASSED * 4 >= (F64.DONE_AT + 1) * 8, "providers passed by do not overlap times");
assert(U8.ERROR_TEXT >= (U32.BYPASSED + 1) * 4, "error text does not overlap providers passed by");
assert(PROVIDERS_MAX <= 32, "providers passed by have a bit each");
assert(U8.ERROR_TEXT + ERROR_TEXT_BYTES === CONTEXT_BYTES, "error text fills the record");
