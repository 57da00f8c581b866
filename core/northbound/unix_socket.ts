/**
 * The place of a unix socket in the file system: made free before a daemon listens there, and given to those who may
 * use it. Main thread.
 */
import { chmodSync, chownSync, lstatSync, mkdirSync, readFileSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import process from "node:process";
import type { Log } from "../log.ts";
import { errorCode } from "../output.ts";

/** Owner and group may connect. */
const SOCKET_MODE = 0o660;
/** `sun_path` of `struct sockaddr_un` (include/uapi/linux/un.h) has 108 bytes, the last of them zero. */
const PATH_BYTES_MAX = 107;
const GROUP = "dplaned";

/**
 * Makes the path free: its directory is made, and a socket that nobody listens on any more, because its daemon was
 * killed, is removed. Throws where somebody answers there, and where something else than a socket is in the way.
 */
export async function claimSocketPath(path: string): Promise<void> {
  const bytes = Buffer.byteLength(path);
  if (bytes > PATH_BYTES_MAX)
    throw cannotListen(path, `the path has ${bytes} bytes, and ${PATH_BYTES_MAX} are possible`);
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  } catch (error) {
    throw cannotListen(path, `its directory cannot be made: ${errorCode(error) ?? error}`);
  }
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (found.isSymbolicLink()) throw cannotListen(path, "a symbolic link is there; remove it, or name another path");
  if (!found.isSocket())
    throw cannotListen(path, "something else than a socket is there; remove it, or name another path");
  const code = await probe(path);
  if (code === "") {
    throw cannotListen(
      path,
      `another dplaned answers there; stop it, or name another path (ss -xlp src ${path} tells who it is)`,
    );
  }
  if (code === "ENOENT") return;
  if (code !== "ECONNREFUSED")
    throw cannotListen(path, `a socket is there, and asking who listens on it failed: ${code}`);
  unlinkSync(path);
}

/** Gives the socket to the group `dplaned`, where there is one. */
export function openToGroup(path: string, log: Log): void {
  chmodSync(path, SOCKET_MODE);
  const group = socketGroup();
  if (group === undefined) return;
  // As it is where the directory hands its group on, which needs no right of ours.
  if (lstatSync(path).gid === group) return;
  try {
    chownSync(path, process.getuid?.() ?? 0, group);
  } catch (error) {
    log.warn("Cannot give the socket to its group; only its owner can connect", {
      path,
      group: GROUP,
      error: errorCode(error),
    });
  }
}

/** Runs `bind` with a mask under which nobody else can connect to what it makes. */
export function withClosedUmask<T>(bind: () => T): T {
  const mask = process.umask(0o777 & ~0o600);
  try {
    return bind();
  } finally {
    process.umask(mask);
  }
}

function cannotListen(path: string, reason: string): Error {
  return new Error(`Cannot listen on ${path}: ${reason}`);
}

/** Empty if somebody accepts connections there; else the error's code. */
function probe(path: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve("");
    });
    socket.once("error", (error) => resolve(errorCode(error) ?? error.message));
  });
}

/** The number of the group that may use the socket; undefined where there is none of its name. */
export function socketGroup(): number | undefined {
  let groups: string;
  try {
    groups = readFileSync("/etc/group", "utf8");
  } catch {
    return undefined;
  }
  for (const line of groups.split("\n")) {
    const [group, , number] = line.split(":");
    if (group === GROUP && number !== undefined && /^\d+$/.test(number)) return Number(number);
  }
  return undefined;
}
