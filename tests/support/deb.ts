/** How tests make the Debian package, and what dpkg-deb tells of it. */
import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { binarySkipReason } from "./binary.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url).href);

/** Why no package can be made here. */
export function debSkipReason(): string | false {
  if (spawnSync("dpkg-deb", ["--version"]).status !== 0) return "no `dpkg-deb` (package dpkg)";
  if (spawnSync("make", ["--version"]).status !== 0) return "no `make`";
  return binarySkipReason();
}

/** Makes the package in `folder`, not compressed, which is quick, and returns its path. */
export function buildDeb(folder: string, version?: string): string {
  const before = new Set(readdirSync(folder));
  const options = [
    "--output",
    folder,
    "--compression",
    "none",
    ...(version === undefined ? [] : ["--version", version]),
  ];
  const bun = join(ROOT, "node_modules/.bin/bun");
  const { status, stderr } = spawnSync(bun, ["packaging/deb/build_deb.ts", ...options], {
    cwd: ROOT,
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(stderr);
  const [made, ...others] = readdirSync(folder).filter((name) => !before.has(name));
  if (made === undefined || others.length > 0) throw new Error(`made ${made} and ${others.length} others`);
  return join(folder, made);
}

/** A field of its control file; empty where it has none. */
export function debField(deb: string, field: string): string {
  return execFileSync("dpkg-deb", ["--field", deb, field], { encoding: "utf8" }).trim();
}

/** What it puts on a system: mode and owner, as tar writes them, by path. Folders end in a slash. */
export function debContents(deb: string): Map<string, string> {
  const listing = execFileSync("dpkg-deb", ["--contents", deb], { encoding: "utf8" });
  const lines = [...listing.matchAll(/^(\S+) (\S+) +\d+ \S+ \S+ \.(\/.*)$/gm)];
  return new Map(lines.map(([, mode, owner, path]) => [path!, `${mode} ${owner}`]));
}

/** The text of one of its control files, such as conffiles. */
export function debControlFile(deb: string, name: string): string {
  return execFileSync("dpkg-deb", ["--info", deb, name], { encoding: "utf8" });
}
