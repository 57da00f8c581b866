/**
 * What the process and its threads may do, and how long a process of ours lives. Linux keeps capabilities for each thread,
 * and a runtime has started threads of its own before the first line of a program runs; so the daemon gives them up and starts
 * itself again (execve): what it becomes has one thread without them, from which all others descend. Its process id, its
 * descriptors and its environment stay. A process that a thread starts begins with what that thread may do.
 */
import {
  CAPABILITIES_MAX,
  LINUX_CAPABILITY_VERSION_3,
  PR_CAPBSET_DROP,
  PR_SET_DUMPABLE,
  PR_SET_NO_NEW_PRIVS,
  PR_SET_PDEATHSIG,
  SIGKILL,
} from "./constants.ts";
import { SyscallError } from "./errno.ts";
import type { Libc } from "./symbols.ts";

/** What the process is: of /proc/self/, by which main.ts finds it out. */
export interface Program {
  /** Where `exe` leads. */
  path: string;
  /** What `cmdline` has: each argument with a zero byte behind it. */
  commandLine: Uint8Array;
}

const encoder = new TextEncoder();

export interface Confinement {
  /** Those to keep, a bit for each by its number in include/uapi/linux/capability.h. */
  capabilities: bigint;
  /** Groups to be in, besides the process's own. */
  groups: readonly number[];
  /** Environment of what the process becomes. */
  environment: Readonly<Record<string, string | undefined>>;
}

/**
 * Becomes the same program with the same arguments and less rights. Main thread, before anything else is open. Returns only
 * to throw a SyscallError.
 */
export function restartConfined(
  libc: Libc,
  program: Program,
  { capabilities, groups, environment }: Confinement,
): never {
  // Without it execve would give root all capabilities of its bounding set again, where that cannot be made smaller.
  if (libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) !== 0) {
    throw new SyscallError("give up new privileges", libc.errno());
  }
  for (let capability = 0; capability < CAPABILITIES_MAX; capability++) {
    // Refused without CAP_SETPCAP, and of numbers that this kernel does not know: then capset alone has to do.
    if (((capabilities >> BigInt(capability)) & 1n) === 0n) libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
  // Refused without CAP_SETGID: then the groups stay.
  libc.setgroups(groups.length, new Uint8Array(Uint32Array.from([...groups, 0]).buffer));
  if (libc.capset(capabilityHeader(), capabilitySets(capabilities)) !== 0) {
    throw new SyscallError("give up capabilities", libc.errno());
  }
  const argv = pointers(libc, program.commandLine);
  const variables = Object.entries(environment).flatMap(([name, value]) =>
    value === undefined ? [] : `${name}=${value}\0`,
  );
  const envp = pointers(libc, encoder.encode(variables.join("")));
  // By its own name, which the process then bears; what has been replaced meanwhile has none any more.
  libc.execve(encoder.encode(`${program.path}\0`), argv, envp);
  libc.execve(encoder.encode("/proc/self/exe\0"), argv, envp);
  throw new SyscallError("start again with less rights", libc.errno());
}

/**
 * Takes all capabilities from the calling thread for good, and from every process that it starts, also where root would
 * get them back (execve(2) as user 0).
 */
export function dropCapabilities(libc: Libc): void {
  if (libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) !== 0) throw new SyscallError("set no_new_privs", libc.errno());
  if (libc.capset(capabilityHeader(), capabilitySets(0n)) !== 0) {
    throw new SyscallError("drop capabilities", libc.errno());
  }
}

/** Has the kernel kill this process when the thread that started it is gone, whatever this process is doing. */
export function dieWithParent(libc: Libc): void {
  if (libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) !== 0) throw new SyscallError("tie to parent", libc.errno());
}

/** From now on nobody but who may do everything can look into the process's memory, and no core is dumped. */
export function hideMemory(libc: Libc): void {
  libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/** `struct __user_cap_header_struct { __u32 version; int pid; }`, of the calling thread. */
function capabilityHeader(): Uint8Array {
  return new Uint8Array(Uint32Array.of(LINUX_CAPABILITY_VERSION_3, 0).buffer);
}

/** `struct __user_cap_data_struct { __u32 effective; __u32 permitted; __u32 inheritable; }`, low word first. */
function capabilitySets(capabilities: bigint): Uint8Array {
  const low = Number(capabilities & 0xffff_ffffn);
  const high = Number((capabilities >> 32n) & 0xffff_ffffn);
  // Inheritable as well: an ordinary user keeps ambient capabilities over execve only if they are.
  return new Uint8Array(Uint32Array.of(low, low, low, high, high, high).buffer);
}

/** `char *const list[]` of texts that lie one behind the other, each with a zero byte behind it. */
function pointers(libc: Libc, texts: Uint8Array): Uint8Array {
  // One piece of memory with the texts behind the pointers, which the call keeps alive.
  const starts: number[] = [];
  for (let at = 0; at < texts.length; at = texts.indexOf(0, at) + 1) starts.push(at);
  const textsAt = (starts.length + 1) * 8;
  const memory = new Uint8Array(new ArrayBuffer(textsAt + texts.length));
  memory.set(texts, textsAt);
  const view = new DataView(memory.buffer);
  const base = libc.addressOf(memory) + BigInt(textsAt);
  for (const [index, start] of starts.entries()) view.setBigUint64(index * 8, base + BigInt(start), true);
  return memory;
}
