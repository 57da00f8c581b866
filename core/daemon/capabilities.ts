/** What the process is allowed to do, so that a missing right is told at the start and not by the first route. */
import { readFileSync } from "node:fs";

/** `include/uapi/linux/capability.h`: CAP_NET_ADMIN. */
const CAP_NET_ADMIN = 12n;

/** Whether the process may change routes in namespaces that it owns; true where /proc does not say. */
export function hasNetAdmin(status: string = readStatus()): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  return effective === undefined || ((BigInt(`0x${effective}`) >> CAP_NET_ADMIN) & 1n) === 1n;
}

function readStatus(): string {
  try {
    return readFileSync("/proc/self/status", "latin1");
  } catch {
    return "";
  }
}
