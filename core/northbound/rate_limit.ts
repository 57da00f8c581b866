/**
 * How often somebody may do something: a bucket for each key that fills up with time, and of which each go takes one. Main
 * thread.
 */
import { now } from "../clock.ts";

/** Keys that are watched at a time. Beyond it the one that was seen longest ago is forgotten. */
const KEYS_MAX = 4096;

interface Bucket {
  tokens: number;
  at: number;
}

export class RateLimit {
  readonly #burst: number;
  readonly #perSecond: number;
  /** In the order in which they were used last. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(burst: number, perSecond: number) {
    this.#burst = burst;
    this.#perSecond = perSecond;
  }

  /** Seconds until there is one to take, from 1; 0 if there is one now. Takes none. */
  waitSeconds(key: string): number {
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) return 0;
    this.#fill(bucket);
    return bucket.tokens >= 1 ? 0 : Math.max(1, Math.ceil((1 - bucket.tokens) / this.#perSecond));
  }

  /** Takes one, if there is one. */
  take(key: string): void {
    const bucket = this.#buckets.get(key) ?? { tokens: this.#burst, at: now() };
    this.#fill(bucket);
    bucket.tokens = Math.max(0, bucket.tokens - 1);
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > KEYS_MAX) this.#buckets.delete(this.#buckets.keys().next().value!);
  }

  /** Gives one back that was taken. */
  refund(key: string): void {
    const bucket = this.#buckets.get(key);
    if (bucket !== undefined) bucket.tokens = Math.min(this.#burst, bucket.tokens + 1);
  }

  #fill(bucket: Bucket): void {
    const time = now();
    bucket.tokens = Math.min(this.#burst, bucket.tokens + ((time - bucket.at) / 1000) * this.#perSecond);
    bucket.at = time;
  }
}

/** Whose requests count together: an IPv4 address, or the /64 that an IPv6 address lies in. */
export function rateKey(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, "").replace(/%.*$/, "");
  if (!plain.includes(":")) return plain;
  const [head = "", tail] = plain.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const middle = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  const groups = [...left, ...Array<string>(middle).fill("0"), ...right];
  return groups
    .slice(0, 4)
    .map((group) => group.toLowerCase().replace(/^0+(?=.)/, ""))
    .join(":");
}
