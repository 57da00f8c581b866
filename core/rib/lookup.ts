/**
 * Longest-prefix match in what is programmed: which of the RIB's routes the kernel uses for an address, as far as the
 * RIB knows the table. Main thread only. It asks only for prefix lengths that exist, so a lookup costs a few dozen
 * probes of the index and no index of its own.
 */
import { NO_ATTRS } from "../context/attrs.ts";
import { addressBits, maskHostBits } from "../model/prefix.ts";
import type { Family } from "../model/route.ts";
import type { KeyClass } from "./key_classes.ts";
import type { Rib } from "./rib.ts";
import { NO_ROUTE } from "./route_store.ts";

const NO_SOURCE = new Uint8Array(16);

/**
 * The number of the best programmed route to `address` in `table`, or {@linkcode NO_ROUTE}. Of the longest prefix wins
 * the longest source prefix that has `source` in it, then the lowest metric; without a source, routes for some sources
 * only are passed over. Both addresses have 16 bytes.
 */
export function lookUpRoute(rib: Rib, family: Family, address: Uint8Array, table: number, source?: Uint8Array): number {
  const candidates = candidateClasses(rib, family, table, source ?? NO_SOURCE);
  if (candidates.length === 0) return NO_ROUTE;
  const store = rib.store(family);
  const masked = address.slice(0, 16);
  for (let length = addressBits(family); length >= 0; length--) {
    if (!candidates.some((keyClass) => keyClass.byLength[length]! > 0)) continue;
    maskHostBits(masked, 0, length);
    for (const keyClass of candidates) {
      if (keyClass.byLength[length] === 0) continue;
      const route = store.find(masked, length, keyClass.id);
      if (route !== NO_ROUTE && store.programmed(route) !== NO_ATTRS) return route;
    }
  }
  return NO_ROUTE;
}

/** Classes whose routes may carry the packet, best first. */
function candidateClasses(rib: Rib, family: Family, table: number, source: Uint8Array): KeyClass[] {
  const candidates: KeyClass[] = [];
  for (const keyClass of rib.classes.values()) {
    if (keyClass.family === family && keyClass.table === table && coversSource(keyClass, source)) {
      candidates.push(keyClass);
    }
  }
  return candidates.sort((a, b) => b.sourceLength - a.sourceLength || a.metric - b.metric);
}

function coversSource(keyClass: KeyClass, source: Uint8Array): boolean {
  if (keyClass.sourceLength === 0) return true;
  return source !== NO_SOURCE && coversAddress(keyClass.source, keyClass.sourceLength, source);
}

/** Whether the first `length` bits of both are the same. */
export function coversAddress(prefix: Uint8Array, length: number, address: Uint8Array): boolean {
  const whole = length >> 3;
  for (let index = 0; index < whole; index++) if (prefix[index] !== address[index]) return false;
  const bits = length & 7;
  return bits === 0 || ((prefix[whole]! ^ address[whole]!) & (0xff00 >> bits)) === 0;
}
