/**
 * Files that decide what a privileged daemon does, or prove who somebody is: configuration, tokens, keys, plugins. One that
 * somebody else can change, or put another in the place of, is refused, as sshd does. Any thread, at start and on reload;
 * with every step of its path in trusted hands nobody can change it between the look and the use.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, readlinkSync, type Stats } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { errorCode } from "./output.ts";

/** `code` is the errno's name where a system call failed. */
export interface Distrust {
  ok: false;
  message: string;
  code?: string;
}

export interface TrustOptions {
  /** It holds a secret: others may not read it either. Its group may. */
  isSecret?: boolean;
}

/** As many as the kernel follows (MAXSYMLINKS, include/linux/namei.h). */
const LINKS_MAX = 40;
const OTHERS_WRITE = 0o022;
const OTHERS_READ = 0o004;
const OTHERS_ANYTHING = 0o007;
const STICKY = 0o1000;

/**
 * Where an absolute path leads, symbolic links resolved, if it is a regular file and neither it nor a directory or link on
 * the way is in the hands of anybody but root and the process's own user. For those who hand the path on, as to `import()`.
 */
export function resolveTrustedFile(path: string, options: TrustOptions = {}): { ok: true; path: string } | Distrust {
  const walked = walk(path);
  if (!walked.ok) return walked;
  return judgeFile(walked.path, walked.stats, options) ?? { ok: true, path: walked.path };
}

/** The content of such a file, and whether others may read it. */
export function readTrustedFile(
  path: string,
  options: TrustOptions = {},
): { ok: true; path: string; text: string; isExposed: boolean } | Distrust {
  const resolved = resolveTrustedFile(path, options);
  if (!resolved.ok) return resolved;
  let fd = -1;
  try {
    // Not blocked by a pipe, and no link: what was looked at is what is read.
    fd = openSync(resolved.path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stats = fstatSync(fd);
    const isExposed = (stats.mode & OTHERS_READ) !== 0;
    const distrust = judgeFile(resolved.path, stats, options);
    return distrust ?? { ok: true, path: resolved.path, text: readFileSync(fd, "utf8"), isExposed };
  } catch (error) {
    return failed(error);
  } finally {
    if (fd !== -1) closeSync(fd);
  }
}

/** Goes the path as the kernel would, and looks at each step before it takes it. */
function walk(path: string): { ok: true; path: string; stats: Stats } | Distrust {
  let pending = path.split("/");
  let at = "/";
  let links = 0;
  try {
    let stats = lstatSync(at);
    while (pending.length > 0) {
      const name = pending.shift()!;
      if (name === "" || name === ".") continue;
      const step = name === ".." ? dirname(at) : join(at, name);
      const distrust = judgeDirectory(at, stats);
      if (distrust !== null) return distrust;
      stats = lstatSync(step);
      if (!stats.isSymbolicLink()) {
        at = step;
        continue;
      }
      if (!isTrustedUser(stats.uid)) return { ok: false, message: `the link ${step} belongs to user ${stats.uid}` };
      if (++links > LINKS_MAX) return { ok: false, message: "ELOOP", code: "ELOOP" };
      const target = readlinkSync(step);
      pending = [...target.split("/"), ...pending];
      if (target.startsWith("/")) at = "/";
      stats = lstatSync(at);
    }
    return { ok: true, path: at, stats };
  } catch (error) {
    return failed(error);
  }
}

/** Whether others can put something else in the place of what a directory holds. */
function judgeDirectory(path: string, stats: Stats): Distrust | null {
  if (!stats.isDirectory()) return { ok: false, message: "ENOTDIR", code: "ENOTDIR" };
  if (!isTrustedUser(stats.uid)) {
    return { ok: false, message: `its directory ${path} belongs to user ${stats.uid} (chown root ${path})` };
  }
  // In a sticky one, such as /tmp, only the owner of an entry can replace it, and whose each entry is is looked at as well.
  if ((stats.mode & OTHERS_WRITE) === 0 || (stats.mode & STICKY) !== 0) return null;
  return { ok: false, message: `others may write to its directory ${path} (chmod go-w ${path})` };
}

function judgeFile(path: string, stats: Stats, { isSecret = false }: TrustOptions): Distrust | null {
  if (stats.isDirectory()) return { ok: false, message: "EISDIR", code: "EISDIR" };
  if (!stats.isFile()) return { ok: false, message: "not a regular file" };
  if (!isTrustedUser(stats.uid)) {
    return { ok: false, message: `it belongs to user ${stats.uid} (chown root ${path})` };
  }
  if ((stats.mode & OTHERS_WRITE) !== 0) {
    return { ok: false, message: `others may write to it (chmod go-w ${path})` };
  }
  if (isSecret && (stats.mode & OTHERS_ANYTHING) !== 0) {
    return { ok: false, message: `others may read it, and it is a secret (chmod o= ${path})` };
  }
  return null;
}

function isTrustedUser(uid: number): boolean {
  return uid === 0 || uid === process.geteuid?.() || uid === outsideUser();
}

/**
 * The user to whom everything belongs, in a user namespace, that the system outside has not mapped into it: its root among
 * them. Undefined outside of such a namespace, where it is a user like any other (`nobody`).
 */
function outsideUser(): number | undefined {
  try {
    const [inside, outside, count] = readFileSync("/proc/self/uid_map", "latin1").trim().split(/\s+/).map(Number);
    if (inside === 0 && outside === 0 && count === 0xffff_ffff) return undefined;
    return Number(readFileSync("/proc/sys/kernel/overflowuid", "latin1"));
  } catch {
    return undefined;
  }
}

function failed(error: unknown): Distrust {
  const code = errorCode(error);
  return code === undefined ? { ok: false, message: String(error) } : { ok: false, message: code, code };
}
