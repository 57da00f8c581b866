/**
 * A root directory of its own for tests that install something: this machine's, under a layer in memory that takes every
 * write, in mount and process namespaces of its own. Nothing of the machine itself changes, and with the test all of it,
 * also what was started there, is gone.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

/** Makes the root below the folder $1. /run and /tmp are empty there. */
const MOUNT = `
  set -e
  mount -t tmpfs none "$1"
  cd "$1"
  mkdir upper work root
  mount -t overlay overlay -o lowerdir=/,upperdir="$1/upper",workdir="$1/work" root
  mount -t proc proc root/proc
  mount --rbind /dev root/dev
  mount -t tmpfs none root/run
  mount -t tmpfs none root/tmp
`;
/** No systemd runs there: its tools are to work on files alone. */
const ENVIRONMENT = {
  PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
  LC_ALL: "C.UTF-8",
  DEBIAN_FRONTEND: "noninteractive",
  SYSTEMD_OFFLINE: "1",
};
const NAMESPACES = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"];

/** Why no such root can be made here. */
export function overlaySkipReason(): string | false {
  if (process.getuid?.() !== 0) return "not root, so no root directory can be made";
  const folder = mkdtempSync(join(tmpdir(), "dplaned-root-"));
  const args = [...NAMESPACES, "sh", "-c", `${MOUNT}\nchroot root true`, "sh", folder];
  const { status, error, stderr } = spawnSync("unshare", args, { encoding: "utf8" });
  rmdirSync(folder);
  return status === 0 ? false : `no root directory can be made: ${error?.message ?? stderr.trim()}`;
}

export interface Answer {
  status: number | null;
  /** Standard output and error. */
  text: string;
}

export class OverlayRoot {
  readonly #folder: string;
  readonly #holder: ChildProcess;
  readonly #netns: string;

  constructor(folder: string, holder: ChildProcess, netns: string) {
    this.#folder = folder;
    this.#holder = holder;
    this.#netns = netns;
  }

  /** Makes one whose commands run in the network namespace `netns`. */
  static async create(netns: string): Promise<OverlayRoot> {
    const folder = mkdtempSync(join(tmpdir(), "dplaned-root-"));
    const script = `${MOUNT}\necho ready\nread -r _`;
    const holder = spawn("unshare", [...NAMESPACES, "sh", "-c", script, "sh", folder], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const [line] = await Promise.race([once(holder.stdout!, "data"), once(holder, "exit")]);
    if (String(line) !== "ready\n") throw new Error(`no root directory could be made in ${folder}`);
    return new OverlayRoot(folder, holder, netns);
  }

  /** Runs a shell script in it. `input` is its standard input. */
  run(script: string, input: string | Uint8Array = ""): Answer {
    const { status, stdout } = spawnSync(
      "nsenter",
      [...this.#enter(), "chroot", this.#root, "sh", "-c", `exec 2>&1\n${script}`],
      {
        input,
        encoding: "utf8",
        env: ENVIRONMENT,
        maxBuffer: 64 << 20,
      },
    );
    return { status, text: stdout };
  }

  /** The same, and throws where it fails. */
  do(script: string, input: string | Uint8Array = ""): string {
    const { status, text } = this.run(script, input);
    if (status !== 0) throw new Error(`${script}: exit status ${status}: ${text}`);
    return text;
  }

  /** What was written in it and is there still, by path, sorted. What was deleted leaves character devices. */
  written(): string[] {
    const args = [
      ...this.#enter(),
      "find",
      `${this.#folder}/upper`,
      "!",
      "-type",
      "c",
      "!",
      "-type",
      "d",
      "-printf",
      "/%P\n",
    ];
    return execFileSync("nsenter", args, { encoding: "utf8" }).trimEnd().split("\n").sort();
  }

  /** Ends all that runs in it, and it. */
  async delete(): Promise<void> {
    const ended = once(this.#holder, "exit");
    this.#holder.kill("SIGKILL");
    await ended;
    rmdirSync(this.#folder);
  }

  get #root(): string {
    return join(this.#folder, "root");
  }

  /** The process namespace is that of the holder's child, and its own for children to come. */
  #enter(): string[] {
    const own = `/proc/${this.#holder.pid}/ns`;
    return [`--mount=${own}/mnt`, `--pid=${own}/pid_for_children`, `--net=/run/netns/${this.#netns}`];
  }
}
