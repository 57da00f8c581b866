/**
 * Compiles dist/dplaned, one self-contained executable, and prints its size; for another architecture dist/dplaned-ARCH.
 * main.ts is the only entry: workers are started from it. Runs under the bundled bun (`make build`, `make build ARCH=arm64`).
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import {
  ARCHITECTURES,
  type Architecture,
  binaryPath,
  fetchRuntime,
  isNative,
  parseArchitecture,
} from "./architectures.ts";

const ROOT = resolve(import.meta.dirname, "..");

const FLAGS = [
  "--compile",
  "--minify",
  // Start-up is that of the command line too: bytecode halves it. It needs ES modules because of top-level await.
  "--bytecode",
  "--format=esm",
  // Each thread loads only the parts it runs: in one piece, every function of the program would be made in each of them.
  "--splitting",
  // Without these the binary would obey .env and bunfig.toml of its working directory: foreign code in a root daemon.
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
];

/** Compiles main.ts to `output`; leaves an earlier one as it was when that fails. Returns the exit status. */
function compile(output: string, extraFlags: readonly string[]): number {
  const fresh = `${output}.new`;
  const args = ["build", ...FLAGS, ...extraFlags, "main.ts", `--outfile=${fresh}`];
  const { status, error } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) {
    rmSync(fresh, { force: true });
    console.error(`Cannot compile main.ts: bun build ended with ${error?.message ?? `exit status ${status}`}`);
    return 1;
  }
  // A running daemon keeps the file it was started from (writing into it would fail with ETXTBSY).
  renameSync(fresh, output);
  return 0;
}

/** What makes the compiler compile for another machine than this. */
function crossFlags(architecture: Architecture): string[] {
  if (isNative(architecture)) return [];
  const { target } = ARCHITECTURES[architecture];
  return [`--target=${target}`, `--compile-executable-path=${fetchRuntime(architecture)}`];
}

function main([name]: readonly string[]): number {
  try {
    const architecture = parseArchitecture(name ?? (process.arch === "arm64" ? "arm64" : "amd64"));
    mkdirSync(join(ROOT, "dist"), { recursive: true });
    const output = binaryPath(architecture);
    const status = compile(join(ROOT, output), crossFlags(architecture));
    if (status === 0) console.log(`${output}: ${(statSync(join(ROOT, output)).size / 1e6).toFixed(1)} MB`);
    return status;
  } catch (error) {
    console.error((error as Error).message);
    return 1;
  }
}

process.exit(main(process.argv.slice(2)));
