/**
 * The libc functions that dplaned calls, as ONE table with the C prototype on each line. The shapes that `bun:ffi` and
 * `Deno.dlopen` want, and the TypeScript signatures, are all derived from it. Pure; each thread opens its own handle.
 *
 * - A pointer to memory is a Uint8Array, also over a SharedArrayBuffer and also a view into the middle of one. It must
 *   never be empty or null.
 * - `size_t` is passed in its full width: in a 32-bit parameter the upper half of the register would be undefined.
 * - `ssize_t` is read as a 32-bit int, which is its lower half and so exact: nothing here moves 2 GiB at once. A 64-bit
 *   result would be a BigInt on Deno, allocated at each call.
 * - `open` and `prctl` are variadic in C; on Linux x86-64 and arm64 integer arguments travel there as in any other call.
 */

type ParameterType = "i32" | "u32" | "usize" | "buffer";
type ResultType = "i32" | "pointer";

interface Prototype {
  readonly parameters: readonly ParameterType[];
  readonly result: ResultType;
}

export const LIBC_FILE = "libc.so.6";

export const LIBC_SYMBOLS = {
  /** int *__errno_location(void) */
  __errno_location: { parameters: [], result: "pointer" },
  /** int open(const char *path, int flags, ...) */
  open: { parameters: ["buffer", "i32"], result: "i32" },
  /** int close(int fd) */
  close: { parameters: ["i32"], result: "i32" },
  /** int setns(int fd, int nstype) */
  setns: { parameters: ["i32", "i32"], result: "i32" },
  /** int socket(int domain, int type, int protocol) */
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  /** int bind(int fd, const struct sockaddr *addr, socklen_t addrlen) */
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** int getsockname(int fd, struct sockaddr *addr, socklen_t *addrlen) */
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  /** int setsockopt(int fd, int level, int optname, const void *optval, socklen_t optlen) */
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  /** int getsockopt(int fd, int level, int optname, void *optval, socklen_t *optlen) */
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  /** ssize_t send(int fd, const void *buf, size_t len, int flags) */
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  /** ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr, socklen_t addrlen) */
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "i32" },
  /** ssize_t recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *addr, socklen_t *addrlen) */
  recvfrom: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "buffer"], result: "i32" },
  /** int poll(struct pollfd *fds, nfds_t nfds, int timeout) */
  poll: { parameters: ["buffer", "usize", "i32"], result: "i32" },
  /** int prctl(int op, ...), of unsigned long arg2 to arg5 */
  prctl: { parameters: ["i32", "usize", "usize", "usize", "usize"], result: "i32" },
  /** int capset(cap_user_header_t header, const cap_user_data_t data); of the calling thread alone */
  capset: { parameters: ["buffer", "buffer"], result: "i32" },
  /** int setgroups(size_t size, const gid_t *list) */
  setgroups: { parameters: ["usize", "buffer"], result: "i32" },
  /** int execve(const char *path, char *const argv[], char *const envp[]) */
  execve: { parameters: ["buffer", "buffer", "buffer"], result: "i32" },
} as const satisfies Record<string, Prototype>;

type Symbols = typeof LIBC_SYMBOLS;
type ArgumentOf = { i32: number; u32: number; usize: number; buffer: Uint8Array };
type ArgumentsOf<Parameters extends readonly ParameterType[]> = {
  -readonly [Index in keyof Parameters]: ArgumentOf[Parameters[Index]];
};

/** The functions of the table that give an int; `__errno_location` is behind {@linkcode Libc.errno}. */
export type LibcFunctions = {
  readonly [Name in keyof Symbols as Symbols[Name]["result"] extends "i32" ? Name : never]: (
    ...args: ArgumentsOf<Symbols[Name]["parameters"]>
  ) => number;
};

/** libc as one thread sees it: errno belongs to the thread that opened it, so a handle must not be handed to another. */
export interface Libc extends LibcFunctions {
  /** The errno of the call just made: read it before anything else is called. */
  errno(): number;
  /** Where a view's memory begins, for C structs that hold a pointer. The caller keeps the view alive for as long as C uses it. */
  addressOf(bytes: Uint8Array): bigint;
}

/** What `dlopen` of `bun:ffi` wants. Its `ptr` takes a view, as its `buffer` does, and also checks that it is one. */
export function bunSymbols(): Record<string, { args: string[]; returns: string }> {
  const bunType = (type: ParameterType | ResultType) => (type === "buffer" || type === "pointer" ? "ptr" : type);
  return Object.fromEntries(
    Object.entries<Prototype>(LIBC_SYMBOLS).map(([name, { parameters, result }]) => [
      name,
      { args: parameters.map(bunType), returns: bunType(result) },
    ]),
  );
}

/** What `Deno.dlopen` wants. */
export function denoSymbols(): Record<string, { parameters: string[]; result: string }> {
  return Object.fromEntries(
    Object.entries<Prototype>(LIBC_SYMBOLS).map(([name, { parameters, result }]) => [
      name,
      { parameters: [...parameters], result },
    ]),
  );
}
