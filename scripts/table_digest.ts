/**
 * Compares a routing table with what a kernel holds without keeping either in memory: a digest of the routes that does
 * not depend on their order. For the demo, the benchmarks and tests.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { RTPROT_DEFAULT } from "../core/constants.ts";

/** A set of routes by their prefix and nexthop. */
export class TableDigest {
  routes = 0;
  #sum = 0;

  add(prefix: string, nexthop: string): void {
    this.routes++;
    this.#sum = (this.#sum + hash(`${prefix} ${nexthop}`)) >>> 0;
  }

  remove(prefix: string, nexthop: string): void {
    this.routes--;
    this.#sum = (this.#sum - hash(`${prefix} ${nexthop}`)) >>> 0;
  }

  /** The same text for the same set. */
  toString(): string {
    return `${this.routes} routes ${this.#sum.toString(16).padStart(8, "0")}`;
  }
}

/** FNV-1a, and a last mixing, without which the sum over alike texts would be weak. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  return (value ^ (value >>> 13)) >>> 0;
}

/** What the main table of namespace `netns` holds of our protocol, as `ip route show` tells it. */
export async function digestKernel(netns: string, family: 4 | 6, protocol = RTPROT_DEFAULT): Promise<TableDigest> {
  const args = ["-n", netns, `-${family}`, "route", "show", "proto", String(protocol)];
  const ip = spawn("ip", args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<number | null>((resolve, reject) => {
    ip.once("close", resolve);
    ip.once("error", reject);
  });
  const digest = new TableDigest();
  for await (const line of createInterface({ input: ip.stdout })) {
    const words = line.split(" ");
    const prefix = words[0]!;
    // A host prefix is shown without its length.
    const full = prefix.includes("/") ? prefix : `${prefix}/${family === 4 ? 32 : 128}`;
    digest.add(full, words[words.indexOf("via") + 1] ?? "");
  }
  const status = await ended;
  if (status !== 0)
    throw new Error(`Cannot read the kernel's routes: ip ${args.join(" ")} ended with status ${status}`);
  return digest;
}
