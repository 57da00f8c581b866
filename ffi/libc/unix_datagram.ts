/** Datagrams to a unix socket, which `node:` modules cannot send: the protocol of systemd's sd_notify(3). Any thread. */
import { AF_UNIX, MSG_DONTWAIT, MSG_NOSIGNAL, SOCK_CLOEXEC, SOCK_DGRAM } from "./constants.ts";
import { ERRNO } from "./errno.ts";
import type { Libc } from "./symbols.ts";

/** `sun_path[108]` behind the family, include/uapi/linux/un.h. */
const SUN_PATH_OFFSET = 2;
const SUN_PATH_BYTES = 108;

/**
 * Tells the service manager something: `text` is lines of `READY=1`, `STATUS=…`, `WATCHDOG=1` and the like, `socketPath`
 * what it left in `NOTIFY_SOCKET`, a path or `@name` for the abstract namespace. Returns 0, or the errno. It never
 * blocks: EAGAIN says that the manager's queue is full, and a text that matters is to be sent again.
 */
export function notifySystemd(libc: Libc, socketPath: string, text: string): number {
  if (!socketPath.startsWith("/") && !socketPath.startsWith("@")) return ERRNO.EAFNOSUPPORT;
  if (text === "") return 0;
  const address = encodeUnixAddress(socketPath);
  if (address === undefined) return ERRNO.ENAMETOOLONG;
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return libc.errno();
  const bytes = new TextEncoder().encode(text);
  const sent = libc.sendto(fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL, address, address.length);
  const errno = sent < 0 ? libc.errno() : 0;
  libc.close(fd);
  return errno;
}

/**
 * `struct sockaddr_un { sa_family_t sun_family; char sun_path[108]; }`. A path ends with a zero byte; an abstract name
 * (`@name`) starts with one instead and ends where the address does. Undefined when the name does not fit.
 */
export function encodeUnixAddress(socketPath: string): Uint8Array | undefined {
  const abstract = socketPath.startsWith("@");
  const name = new TextEncoder().encode(abstract ? `\0${socketPath.slice(1)}` : `${socketPath}\0`);
  if (name.length > SUN_PATH_BYTES) return undefined;
  const address = new Uint8Array(SUN_PATH_OFFSET + name.length);
  address[0] = AF_UNIX;
  address.set(name, SUN_PATH_OFFSET);
  return address;
}
