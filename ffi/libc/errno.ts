/**
 * Linux error numbers, their names and what they mean, as one table; and the error that a failed call at open time
 * becomes. The numbers are those of include/uapi/asm-generic/errno{-base,}.h, which x86-64 and arm64 share. Pure: any
 * thread may use it.
 */

/** Name, number, meaning. Numbers 41 and 58 do not exist: EWOULDBLOCK and EDEADLOCK are spelled EAGAIN and EDEADLK here. */
const ERRNO_TABLE = {
  EPERM: [1, "operation not permitted"],
  ENOENT: [2, "no such file or object"],
  ESRCH: [3, "no such process or route"],
  EINTR: [4, "interrupted by a signal"],
  EIO: [5, "input/output error"],
  ENXIO: [6, "no such device or address"],
  E2BIG: [7, "argument list too long"],
  ENOEXEC: [8, "not an executable format"],
  EBADF: [9, "file descriptor is not open"],
  ECHILD: [10, "no child process"],
  EAGAIN: [11, "temporarily unavailable, try again"],
  ENOMEM: [12, "out of memory"],
  EACCES: [13, "permission denied"],
  EFAULT: [14, "bad memory address"],
  ENOTBLK: [15, "not a block device"],
  EBUSY: [16, "device or resource busy"],
  EEXIST: [17, "already exists"],
  EXDEV: [18, "crosses file systems"],
  ENODEV: [19, "no such device"],
  ENOTDIR: [20, "not a directory"],
  EISDIR: [21, "is a directory"],
  EINVAL: [22, "invalid argument"],
  ENFILE: [23, "too many open files in the system"],
  EMFILE: [24, "too many open files in this process"],
  ENOTTY: [25, "request does not suit this device"],
  ETXTBSY: [26, "program file is in use"],
  EFBIG: [27, "file too large"],
  ENOSPC: [28, "no space left"],
  ESPIPE: [29, "cannot seek"],
  EROFS: [30, "file system is read-only"],
  EMLINK: [31, "too many links"],
  EPIPE: [32, "nobody reads the other end"],
  EDOM: [33, "argument outside the domain of the function"],
  ERANGE: [34, "result or value out of range"],
  EDEADLK: [35, "would deadlock"],
  ENAMETOOLONG: [36, "name too long"],
  ENOLCK: [37, "no locks available"],
  ENOSYS: [38, "system call does not exist in this kernel"],
  ENOTEMPTY: [39, "directory is not empty"],
  ELOOP: [40, "too many levels of links"],
  ENOMSG: [42, "no message of that type"],
  EIDRM: [43, "identifier removed"],
  ECHRNG: [44, "channel number out of range"],
  EL2NSYNC: [45, "level 2 not synchronised"],
  EL3HLT: [46, "level 3 halted"],
  EL3RST: [47, "level 3 reset"],
  ELNRNG: [48, "link number out of range"],
  EUNATCH: [49, "protocol driver not attached"],
  ENOCSI: [50, "no CSI structure available"],
  EL2HLT: [51, "level 2 halted"],
  EBADE: [52, "invalid exchange"],
  EBADR: [53, "invalid request descriptor"],
  EXFULL: [54, "exchange full"],
  ENOANO: [55, "no anode"],
  EBADRQC: [56, "invalid request code"],
  EBADSLT: [57, "invalid slot"],
  EBFONT: [59, "bad font file"],
  ENOSTR: [60, "not a stream"],
  ENODATA: [61, "no data available"],
  ETIME: [62, "timer expired"],
  ENOSR: [63, "out of stream resources"],
  ENONET: [64, "machine is not on the network"],
  ENOPKG: [65, "package not installed"],
  EREMOTE: [66, "object is remote"],
  ENOLINK: [67, "link was severed"],
  EADV: [68, "advertise error"],
  ESRMNT: [69, "srmount error"],
  ECOMM: [70, "communication error on send"],
  EPROTO: [71, "protocol error"],
  EMULTIHOP: [72, "multihop attempted"],
  EDOTDOT: [73, "RFS specific error"],
  EBADMSG: [74, "malformed message"],
  EOVERFLOW: [75, "value too large for its type"],
  ENOTUNIQ: [76, "name is not unique on the network"],
  EBADFD: [77, "file descriptor in a bad state"],
  EREMCHG: [78, "remote address changed"],
  ELIBACC: [79, "cannot access a needed shared library"],
  ELIBBAD: [80, "shared library is corrupt"],
  ELIBSCN: [81, "library section is corrupt"],
  ELIBMAX: [82, "too many shared libraries"],
  ELIBEXEC: [83, "a shared library cannot be executed"],
  EILSEQ: [84, "illegal byte sequence"],
  ERESTART: [85, "interrupted, to be restarted"],
  ESTRPIPE: [86, "stream pipe error"],
  EUSERS: [87, "too many users"],
  ENOTSOCK: [88, "not a socket"],
  EDESTADDRREQ: [89, "destination address required"],
  EMSGSIZE: [90, "message too long"],
  EPROTOTYPE: [91, "wrong protocol type for the socket"],
  ENOPROTOOPT: [92, "socket option not known to this kernel"],
  EPROTONOSUPPORT: [93, "protocol not supported"],
  ESOCKTNOSUPPORT: [94, "socket type not supported"],
  EOPNOTSUPP: [95, "operation not supported"],
  EPFNOSUPPORT: [96, "protocol family not supported"],
  EAFNOSUPPORT: [97, "address family not supported"],
  EADDRINUSE: [98, "address already in use"],
  EADDRNOTAVAIL: [99, "address is not configured here"],
  ENETDOWN: [100, "network or interface is down"],
  ENETUNREACH: [101, "network is unreachable"],
  ENETRESET: [102, "connection dropped by the network"],
  ECONNABORTED: [103, "connection aborted"],
  ECONNRESET: [104, "connection reset by the peer"],
  ENOBUFS: [105, "no buffer space, messages were lost"],
  EISCONN: [106, "already connected"],
  ENOTCONN: [107, "not connected"],
  ESHUTDOWN: [108, "already shut down"],
  ETOOMANYREFS: [109, "too many references"],
  ETIMEDOUT: [110, "timed out"],
  ECONNREFUSED: [111, "connection refused"],
  EHOSTDOWN: [112, "host is down"],
  EHOSTUNREACH: [113, "host is unreachable"],
  EALREADY: [114, "already in progress"],
  EINPROGRESS: [115, "now in progress"],
  ESTALE: [116, "stale handle"],
  EUCLEAN: [117, "structure needs cleaning"],
  ENOTNAM: [118, "not a XENIX named type file"],
  ENAVAIL: [119, "no XENIX semaphores available"],
  EISNAM: [120, "is a named type file"],
  EREMOTEIO: [121, "remote input/output error"],
  EDQUOT: [122, "quota exceeded"],
  ENOMEDIUM: [123, "no medium found"],
  EMEDIUMTYPE: [124, "wrong medium type"],
  ECANCELED: [125, "operation cancelled"],
  ENOKEY: [126, "required key not available"],
  EKEYEXPIRED: [127, "key has expired"],
  EKEYREVOKED: [128, "key was revoked"],
  EKEYREJECTED: [129, "key was rejected"],
  EOWNERDEAD: [130, "owner died"],
  ENOTRECOVERABLE: [131, "state cannot be recovered"],
  ERFKILL: [132, "switched off by RF-kill"],
  EHWPOISON: [133, "memory page has a hardware error"],
  // Kernel-internal (include/linux/errno.h), yet some rtnetlink handlers let it out to user space.
  ENOTSUPP: [524, "operation not supported by this part of the kernel"],
} as const satisfies Record<string, readonly [number, string]>;

export type ErrnoName = keyof typeof ERRNO_TABLE;

const entries = Object.entries(ERRNO_TABLE) as [ErrnoName, readonly [number, string]][];
const byNumber = new Map(entries.map(([name, [number, text]]) => [number, { name, text }]));

/** Name → number: `ERRNO.ENOBUFS` is 105. */
export const ERRNO = Object.fromEntries(entries.map(([name, [number]]) => [name, number])) as {
  readonly [Name in ErrnoName]: (typeof ERRNO_TABLE)[Name][0];
};

/** `ENOBUFS` for 105; a number outside the table gives `errno 4095`. */
export function errnoName(errno: number): string {
  return byNumber.get(errno)?.name ?? `errno ${errno}`;
}

/** What the error means, in a few words; a number outside the table gives `unknown error`. */
export function errnoText(errno: number): string {
  return byNumber.get(errno)?.text ?? "unknown error";
}

/**
 * A system call that failed where no caller could go on: opening, binding, entering a namespace. Calls on the hot path
 * return their errno instead. The message reads `Cannot open netlink socket: EMFILE (too many open files in this process)`.
 */
export class SyscallError extends Error {
  override name = "SyscallError";
  /** What was attempted: `open netlink socket`. */
  readonly op: string;
  readonly errno: number;
  /** The errno's name, as in Node's errors. */
  readonly code: string;

  /** `hint` says what to do about it; without one the errno's own meaning stands there. */
  constructor(op: string, errno: number, hint: string = errnoText(errno)) {
    super(`Cannot ${op}: ${errnoName(errno)} (${hint})`);
    this.op = op;
    this.errno = errno;
    this.code = errnoName(errno);
  }
}
