/** The systemd unit as tests read it. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { arch } from "node:process";
import { fileURLToPath } from "node:url";

export const UNIT = readFileSync(
  fileURLToPath(new URL("../../packaging/systemd/dplaned.service", import.meta.url).href),
  "utf8",
);

const NUMBERS_FILE = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";

/** Why what systemd makes of the unit cannot be found out here. */
export function analyzeSkipReason(): string | false {
  return spawnSync("systemd-analyze", ["--version"]).status === 0 ? false : "no `systemd-analyze` (package systemd)";
}

/** Why the system calls that the unit allows cannot be told by number here. */
export function syscallsSkipReason(): string | false {
  if (arch !== "x64") return `numbers of system calls are known for x86-64, and this is ${arch}`;
  return analyzeSkipReason() || (existsSync(NUMBERS_FILE) ? false : `no ${NUMBERS_FILE} (package linux-libc-dev)`);
}

/** The values of a key, in order. */
export function unitValues(key: string): string[] {
  return [...UNIT.matchAll(new RegExp(`^${key}=(.*)$`, "gm"))].map(([, value]) => value!);
}

/** Names of the system calls in a set, those of the sets in it included. */
function expand(name: string): string[] {
  if (!name.startsWith("@")) return [name];
  const { stdout } = spawnSync("systemd-analyze", ["--no-pager", "syscall-filter", name], { encoding: "utf8" });
  const members = stdout
    .split("\n")
    .slice(1)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  if (members.length === 0) throw new Error(`systemd-analyze knows no set ${name}`);
  return members.flatMap(expand);
}

/** What `SystemCallFilter=` allows, by name: the first line is what may be called, those with a tilde take away from it. */
export function allowedSyscalls(): Set<string> {
  const allowed = new Set<string>();
  for (const value of unitValues("SystemCallFilter")) {
    const names = value.replace("~", "").split(" ").flatMap(expand);
    for (const name of names) {
      if (value.startsWith("~")) allowed.delete(name);
      else allowed.add(name);
    }
  }
  return allowed;
}

/** Their numbers on x86-64; names of other architectures have none. */
export function syscallNumbers(names: Iterable<string>): number[] {
  const numbers = new Map(
    [...readFileSync(NUMBERS_FILE, "utf8").matchAll(/^#define __NR_(\w+) (\d+)$/gm)].map(([, name, number]) => [
      name!,
      Number(number),
    ]),
  );
  return [...names].flatMap((name) => numbers.get(name) ?? []);
}
