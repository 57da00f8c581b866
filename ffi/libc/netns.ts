/**
 * Work inside another network namespace. A namespace belongs to a thread, and a socket for life to the one it was opened
 * in; so the calling thread enters, opens what it needs there and returns, all within one synchronous call.
 */
import { CLONE_NEWNET, O_CLOEXEC, O_RDONLY } from "./constants.ts";
import { ERRNO, errnoText, SyscallError } from "./errno.ts";
import type { Libc } from "./symbols.ts";

/** Where `ip netns add NAME` puts its names. */
const NETNS_FOLDER = "/run/netns";

/**
 * Runs `work` with the calling thread inside `netns`, a name of `ip netns` or a path (anything with a slash, such as
 * `/proc/PID/ns/net`), and returns what it returns. The thread is back in its own namespace afterwards, whatever
 * happened. `work` must be synchronous: after an `await` it would go on in the wrong namespace.
 */
export function withNetns<T>(libc: Libc, netns: string, work: () => T): T {
  const isPath = netns.includes("/");
  const path = isPath ? netns : `${NETNS_FOLDER}/${netns}`;
  const op = `enter network namespace "${netns}"`;
  const home = openFile(libc, "/proc/thread-self/ns/net", op, {
    [ERRNO.ENOENT]: "no /proc/thread-self/ns/net; is /proc mounted?",
  });
  try {
    const target = openFile(libc, path, op, {
      [ERRNO.ENOENT]: isPath ? `no ${path}` : `no ${path}; \`ip netns add ${netns}\` makes it`,
    });
    try {
      enter(libc, target, op, path);
    } finally {
      libc.close(target);
    }
    try {
      return work();
    } finally {
      enter(libc, home, `return from network namespace "${netns}" (this thread must not go on)`, "home");
    }
  } finally {
    libc.close(home);
  }
}

function enter(libc: Libc, fd: number, op: string, path: string): void {
  if (libc.setns(fd, CLONE_NEWNET) === 0) return;
  const errno = libc.errno();
  if (errno === ERRNO.EPERM) throw new SyscallError(op, errno, "CAP_SYS_ADMIN is missing");
  if (errno === ERRNO.EINVAL) throw new SyscallError(op, errno, `${path} is not a network namespace`);
  throw new SyscallError(op, errno);
}

function openFile(libc: Libc, path: string, op: string, hints: Record<number, string>): number {
  const fd = libc.open(new TextEncoder().encode(`${path}\0`), O_RDONLY | O_CLOEXEC);
  if (fd >= 0) return fd;
  const errno = libc.errno();
  throw new SyscallError(op, errno, hints[errno] ?? `${errnoText(errno)}: ${path}`);
}
