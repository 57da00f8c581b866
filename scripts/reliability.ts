/**
 * `make reliability`: runs simulations, canaries, fuzzing and a soak of the compiled daemon, and says in figures what they came to.
 *
 *   bun scripts/reliability.ts [--seeds N] [--minutes N] [--fuzz-minutes N] [--write | --out FOLDER] [PART...]
 *
 * --write puts the figures into docs/reliability.md, --out into a copy of it. All parts are run if none is named.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { VERSION } from "../core/constants.ts";
import { describeMachine } from "../tests/bench/machine.ts";
import { replaceSections } from "./docs_sections.ts";
import { PARTS, type Part, type Sizes } from "./reliability_parts.ts";
import { Programs } from "./reliability_programs.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url).href);
const DOCUMENT = "reliability.md";
const MAKER = "make reliability";

interface Options {
  sizes: Sizes;
  parts: readonly Part[];
  /** The document that is written to. */
  path: string | undefined;
}

function readOptions(): Options {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seeds: { type: "string", default: "10000" },
      minutes: { type: "string", default: "20" },
      "fuzz-minutes": { type: "string", default: "10" },
      write: { type: "boolean", default: false },
      out: { type: "string" },
    },
  });
  const parts = positionals.map((name) => {
    const part = PARTS.find((each) => each.name === name);
    if (part !== undefined) return part;
    throw new Error(`There is no part "${name}"; there are ${PARTS.map((each) => each.name).join(", ")}`);
  });
  const seeds = positive("--seeds", values.seeds);
  if (!Number.isInteger(seeds)) throw new Error(`--seeds is a whole number, not "${values.seeds}"`);
  const sizes = {
    seeds,
    minutes: positive("--minutes", values.minutes),
    fuzzMinutes: positive("--fuzz-minutes", values["fuzz-minutes"]),
  };
  const docs = join(ROOT, "docs", DOCUMENT);
  let path = values.write ? docs : undefined;
  if (values.out !== undefined) {
    path = join(values.out, DOCUMENT);
    copyFileSync(docs, path);
  }
  return { sizes, parts: parts.length > 0 ? parts : PARTS, path };
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new Error(`${name} is a number above 0, not "${text}"`);
}

/** What was run where, and when. */
function circumstances(part: Part, sizes: Sizes): string {
  const date = new Date().toISOString().slice(0, 10);
  const command = `make reliability ONLY=${part.name}${part.variable(sizes)}`;
  return `\`${command}\` on ${date}, ${describeCommit()}, ${describeMachine()}.`;
}

function describeCommit(): string {
  if (!existsSync(join(ROOT, ".git"))) return `version ${VERSION}`;
  const git = (...args: string[]): string => execFileSync("git", args, { cwd: ROOT, encoding: "utf8" }).trim();
  // Figures that were written before are no change of what is measured.
  const isChanged = git("status", "--porcelain", "--", ".", `:!docs/${DOCUMENT}`) !== "";
  return `commit ${git("rev-parse", "--short=10", "HEAD")}${isChanged ? " with changes" : ""}`;
}

/** Returns whether nothing was found. */
async function main(): Promise<boolean> {
  const { sizes, parts, path } = readOptions();
  const folder = mkdtempSync(join(tmpdir(), "dplaned-reliability-"));
  const programs = new Programs(folder);
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => programs.interrupt());
  let isFine = true;
  try {
    for (const part of parts) {
      process.stderr.write(`${part.title} (${part.name})\n`);
      const body = circumstances(part, sizes);
      const result = await part.run(programs, sizes);
      isFine &&= result.isFine;
      const text = `${body}\n\n${result.text}`;
      process.stdout.write(`## ${part.title}\n\n${text}\n`);
      // Each at once: what comes later may fail, or be interrupted.
      if (path === undefined) continue;
      writeFileSync(path, replaceSections(readFileSync(path, "utf8"), new Map([[part.name, text]]), MAKER));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return isFine;
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  process.stderr.write(`reliability: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
