/**
 * The architectures that the binary is compiled for, and for those that are not this machine's own the runtime that it is
 * compiled with: bun's compiler would load that from its makers' site, while npm has the very same, and package-lock.json
 * says which bytes it must be.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url).href);

/** By Debian's name for it. */
export const ARCHITECTURES = {
  amd64: { nodeArch: "x64", target: "bun-linux-x64", runtime: "@oven/bun-linux-x64" },
  arm64: { nodeArch: "arm64", target: "bun-linux-arm64", runtime: "@oven/bun-linux-aarch64" },
} as const;

export type Architecture = keyof typeof ARCHITECTURES;

/** Throws for a name that is none, with those that are. */
export function parseArchitecture(name: string): Architecture {
  if (Object.hasOwn(ARCHITECTURES, name)) return name as Architecture;
  throw new Error(`Cannot build for ${JSON.stringify(name)}: ARCH is ${Object.keys(ARCHITECTURES).join(" or ")}`);
}

export function isNative(architecture: Architecture): boolean {
  return ARCHITECTURES[architecture].nodeArch === process.arch;
}

/** The compiled binary, from the project's root: this machine's own has no architecture in its name. */
export function binaryPath(architecture: Architecture): string {
  return isNative(architecture) ? "dist/dplaned" : `dist/dplaned-${architecture}`;
}

/** Path of the runtime of `architecture`, from npm where it is not there yet. Throws with what to do where it cannot be had. */
export function fetchRuntime(architecture: Architecture): string {
  const { runtime } = ARCHITECTURES[architecture];
  const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8"));
  const { version, integrity } = packages[`node_modules/${runtime}`] as { version: string; integrity: string };
  const path = join(ROOT, `dist/runtime/bun-${version}-${architecture}`);
  if (existsSync(path)) return path;
  const folder = `${path}.new`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  try {
    run("npm", ["pack", "--silent", `--pack-destination=${folder}`, `${runtime}@${version}`]);
    const archive = join(folder, `${runtime.replace("@", "").replace("/", "-")}-${version}.tgz`);
    const digest = createHash("sha512").update(readFileSync(archive)).digest("base64");
    if (`sha512-${digest}` !== integrity) throw new Error("its bytes are not those that package-lock.json names");
    run("tar", ["-xzf", archive, "-C", folder, "package/bin/bun"]);
    renameSync(join(folder, "package/bin/bun"), path);
    return path;
  } catch (error) {
    throw new Error(`Cannot get ${runtime}@${version}, which the binary is compiled with: ${(error as Error).message}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function run(program: string, args: readonly string[]): void {
  const { status, error, stderr } = spawnSync(program, args, { cwd: ROOT, encoding: "utf8" });
  if (status !== 0) throw new Error(error?.message ?? `${program} failed: ${stderr.trim()}`);
}
