/**
 * What goes wrong in a simulation: each kind of fault with a rate of its own, drawn anew for each seed, and counted. All of it
 * stops when the simulation comes to its end.
 */
import { Prng } from "../../core/prng.ts";
import { ERRNO } from "../../ffi/libc/errno.ts";
import * as c from "../../ffi/netlink/constants.ts";
import type { Refusal } from "./kernel/model.ts";
import type { ModelSocket, NetlinkFaults, Waiting } from "./kernel/model_netlink.ts";

/** Kinds of faults, with how likely each is at most, a chance for each time it could happen. */
export const FAULTS = {
  /** The kernel takes none of a send. */
  sendError: 0.02,
  /** The kernel refuses a request for want of memory or room. */
  refusal: 0.01,
  /** A receive is interrupted by a signal, or finds nothing for the moment. */
  receiveInterrupt: 0.05,
  /** A receive fails for good. */
  receiveError: 0.003,
  /** Some of the answers to a batch are lost, and the socket says so (ENOBUFS). */
  answersOverrun: 0.03,
  /** Some of the answers are lost, and nobody says so. */
  answersLost: 0.02,
  /** An answer comes only after its batch was given up. */
  answersLate: 0.01,
  /** An answer is cut short. */
  answersTruncated: 0.01,
  /** A dump loses a piece, and the socket says so. */
  dumpOverrun: 0.03,
  /** A dump loses its end. */
  dumpEndLost: 0.003,
  /** A dump ends with an error in the middle. */
  dumpBroken: 0.01,
  /** Notifications are lost, and the socket says so. */
  notificationsOverrun: 0.02,
  /** A notification overtakes another. */
  notificationsSwapped: 0.05,
  /** A poll is interrupted by a signal. */
  pollInterrupt: 0.1,
  /** The dataplane thread dies. */
  dataplaneDeath: 0.0008,
  /** The thread of a provider dies. */
  providerDeath: 0.002,
  /** The thread that listens to the kernel dies. */
  monitorDeath: 0.0008,
  /** A thread does nothing for a while, so long perhaps that it is taken for stuck. */
  threadStall: 0.001,
  /** Others come in between while a thread is inside of a system call. */
  interruption: 0.3,
  /** The whole process stands still for a while. */
  processPause: 0.0005,
  /** Somebody sets the system's clock. */
  clockJump: 0.002,
  /** A provider fails an update. */
  providerFailure: 0.02,
  /** A provider throws. */
  providerException: 0.01,
  /** A provider keeps an update for a while. */
  providerDelay: 0.1,
  /** A provider cannot take its part back. */
  providerUndoFailure: 0.05,
  /** A client does not read its results for a while. */
  clientStall: 0.03,
  /** A client goes away in the middle. */
  clientGone: 0.01,
  /** The daemon is killed, and started again. */
  daemonKill: 0.0003,
} as const;
export type FaultKind = keyof typeof FAULTS;
export const FAULT_KINDS = Object.keys(FAULTS) as FaultKind[];

/** Answers that wait for a later batch, at most. */
const LATE_MAX = 4;

export class Faults implements NetlinkFaults {
  /** How often each kind has happened. */
  readonly counts = new Map<FaultKind, number>();
  isOn = true;
  readonly #rates: Record<FaultKind, number>;
  readonly #prngs: Record<FaultKind, Prng>;
  readonly #late = new Map<number, Uint8Array[]>();
  onFault: (kind: FaultKind) => void = () => {};

  /** `without`: kinds that do not happen, so that it can be found out which ones matter. */
  constructor(seed: number, without: ReadonlySet<FaultKind> = new Set()) {
    const mood = new Prng(seed ^ 0x0fa0_17e5);
    const rates = {} as Record<FaultKind, number>;
    const prngs = {} as Record<FaultKind, Prng>;
    // Some seeds see little of anything, and most see no more than some of the kinds.
    const share = mood.pick([0, 0.2, 0.5, 0.8]);
    for (const [index, kind] of FAULT_KINDS.entries()) {
      const rate = mood.chance(share) ? FAULTS[kind] * mood.fraction() : 0;
      rates[kind] = without.has(kind) ? 0 : rate;
      // A kind has numbers of its own, so that the others go on as they were where it is left out.
      prngs[kind] = new Prng((seed * 64 + index) ^ 0x5eed);
    }
    this.#rates = rates;
    this.#prngs = prngs;
  }

  /** Whether it happens now. */
  happens(kind: FaultKind): boolean {
    const rate = this.#rates[kind];
    if (rate === 0 || !this.isOn || !this.#prngs[kind].chance(rate)) return false;
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    this.onFault(kind);
    return true;
  }

  /** A number below `end` for how it happens. */
  below(kind: FaultKind, end: number): number {
    return this.#prngs[kind].below(end);
  }

  refusal(): Refusal | null {
    if (!this.happens("refusal")) return null;
    return { errno: [ERRNO.ENOMEM, ERRNO.ENOBUFS, ERRNO.ENOSPC][this.below("refusal", 3)]!, text: "" };
  }

  onSend(_socket: ModelSocket): number {
    if (!this.happens("sendError")) return 0;
    return [ERRNO.EINTR, ERRNO.EINTR, ERRNO.ENOBUFS, ERRNO.ENOMEM, ERRNO.EAGAIN, ERRNO.EPERM][
      this.below("sendError", 6)
    ]!;
  }

  onReceive(socket: ModelSocket): number {
    if (this.happens("receiveInterrupt")) {
      return this.below("receiveInterrupt", 2) === 0 ? ERRNO.EINTR : ERRNO.EAGAIN;
    }
    if (!socket.isListening && this.happens("receiveError")) return ERRNO.EIO;
    return 0;
  }

  onAnswers(socket: ModelSocket, answers: Uint8Array[]): Waiting[] {
    const arriving: Waiting[] = [...(this.#late.get(socket.fd) ?? []), ...answers];
    this.#late.delete(socket.fd);
    if (answers.length === 0) return arriving;
    if (this.happens("answersOverrun")) {
      const kept = this.below("answersOverrun", arriving.length);
      // The overrun is told at once, before what was there already.
      return this.below("answersOverrun", 2) === 0
        ? [...arriving.slice(0, kept), ERRNO.ENOBUFS]
        : [ERRNO.ENOBUFS, ...arriving.slice(0, kept)];
    }
    if (this.happens("answersLost")) {
      // From one on: the kernel loses none in the middle.
      arriving.splice(this.below("answersLost", arriving.length));
    }
    if (arriving.length > 0 && this.happens("answersLate")) {
      const late = arriving.splice(this.below("answersLate", arriving.length));
      const answersOnly = late.filter((each) => typeof each !== "number");
      this.#late.set(socket.fd, answersOnly.slice(0, LATE_MAX));
    }
    if (arriving.length > 0 && this.happens("answersTruncated")) {
      const at = this.below("answersTruncated", arriving.length);
      const cut = arriving[at]!;
      // A datagram of nothing would be one that is lost in the middle.
      if (typeof cut !== "number") arriving[at] = cut.slice(0, 1 + this.below("answersTruncated", cut.length - 1));
    }
    return arriving;
  }

  onNotification(socket: ModelSocket, datagram: Uint8Array): Waiting[] {
    if (this.happens("notificationsOverrun")) {
      // What waits stays, what comes is lost.
      return socket.queue.includes(ERRNO.ENOBUFS) ? [] : [ERRNO.ENOBUFS];
    }
    const last = socket.queue.at(-1);
    if (last instanceof Uint8Array && this.happens("notificationsSwapped")) {
      socket.queue.pop();
      return [datagram, last];
    }
    return [datagram];
  }

  onDump(_socket: ModelSocket, datagram: Uint8Array): Waiting[] {
    const isEnd = new DataView(datagram.buffer, datagram.byteOffset).getUint16(4, true) === c.NLMSG_DONE;
    if (isEnd) {
      if (this.happens("dumpEndLost")) return [];
      if (!this.happens("dumpBroken")) return [datagram];
      const broken = datagram.slice();
      new DataView(broken.buffer).setInt32(c.NLMSG_HDRLEN, -ERRNO.EINTR, true);
      return [broken];
    }
    return this.happens("dumpOverrun") ? [ERRNO.ENOBUFS] : [datagram];
  }

  dumpMessages(): number {
    // Pieces are always small: there would be one piece only otherwise.
    return 1 + this.#prngs.dumpOverrun.below(16);
  }

  onPoll(): boolean {
    return this.happens("pollInterrupt");
  }
}
