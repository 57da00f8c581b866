/**
 * What a thread may do, and how long its process lives: for the process of a plugin, which gets no more than it needs.
 * Capabilities belong to a thread, and a process that it starts begins with the thread's.
 */
import { LINUX_CAPABILITY_VERSION_3, PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, SIGKILL } from "./constants.ts";
import { SyscallError } from "./errno.ts";
import type { Libc } from "./symbols.ts";

/** `struct __user_cap_header_struct { __u32 version; int pid; }`, include/uapi/linux/capability.h. */
const HEADER_BYTES = 8;
/** Two of `struct __user_cap_data_struct { __u32 effective, permitted, inheritable; }`. */
const DATA_BYTES = 24;

/**
 * Takes all capabilities from the calling thread for good, and from every process that it starts, also where root would
 * get them back (execve(2) as user 0).
 */
export function dropCapabilities(libc: Libc): void {
  if (libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) !== 0) throw new SyscallError("set no_new_privs", libc.errno());
  const header = new Uint8Array(HEADER_BYTES);
  new DataView(header.buffer).setUint32(0, LINUX_CAPABILITY_VERSION_3, true);
  if (libc.capset(header, new Uint8Array(DATA_BYTES)) !== 0) throw new SyscallError("drop capabilities", libc.errno());
}

/** Has the kernel kill this process when the thread that started it is gone, whatever this process is doing. */
export function dieWithParent(libc: Libc): void {
  if (libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) !== 0) throw new SyscallError("tie to parent", libc.errno());
}
