/**
 * The kernel provider: programs routes and nexthop objects into the Linux FIB over rtnetlink (FRR: `kernel_dplane_process_func`, and
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
 * - A route that the kernel refuses by the nexthop object that stands for its nexthops is tried again with these inline: the
 *   object may have gone with its link, and nobody has told yet. So the answer is always one about the route as asked for.
 * - A nexthop object that the RIB does not know of is made with NLM_F_EXCL too. If its number is taken, the kernel is
 *   asked by whom: one of our protocol is replaced, any other is left alone. It cannot be taken away and made anew as a
 *   route can, for its routes would go with it.
 */
import { type Clock, SYSTEM_CLOCK } from "../../core/clock.ts";
import { type AttrsReader, NO_ATTRS } from "../../core/context/attrs.ts";
import type { Contexts } from "../../core/context/contexts.ts";
import {
  ContextFlag,
  ContextOp,
  ContextStatus,
  DplaneError,
  F64,
  isNexthopOp,
  U8,
  U32,
} from "../../core/context/layout.ts";
import { readNexthopObject } from "../../core/context/nexthop_object.ts";
import type { Provider, ProviderIo } from "../../core/dataplane/provider.ts";
import { Family } from "../../core/model/route.ts";
import { ERRNO, errnoName } from "../../ffi/libc/errno.ts";
import type { Libc } from "../../ffi/libc/symbols.ts";
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from "../../ffi/netlink/constants.ts";
import { type NetlinkSocket, openNetlinkSocket } from "../../ffi/netlink/socket.ts";
import { ContextEncoder } from "../encode_context.ts";
import { encodeNexthopDelete, encodeNexthopNew } from "../encode_nexthop.ts";
import { Batch } from "./batch.ts";
import { describeProtocol, HOLDER_NONE, HOLDER_SILENT, Holders } from "./holder.ts";
import { WriteOrder } from "./write_order.ts";

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

export function createKernelProvider(libc: Libc, options: KernelOptions, clock = SYSTEM_CLOCK): Provider {
  return new KernelProvider(libc, options, clock);
}

class KernelProvider implements Provider {
  readonly #libc: Libc;
  readonly #options: KernelOptions;
  readonly #clock: Clock;
  #socket: NetlinkSocket | null = null;
  #batch!: Batch;
  #encoder!: ContextEncoder;
  #attrs!: AttrsReader;
  #holders!: Holders;
  #slots!: Uint32Array;
  #order!: WriteOrder;
  /** By index of a request in the batch: the context that it is for. */
  #slotOf!: Uint32Array;
  /** What is to be tried again: installs that met a route or an object of their key, and routes refused by an object. */
  #met!: Uint32Array;
  #metCount = 0;
  /** Those of {@linkcode #met} are being tried again. */
  #isSecondAttempt = false;
  /** Those of {@linkcode #met} that are tried again, while others may meet something. */
  #again!: Uint32Array;

  constructor(libc: Libc, options: KernelOptions, clock: Clock) {
    this.#libc = libc;
    this.#options = options;
    this.#clock = clock;
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
    this.#batch = new Batch(socket, { clock: this.#clock });
    this.#encoder = new ContextEncoder({ contexts: io.contexts, attrs: io.attrs, protocol, byObject: true });
    this.#attrs = io.attrs;
    this.#holders = new Holders(this.#libc, netns);
    this.#slots = new Uint32Array(io.workLimit);
    this.#order = new WriteOrder(io.contexts, io.attrs, io.workLimit);
    // A second attempt has three requests for a context.
    this.#slotOf = new Uint32Array(3 * io.workLimit);
    this.#met = new Uint32Array(io.workLimit);
    this.#again = new Uint32Array(io.workLimit);
    if (portIdCell !== undefined) Atomics.store(new Int32Array(portIdCell), 0, socket.portId);
  }

  process(io: ProviderIo): void {
    const count = io.dequeueMany(this.#slots, io.workLimit);
    if (count === 0) return;
    const { contexts } = io;
    const order = this.#order.of(this.#slots, count);
    for (let index = 0; index < count; index++) {
      const slot = order[index]!;
      if (!contexts.hasFlag(slot, ContextFlag.SKIP_KERNEL)) this.#add(io, slot);
    }
    this.#send(io);
    if (this.#metCount > 0) this.#settleMet(io);
    const time = this.#clock.now();
    for (let index = 0; index < count; index++) contexts.setF64(this.#slots[index]!, F64.PROGRAMMED_AT, time);
    io.enqueueMany(this.#slots, count);
  }

  /** Puts an update back as it was: installs what was there before, or removes what was not. */
  undo(io: ProviderIo, slot: number): void {
    const { contexts } = io;
    if (contexts.hasFlag(slot, ContextFlag.SKIP_KERNEL)) return;
    const oldAttrs = contexts.getU32(slot, U32.OLD_ATTRS);
    if (oldAttrs !== NO_ATTRS) this.#addNew(io, slot, oldAttrs, NLM_F_CREATE | NLM_F_REPLACE);
    else if (!isDelete(contexts, slot)) this.#addDelete(io, slot, slot, contexts.getU32(slot, U32.ATTRS));
    let failed = "";
    this.#batch.send({
      onFailure: (_index, { errno, text }) => {
        const isGone = errno === ERRNO.ESRCH || errno === ERRNO.ENOENT;
        if (!(oldAttrs === NO_ATTRS && isGone)) failed = text || errnoName(errno);
      },
      onUnknown: (_from, reason) => {
        failed = reason;
      },
    });
    if (failed !== "") throw new Error(`the kernel did not take the update back: ${failed}`);
  }

  finish(_io: ProviderIo, early: boolean): void {
    if (early) return;
    this.#socket?.close();
    if (this.#socket !== null) this.#holders.close();
    this.#socket = null;
  }

  #add(io: ProviderIo, slot: number): void {
    const { contexts } = io;
    const attrs = contexts.getU32(slot, U32.ATTRS);
    const oldAttrs = contexts.getU32(slot, U32.OLD_ATTRS);
    const isObject = isNexthopOp(contexts.getU8(slot, U8.OP));
    if (isDelete(contexts, slot)) {
      // Asked for a route that it does not have, the kernel would delete another of ours.
      if (!isObject && oldAttrs === NO_ATTRS && !this.#encoder.isKeyExact(slot)) this.#fail(io, slot, ERRNO.ESRCH);
      else this.#addDelete(io, slot, slot, oldAttrs);
    } else if (isObject) {
      // One that is to be changed and is gone took its routes along; made anew in silence, it would hide that.
      this.#addNew(io, slot, attrs, oldAttrs === NO_ATTRS ? NLM_F_CREATE | NLM_F_EXCL : NLM_F_REPLACE);
    } else if (this.#encoder.canEncode(slot, attrs)) {
      const flag = this.#mayReplace(contexts, slot) ? NLM_F_REPLACE : NLM_F_EXCL;
      // What was refused by an object is tried inline.
      this.#addNew(io, slot, attrs, NLM_F_CREATE | flag, !this.#isSecondAttempt);
    } else {
      const text = "the nexthops take more than the 32 KiB in which the kernel can show a route";
      contexts.fail(slot, ERRNO.EMSGSIZE, text);
    }
  }

  /** Whether a route that the kernel has under the key of this one is to give way. */
  #mayReplace(contexts: Contexts, slot: number): boolean {
    if (contexts.getU8(slot, U8.OP) === ContextOp.ROUTE_UPDATE) return true;
    // What is ours has to go first: a replace would leave a second one of the key.
    if (contexts.hasFlag(slot, ContextFlag.TAKE_OVER)) return this.#isSecondAttempt;
    // A replayed install may have been done by the thread that died, and cannot always be taken away to be done again.
    return contexts.hasFlag(slot, ContextFlag.REPLAYED) && !this.#encoder.isKeyExact(slot);
  }

  /** Adds the making of what the context is about, with `attrs`. `flags` say what becomes of what is there already. */
  #addNew(io: ProviderIo, slot: number, attrs: number, flags: number, isByObject = false): void {
    if (!this.#batch.hasRoom()) this.#send(io);
    const { view, offset, sequence } = this.#batch;
    let length: number;
    if (isNexthopOp(io.contexts.getU8(slot, U8.OP))) {
      const id = io.contexts.getU32(slot, U32.NEXTHOP_ID);
      const object = readNexthopObject(this.#attrs, attrs);
      length = encodeNexthopNew(view, offset, id, object, this.#options.protocol, flags, sequence);
    } else {
      const object = isByObject ? this.#encoder.objectFor(slot, attrs) : 0;
      length = this.#encoder.encodeNew(view, offset, slot, attrs, flags, sequence, object);
    }
    this.#slotOf[this.#batch.add(length)] = slot;
  }

  /** Adds the deletion of what the context of `slot` is about, which had `attrs`, on behalf of `whose`. */
  #addDelete(io: ProviderIo, slot: number, whose: number, attrs: number): void {
    if (!this.#batch.hasRoom()) this.#send(io);
    const { view, offset, sequence } = this.#batch;
    const length = isNexthopOp(io.contexts.getU8(slot, U8.OP))
      ? encodeNexthopDelete(view, offset, io.contexts.getU32(slot, U32.NEXTHOP_ID), sequence)
      : this.#encoder.encodeDelete(view, offset, slot, 0, sequence, attrs);
    this.#slotOf[this.#batch.add(length)] = whose;
  }

  /** Tries installs again that met a route or an object of their key. Where it is another's they stay failed. */
  #settleMet(io: ProviderIo): void {
    const count = this.#metCount;
    this.#isSecondAttempt = true;
    [this.#met, this.#again] = [this.#again, this.#met];
    this.#metCount = 0;
    for (let index = 0; index < count; index++) {
      const slot = this.#again[index]!;
      if (isNexthopOp(io.contexts.getU8(slot, U8.OP))) this.#makeAgain(io, slot);
      else if (io.contexts.getU32(slot, U32.ERROR) === ERRNO.EEXIST) this.#installAgain(io, slot);
      else this.#add(io, slot);
    }
    this.#send(io);
    this.#isSecondAttempt = false;
    this.#nameHolders(io);
    this.#metCount = 0;
  }

  /**
   * Deletes the route that is in the way if it is ours. If it is another's, the second attempt fails as the first did, or
   * takes its place if it may.
   */
  #installAgain(io: ProviderIo, slot: number): void {
    if (io.contexts.getU8(slot, U8.OP) === ContextOp.ROUTE_UPDATE) return this.#replaceAgain(io, slot);
    const mayReplace = this.#mayReplace(io.contexts, slot);
    const isKeyExact = this.#encoder.isKeyExact(slot);
    if (isKeyExact) {
      // There may be two: somebody has put one beside ours, or before it.
      this.#addDelete(io, slot, NOBODY, NO_ATTRS);
      this.#addDelete(io, slot, NOBODY, NO_ATTRS);
    } else if (!mayReplace) {
      // The deletion might hit another route of ours.
      this.#met[this.#metCount++] = slot;
      return;
    }
    const flag = mayReplace ? NLM_F_REPLACE : NLM_F_EXCL;
    this.#addNew(io, slot, io.contexts.getU32(slot, U32.ATTRS), NLM_F_CREATE | flag);
  }

  /**
   * The route that was to replace ours is there already, behind the one that would give way: it goes first, and then takes
   * its place without a gap.
   */
  #replaceAgain(io: ProviderIo, slot: number): void {
    const attrs = io.contexts.getU32(slot, U32.ATTRS);
    if (!this.#batch.hasRoom()) this.#send(io);
    // It may be there by the object that stands for its nexthops, or with these inline.
    const object = this.#encoder.objectFor(slot, attrs);
    for (const named of object === 0 ? [0] : [object, 0]) {
      const { view, offset, sequence } = this.#batch;
      const length = this.#encoder.encodeExactDelete(view, offset, slot, attrs, sequence, named);
      this.#slotOf[this.#batch.add(length)] = NOBODY;
      if (!this.#batch.hasRoom()) this.#send(io);
    }
    this.#addNew(io, slot, attrs, NLM_F_CREATE | NLM_F_REPLACE);
  }

  /** Replaces the nexthop object that is in the way if it is ours, and of the same kind: the kernel changes no other. */
  #makeAgain(io: ProviderIo, slot: number): void {
    const { contexts } = io;
    const id = contexts.getU32(slot, U32.NEXTHOP_ID);
    const attrs = contexts.getU32(slot, U32.ATTRS);
    const holder = this.#holders.nexthop(id);
    const isOurs = holder === this.#options.protocol;
    const isOfKind = isOurs && this.#holders.nexthopKind === readNexthopObject(this.#attrs, attrs).kind;
    if (isOfKind || holder === HOLDER_NONE) {
      const flag = holder === HOLDER_NONE ? NLM_F_EXCL : NLM_F_REPLACE;
      this.#addNew(io, slot, attrs, NLM_F_CREATE | flag);
      return;
    }
    const whose = isOurs ? "of another kind" : holder >= 0 ? `of ${describeProtocol(holder)}` : "of somebody else";
    contexts.fail(slot, ERRNO.EEXIST, `nexthop object ${id} is there already, and ${whose}`);
  }

  /** Tells the routes that met another's whose it is. A lookup takes 3 µs, about what the kernel took to refuse. */
  #nameHolders(io: ProviderIo): void {
    let isSilent = false;
    for (let index = 0; index < this.#metCount; index++) {
      const slot = this.#met[index]!;
      if (isNexthopOp(io.contexts.getU8(slot, U8.OP))) continue;
      const holder: number = isSilent ? HOLDER_SILENT : this.#holders.route(io.contexts, slot);
      // Waiting for each answer in vain would hold everything else up.
      isSilent = holder === HOLDER_SILENT;
      const whose = holder >= 0 ? `a route of ${describeProtocol(holder)}` : "another route";
      io.contexts.fail(slot, ERRNO.EEXIST, `${whose} has this prefix, table and metric`);
    }
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
    if (op === ContextOp.ROUTE_DELETE && wasHeld && this.#isGone(contexts, slot, errno)) return contexts.succeed(slot);
    // The kernel deletes an object by itself with its device, and a group with its last member.
    if (op === ContextOp.NEXTHOP_DELETE && errno === ERRNO.ENOENT) return contexts.succeed(slot);
    contexts.fail(slot, errno, text, offset);
    const mayTryAgain =
      errno === ERRNO.EEXIST ? this.#mayTryAgain(contexts, slot, op) : this.#wasByObject(contexts, slot);
    if (mayTryAgain) this.#met[this.#metCount++] = slot;
  }

  /** Whether what was refused may have been by an object, for another reason than what the route says. */
  #wasByObject(contexts: Contexts, slot: number): boolean {
    const attrs = contexts.getU32(slot, U32.ATTRS);
    if (this.#isSecondAttempt || attrs === NO_ATTRS || isNexthopOp(contexts.getU8(slot, U8.OP))) return false;
    return !isDelete(contexts, slot) && this.#attrs.isShared(attrs);
  }

  /** Whether what was refused with EEXIST may come true in a second attempt. */
  #mayTryAgain(contexts: Contexts, slot: number, op: number): boolean {
    if (op === ContextOp.NEXTHOP_INSTALL) return true;
    // Where something may be replaced, EEXIST means duplicate nexthops to IPv6, and to IPv4 that the very route is there
    // behind another one of its key (net/ipv4/fib_trie.c: fib_table_insert).
    if (op === ContextOp.ROUTE_INSTALL) return !this.#mayReplace(contexts, slot);
    const isIpv4 = contexts.getU8(slot, U8.FAMILY) === Family.IPV4;
    return isIpv4 && !this.#isSecondAttempt && this.#encoder.isKeyExact(slot);
  }

  /** Whether the kernel's answer to a deletion means that there is no such route. */
  #isGone(contexts: Contexts, slot: number, errno: number): boolean {
    if (errno === ERRNO.ESRCH) return true;
    const oldAttrs = contexts.getU32(slot, U32.OLD_ATTRS);
    if (errno !== ERRNO.EINVAL || oldAttrs === NO_ATTRS) return false;
    // Where the deletion named the route's nexthop object and there is none, the kernel has deleted both together.
    const object = this.#attrs.nexthopGroup(oldAttrs);
    return object !== 0 && this.#holders.nexthop(object) === HOLDER_NONE;
  }
}

function isDelete(contexts: Contexts, slot: number): boolean {
  const op = contexts.getU8(slot, U8.OP);
  return op === ContextOp.ROUTE_DELETE || op === ContextOp.NEXTHOP_DELETE;
}

/** Makes a context as it was before the kernel was asked: a second attempt begins without the first one's error. */
function requeue(contexts: Contexts, slot: number): void {
  contexts.setU8(slot, U8.STATUS, ContextStatus.QUEUED);
  contexts.setU8(slot, U8.ERROR_TEXT_LENGTH, 0);
  contexts.setU32(slot, U32.ERROR, 0);
  contexts.setU32(slot, U32.ERROR_OFFSET, 0);
}
