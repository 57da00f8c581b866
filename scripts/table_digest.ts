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
  let [prefix, nexthop] = ["", ""];
  const take = () => {
    if (prefix !== "") digest.add(prefix, nexthop);
  };
  for await (const line of createInterface({ input: ip.stdout })) {
    const words = line.trim().split(" ");
    const via = words[words.indexOf("via") + 1]!;
    // A route by way of a nexthop group has its nexthops on lines of their own, which begin with a tab.
    if (line.startsWith("\t")) {
      nexthop += nexthop === "" ? via : ` ${via}`;
      continue;
    }
    take();
    // A host prefix is shown without its length.
    prefix = words[0]!.includes("/") ? words[0]! : `${words[0]}/${family === 4 ? 32 : 128}`;
    nexthop = words.includes("via") ? via : "";
  }
  take();
  const status = await ended;
  if (status !== 0)
    throw new Error(`Cannot read the kernel's routes: ip ${args.join(" ")} ended with status ${status}`);
  return digest;
}
