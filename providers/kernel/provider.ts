/**
 * The kernel provider: programs routes into the Linux FIB over rtnetlink (FRR: `kernel_dplane_process_func`, and
 * `netlink_route_multipath_msg_encode` below it). Runs on the dataplane thread, or on its own if so configured.
 *
 * What the kernel really does decides how it is asked (all seen on Linux 6.18; tests/live/kernel_*_live_test.ts):
 * - A route that the RIB does not know of is made with NLM_F_EXCL. Without it an IPv4 route of the same key and another
 *   protocol would be shadowed, and an IPv6 one would take the new nexthops as siblings.
 * - A known one is changed with NLM_F_REPLACE, in place: between any two kinds of route, without a moment in which
 *   there is none, and with the old one kept when the new is refused.
 * - A delete bears our protocol, so that it can hit nobody else's route.
 * - What the RIB does not know of and yet bears our protocol is what a lost answer, or a thread that died between asking
 *   and telling, has left behind. An install that meets it takes it away and is tried again.
 */
import { now } from "../../core/clock.ts";
import { NO_ATTRS } from "../../core/context/attrs.ts";
import type { Contexts } from "../../core/context/contexts.ts";
import { ContextFlag, ContextOp, ContextStatus, DplaneError, F64, U8, U32 } from "../../core/context/layout.ts";
import type { Provider, ProviderIo } from "../../core/dataplane/provider.ts";
import { ERRNO, errnoName } from "../../ffi/libc/errno.ts";
import type { Libc } from "../../ffi/libc/symbols.ts";
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from "../../ffi/netlink/constants.ts";
import { type NetlinkSocket, openNetlinkSocket } from "../../ffi/netlink/socket.ts";
import { ContextEncoder } from "../encode_context.ts";
import { Batch } from "./batch.ts";

const SEND_BUFFER_BYTES = 4 << 20;
const RECEIVE_BUFFER_BYTES = 4 << 20;

/** Stands for the context of a request whose failure matters to none. */
const NOBODY = 0xffffffff;

/** The provider's options, as its spec carries them. */
export interface KernelOptions {
  /** Network namespace to program: a name of `ip netns`, a path, or undefined for the daemon's own. */
  netns: string | undefined;
  /** RTPROT_* that routes are written with. */
  protocol: number;
  /** Where to publish the socket's port id, so that a listener can tell our changes from others' (one Int32). */
  portIdCell: SharedArrayBuffer | undefined;
}

export function createKernelProvider(libc: Libc, options: KernelOptions): Provider {
  return new KernelProvider(libc, options);
}

class KernelProvider implements Provider {
  readonly #libc: Libc;
  readonly #options: KernelOptions;
  #socket: NetlinkSocket | null = null;
  #batch!: Batch;
  #encoder!: ContextEncoder;
  #slots!: Uint32Array;
  /** By index of a request in the batch: the context that it is for. */
  #slotOf!: Uint32Array;
  /** Installs that met a route of their key: `#metCount` of them. */
  #met!: Uint32Array;
  #metCount = 0;

  constructor(libc: Libc, options: KernelOptions) {
    this.#libc = libc;
    this.#options = options;
  }

  start(io: ProviderIo): void {
    const { netns, protocol, portIdCell } = this.#options;
    const socket = openNetlinkSocket(this.#libc, {
      netns,
      extAck: true,
      capAck: true,
      strictCheck: true,
      sendBufferBytes: SEND_BUFFER_BYTES,
      receiveBufferBytes: RECEIVE_BUFFER_BYTES,
    });
    this.#socket = socket;
    this.#batch = new Batch(socket);
    this.#encoder = new ContextEncoder({ contexts: io.contexts, attrs: io.attrs, protocol });
    this.#slots = new Uint32Array(io.workLimit);
    // A second attempt has two requests for a context.
    this.#slotOf = new Uint32Array(2 * io.workLimit);
    this.#met = new Uint32Array(io.workLimit);
    if (portIdCell !== undefined) Atomics.store(new Int32Array(portIdCell), 0, socket.portId);
  }

  process(io: ProviderIo): void {
    const count = io.dequeueMany(this.#slots, io.workLimit);
    if (count === 0) return;
    const { contexts } = io;
    for (let index = 0; index < count; index++) {
      const slot = this.#slots[index]!;
      if (!contexts.hasFlag(slot, ContextFlag.SKIP_KERNEL)) this.#add(io, slot);
    }
    this.#send(io);
    if (this.#metCount > 0) this.#installAgain(io);
    const time = now();
    for (let index = 0; index < count; index++) contexts.setF64(this.#slots[index]!, F64.PROGRAMMED_AT, time);
    io.enqueueMany(this.#slots, count);
  }

  /** Puts an update back as it was: installs what was there before, or removes what was not. */
  undo(io: ProviderIo, slot: number): void {
    const { contexts } = io;
    if (contexts.hasFlag(slot, ContextFlag.SKIP_KERNEL)) return;
    const oldAttrs = contexts.getU32(slot, U32.OLD_ATTRS);
    const op = contexts.getU8(slot, U8.OP);
    const { view, offset, sequence } = this.#batch;
    if (oldAttrs !== NO_ATTRS) {
      const flags = NLM_F_CREATE | NLM_F_REPLACE;
      this.#batch.add(this.#encoder.encodeNew(view, offset, slot, oldAttrs, flags, sequence));
    } else if (op !== ContextOp.ROUTE_DELETE) {
      const attrs = contexts.getU32(slot, U32.ATTRS);
      this.#batch.add(this.#encoder.encodeDelete(view, offset, slot, 0, sequence, attrs));
    }
    let failed = "";
    this.#batch.send({
      onFailure: (_index, ack) => {
        if (!(oldAttrs === NO_ATTRS && ack.errno === ERRNO.ESRCH)) failed = ack.text || errnoName(ack.errno);
      },
      onUnknown: (_from, reason) => {
        failed = reason;
      },
    });
    if (failed !== "") throw new Error(`the kernel did not take the route back: ${failed}`);
  }

  finish(_io: ProviderIo, early: boolean): void {
    if (early) return;
    this.#socket?.close();
    this.#socket = null;
  }

  #add(io: ProviderIo, slot: number): void {
    const { contexts } = io;
    const op = contexts.getU8(slot, U8.OP);
    if (op === ContextOp.ROUTE_DELETE) {
      const oldAttrs = contexts.getU32(slot, U32.OLD_ATTRS);
      // Asked for a route that it does not have, the kernel would delete another of ours.
      if (oldAttrs === NO_ATTRS && !this.#encoder.isKeyExact(slot)) this.#fail(io, slot, ERRNO.ESRCH);
      else this.#addDelete(io, slot, slot, oldAttrs);
      return;
    }
    if (!this.#encoder.canEncode(slot, contexts.getU32(slot, U32.ATTRS))) {
      contexts.fail(
        slot,
        ERRNO.EMSGSIZE,
        "the nexthops take more than the 32 KiB in which the kernel can show a route",
      );
      return;
    }
    // A replayed install may have been done by the thread that died, and cannot always be taken away to be done again.
    const replace =
      op === ContextOp.ROUTE_UPDATE ||
      (contexts.hasFlag(slot, ContextFlag.REPLAYED) && !this.#encoder.isKeyExact(slot));
    this.#addNew(io, slot, replace ? NLM_F_REPLACE : NLM_F_EXCL);
  }

  #addNew(io: ProviderIo, slot: number, flag: number): void {
    if (!this.#batch.hasRoom()) this.#send(io);
    const { view, offset, sequence } = this.#batch;
    const attrs = io.contexts.getU32(slot, U32.ATTRS);
    const length = this.#encoder.encodeNew(view, offset, slot, attrs, NLM_F_CREATE | flag, sequence);
    this.#slotOf[this.#batch.add(length)] = slot;
  }

  /** Adds the deletion of the route of `slot`, which had `attrs`, on behalf of `whose`. */
  #addDelete(io: ProviderIo, slot: number, whose: number, attrs: number): void {
    if (!this.#batch.hasRoom()) this.#send(io);
    const { view, offset, sequence } = this.#batch;
    const length = this.#encoder.encodeDelete(view, offset, slot, 0, sequence, attrs);
    this.#slotOf[this.#batch.add(length)] = whose;
  }

  /**
   * Tries installs again that met a route of their key, after deleting it if it is ours; if it is another's they fail
   * again, and so they stay failed.
   */
  #installAgain(io: ProviderIo): void {
    const count = this.#metCount;
    for (let index = 0; index < count; index++) {
      const slot = this.#met[index]!;
      this.#addDelete(io, slot, NOBODY, NO_ATTRS);
      this.#addNew(io, slot, NLM_F_EXCL);
    }
    this.#send(io);
    this.#metCount = 0;
  }

  /** Sends the batch. What the kernel has seen and not objected to succeeds, and only after it has said so. */
  #send(io: ProviderIo): void {
    const { contexts } = io;
    const slots = this.#slotOf;
    const count = this.#batch.count;
    for (let index = 0; index < count; index++) if (slots[index] !== NOBODY) requeue(contexts, slots[index]!);
    this.#batch.send({
      onFailure: (index, ack) => this.#fail(io, slots[index]!, ack.errno, ack.text, ack.offset),
      onUnknown: (fromIndex, reason) => {
        io.log.error("The kernel's answer is missing", { reason, updates: count - fromIndex });
        for (let index = fromIndex; index < count; index++) {
          if (slots[index] !== NOBODY) contexts.fail(slots[index]!, DplaneError.NO_ANSWER, reason);
        }
      },
    });
    for (let index = 0; index < count; index++) {
      const slot = slots[index]!;
      if (slot !== NOBODY && contexts.getU8(slot, U8.STATUS) === ContextStatus.QUEUED) contexts.succeed(slot);
    }
  }

  #fail(io: ProviderIo, slot: number, errno: number, text = "", offset = 0): void {
    if (slot === NOBODY) return;
    const { contexts } = io;
    const op = contexts.getU8(slot, U8.OP);
    const wasHeld = contexts.hasFlag(slot, ContextFlag.KNOWN) || contexts.hasFlag(slot, ContextFlag.REPLAYED);
    // What was to go is gone: somebody else, or the kernel itself, was faster.
    if (op === ContextOp.ROUTE_DELETE && errno === ERRNO.ESRCH && wasHeld) return contexts.succeed(slot);
    contexts.fail(slot, errno, text, offset);
    const isMet = op === ContextOp.ROUTE_INSTALL && errno === ERRNO.EEXIST && this.#encoder.isKeyExact(slot);
    if (isMet) this.#met[this.#metCount++] = slot;
  }
}

/** Makes a context as it was before the kernel was asked: a second attempt begins without the first one's error. */
function requeue(contexts: Contexts, slot: number): void {
  contexts.setU8(slot, U8.STATUS, ContextStatus.QUEUED);
  contexts.setU8(slot, U8.ERROR_TEXT_LENGTH, 0);
  contexts.setU32(slot, U32.ERROR, 0);
  contexts.setU32(slot, U32.ERROR_OFFSET, 0);
}
