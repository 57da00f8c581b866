/**
 * Whether two sets of route attributes come to the same route in the kernel. Main thread only.
 *
 * They may differ in what the kernel is never told (protocol, distance, tag, instance), in what it fills in by itself
 * (the interface of a gateway that came without one), and in what it does not keep (the weight of a single nexthop, the
 * order of an IPv6 route's nexthops). Pairs that were compared are remembered: a table has a million routes and a few
 * dozen pairs.
 */
import { type AttrsReader, NO_ATTRS } from "../context/attrs.ts";
import { isSameAddress } from "../model/prefix.ts";
import { createRouteUpdate, EncapType, type Nexthop, RouteType, type RouteUpdate } from "../model/route.ts";

/** Pairs that are remembered. */
const PAIRS_MAX = 4096;

interface Verdict {
  wantedEpoch: number;
  heldEpoch: number;
  same: boolean;
}

export class FibCompare {
  readonly #reader: AttrsReader;
  /** By `wanted * 2^26 + held`: arena numbers have 24 bits. */
  readonly #verdicts = new Map<number, Verdict>();
  readonly #wanted = createRouteUpdate();
  readonly #held = createRouteUpdate();
  /** What routes on a nexthop object of the kernel have for nexthops, where it stands for these and for no client's group. */
  membersOf: (object: number) => readonly Nexthop[] | null = () => null;

  constructor(reader: AttrsReader) {
    this.#reader = reader;
  }

  /** True if the kernel's `held` is what writing `wanted` comes to. */
  isSame(wanted: number, held: number): boolean {
    if (wanted === held) return true;
    if (wanted === NO_ATTRS || held === NO_ATTRS) return false;
    const reader = this.#reader;
    const key = wanted * 2 ** 26 + held;
    const known = this.#verdicts.get(key);
    const wantedEpoch = reader.epoch(wanted);
    const heldEpoch = reader.epoch(held);
    if (known?.wantedEpoch === wantedEpoch && known.heldEpoch === heldEpoch) return known.same;
    reader.read(wanted, this.#wanted);
    reader.read(held, this.#held);
    this.#resolveHeld();
    const same = isSameRoute(this.#wanted, this.#held);
    if (this.#verdicts.size >= PAIRS_MAX) this.#verdicts.clear();
    this.#verdicts.set(key, { wantedEpoch, heldEpoch, same });
    return same;
  }

  /** What objects stand for has changed, and with it perhaps what was said of pairs. */
  forget(): void {
    this.#verdicts.clear();
  }

  /** A route that is wanted with its nexthops may be held by an object of the same ones. */
  #resolveHeld(): void {
    if (this.#wanted.nexthopGroup !== 0 || this.#held.nexthopGroup === 0) return;
    const members = this.membersOf(this.#held.nexthopGroup);
    if (members === null) return;
    this.#held.nexthopGroup = 0;
    this.#held.nexthops = [...members];
  }
}

function isSameRoute(wanted: RouteUpdate, held: RouteUpdate): boolean {
  if (wanted.type !== held.type || wanted.mtu !== held.mtu || wanted.nexthopGroup !== held.nexthopGroup) return false;
  if (wanted.prefsrcFamily !== held.prefsrcFamily) return false;
  if (wanted.prefsrcFamily !== 0 && !isSameAddress(wanted.prefsrc, 0, held.prefsrc, 0)) return false;
  if (wanted.type !== RouteType.UNICAST || wanted.nexthopGroup !== 0) return true;
  const count = wanted.nexthops.length;
  if (count !== held.nexthops.length) return false;
  if (count === 1) return isSameNexthop(wanted.nexthops[0]!, held.nexthops[0]!, false);
  return isSameSet(wanted.nexthops, held.nexthops);
}

/** Compares regardless of order. Each one held stands for one wanted. */
function isSameSet(wanted: readonly Nexthop[], held: readonly Nexthop[]): boolean {
  const left = [...held];
  for (const [index, nexthop] of wanted.entries()) {
    // They mostly come in the same order, and then this is linear.
    const near = left.length - (wanted.length - index);
    const at = isSameNexthop(nexthop, left[near]!, true)
      ? near
      : left.findIndex((one) => isSameNexthop(nexthop, one, true));
    if (at === -1) return false;
    left.splice(at, 1);
  }
  return true;
}

function isSameNexthop(wanted: Nexthop, held: Nexthop, withWeight: boolean): boolean {
  if (wanted.viaFamily !== held.viaFamily || wanted.onlink !== held.onlink || wanted.encap !== held.encap) return false;
  if (wanted.ifindex !== 0 && wanted.ifindex !== held.ifindex) return false;
  if (withWeight && wanted.weight !== held.weight) return false;
  if (wanted.viaFamily !== 0 && !isSameAddress(wanted.via, 0, held.via, 0)) return false;
  if (wanted.encap === EncapType.MPLS) return String(wanted.labels) === String(held.labels);
  if (wanted.encap !== EncapType.SEG6) return true;
  return (
    wanted.seg6Mode === held.seg6Mode &&
    wanted.segments.length === held.segments.length &&
    wanted.segments.every((segment, index) => isSameAddress(segment, 0, held.segments[index]!, 0))
  );
}
