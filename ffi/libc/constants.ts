/**
 * Linux's own numbers for the calls of symbols.ts, in the kernel's spelling; the same on x86-64 and arm64. What is
 * netlink's own stands in ffi/netlink/constants.ts.
 */

// include/linux/socket.h, include/linux/net.h
export const AF_UNIX = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;

// include/uapi/asm-generic/socket.h
export const SOL_SOCKET = 1;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_ATTACH_FILTER = 26;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;

// include/uapi/asm-generic/fcntl.h
export const O_RDONLY = 0;
export const O_CLOEXEC = 0o2000000;

// include/uapi/asm-generic/poll.h
export const POLLIN = 0x1;

// include/uapi/linux/prctl.h
export const PR_SET_PDEATHSIG = 1;
export const PR_SET_DUMPABLE = 4;
export const PR_CAPBSET_DROP = 24;
export const PR_SET_NO_NEW_PRIVS = 38;

// include/uapi/linux/capability.h
export const LINUX_CAPABILITY_VERSION_3 = 0x20080522;
/** As many as two words of `struct __user_cap_data_struct` can hold. */
export const CAPABILITIES_MAX = 64;

// include/uapi/linux/sched.h
export const CLONE_NEWNET = 0x40000000;

// include/uapi/asm-generic/signal.h
export const SIGKILL = 9;
