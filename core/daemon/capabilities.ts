/**
 * What the process is allowed to do: that a right is missing is told at the start and not by the first route, and those
 * that are not needed are given up. Main thread.
 */
import { readFileSync } from "node:fs";
import type { Config, Endpoint } from "../config/config.ts";

/** `include/uapi/linux/capability.h`. */
const CAP_NET_BIND_SERVICE = 10n;
const CAP_NET_ADMIN = 12n;
const CAP_SYS_PTRACE = 19n;
const CAP_SYS_ADMIN = 21n;

const PRIVILEGED_PORT_MAX = 1023;

/** Whether the process may change routes in namespaces that it owns; true where /proc does not say. */
export function hasNetAdmin(status: string = readStatus()): boolean {
  const effective = readSet(status, "CapEff");
  return effective === undefined || ((effective >> CAP_NET_ADMIN) & 1n) === 1n;
}

/** The capabilities that a daemon of this configuration needs while it runs, a bit each. */
export function neededCapabilities({ kernel, daemon, fpm }: Config): bigint {
  let needed = 1n << CAP_NET_ADMIN;
  // Threads enter the namespace again when they are replaced.
  if (kernel.netns !== null) needed |= 1n << CAP_SYS_ADMIN;
  // Of another process, whose namespaces only who may look into it can enter.
  if (kernel.netns?.startsWith("/proc/")) needed |= 1n << CAP_SYS_PTRACE;
  if ([daemon.http, fpm.listen].some(isPrivileged)) needed |= 1n << CAP_NET_BIND_SERVICE;
  return needed;
}

/** Whether the process may do more than this, or could come to. */
export function exceeds(needed: bigint, status: string = readStatus()): boolean {
  const permitted = readSet(status, "CapPrm");
  const canGain = /^NoNewPrivs:\s*0$/m.test(status);
  return permitted !== undefined && ((permitted & ~needed) !== 0n || canGain);
}

function isPrivileged(endpoint: Endpoint | null): boolean {
  return endpoint !== null && endpoint.port > 0 && endpoint.port <= PRIVILEGED_PORT_MAX;
}

function readSet(status: string, name: string): bigint | undefined {
  const digits = new RegExp(`^${name}:\\s*([0-9a-f]+)$`, "m").exec(status)?.[1];
  return digits === undefined ? undefined : BigInt(`0x${digits}`);
}

function readStatus(): string {
  try {
    return readFileSync("/proc/self/status", "latin1");
  } catch {
    return "";
  }
}
