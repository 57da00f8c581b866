/**
 * What the model kernel is made of: interfaces, addresses, routes and nexthop objects as plain data, and how a request is
 * refused. The rules are in the files beside this one; all are those of Linux 6.18, and tests/live/model_kernel_live_test.ts
 * compares them with the kernel at hand.
 */
import { parseAddress } from "../../../core/model/prefix.ts";
import type { Family } from "../../../core/model/route.ts";

/** One end of a pair of interfaces, or one alone. */
export interface ModelLink {
  ifindex: number;
  name: string;
  /** The other end, by number; 0 for none. Without it up there is no carrier. */
  peer: number;
  up: boolean;
  mtu: number;
  kind: string;
}

export interface ModelAddress {
  ifindex: number;
  family: Family;
  /** 16 bytes. */
  address: Uint8Array;
  prefixLength: number;
}

/** One way to go. */
export interface ModelHop {
  ifindex: number;
  viaFamily: number;
  via: Uint8Array;
  weight: number;
  /** RTNH_F_ONLINK, RTNH_F_DEAD, RTNH_F_LINKDOWN. */
  flags: number;
}

export interface ModelRoute {
  family: Family;
  table: number;
  destination: Uint8Array;
  prefixLength: number;
  source: Uint8Array;
  sourceLength: number;
  metric: number;
  protocol: number;
  scope: number;
  type: number;
  /** Null for none. */
  prefsrc: Uint8Array | null;
  mtu: number;
  /** Number of the nexthop object; 0 for none, and then the hops are its own. */
  objectId: number;
  /** One for each IPv6 sibling too: those are routes of one hop to the kernel, and several hops of one to who looks. */
  hops: ModelHop[];
  /** Of an IPv6 route: where each of its siblings stands among the routes of its key. */
  places: number[];
}

export interface ModelObject {
  id: number;
  protocol: number;
  /** Of a single one: the family that it counts as. */
  family: number;
  flags: number;
  /** Null for a group. */
  hop: ModelHop | null;
  members: { id: number; weight: number }[];
  /** Null for a group whose flows may move at any time. */
  buckets: number | null;
  idleTimer: number;
  unbalancedTimer: number;
}

/** Why the kernel refuses a request. */
export interface Refusal {
  errno: number;
  /** Empty where the kernel gives none. */
  text: string;
}

export function refuse(errno: number, text = ""): Refusal {
  return { errno, text };
}

/** Whether the first `length` bits of two addresses agree. */
export function covers(prefix: Uint8Array, length: number, address: Uint8Array): boolean {
  const bytes = length >> 3;
  for (let index = 0; index < bytes; index++) if (prefix[index] !== address[index]) return false;
  const bits = length & 7;
  return bits === 0 || (prefix[bytes]! ^ address[bytes]!) >> (8 - bits) === 0;
}

export function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  for (let index = 0; index < 16; index++) if (a[index] !== b[index]) return false;
  return true;
}

export function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/** Bits beyond the prefix length. */
export function hasHostBits(address: Uint8Array, length: number): boolean {
  for (let bit = length; bit < 128; bit++) if ((address[bit >> 3]! & (0x80 >> (bit & 7))) !== 0) return true;
  return false;
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** The address without what is beyond the prefix length. */
export function masked(address: Uint8Array, length: number): Uint8Array {
  const bytes = address.slice();
  for (let bit = length; bit < 128; bit++) bytes[bit >> 3]! &= ~(0x80 >> (bit & 7));
  return bytes;
}

export function hex(bytes: Uint8Array): string {
  let text = "";
  for (let index = 0; index < bytes.length; index++) text += HEX[bytes[index]!];
  return text;
}

/** Routes in the order in which a dump shows them: by table, address, length and metric; those of one key as they stand. */
export class RouteOrder {
  readonly #list: () => ModelRoute[];
  #routes: ModelRoute[] | null = null;
  readonly #places = new WeakMap<ModelRoute, string>();

  constructor(list: () => ModelRoute[]) {
    this.#list = list;
  }

  /** Something has come or gone. */
  forget(): void {
    this.#routes = null;
  }

  get routes(): readonly ModelRoute[] {
    this.#routes ??= this.#list().sort((a, b) => {
      const [first, second] = [this.placeOf(a), this.placeOf(b)];
      return first < second ? -1 : first > second ? 1 : 0;
    });
    return this.#routes;
  }

  placeOf(route: ModelRoute): string {
    let place = this.#places.get(route);
    if (place === undefined) {
      const { table, destination, prefixLength, metric } = route;
      const pad = (value: number): string => value.toString(16).padStart(8, "0");
      place = `${pad(table)} ${hex(destination)} ${pad(prefixLength)} ${pad(metric)}`;
      this.#places.set(route, place);
    }
    return place;
  }
}

/** The 16 bytes of an address as people write it. */
export function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  if (parseAddress(text, 0, text.length, bytes, 0) < 0) throw new RangeError(`no address: ${text}`);
  return bytes;
}

export function isSameHop(a: ModelHop, b: ModelHop): boolean {
  return a.ifindex === b.ifindex && a.viaFamily === b.viaFamily && isEqual(a.via, b.via);
}
