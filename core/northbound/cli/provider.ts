/** `dplaned provider`: what somebody needs who writes one. Main thread of a client process. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CONTRACT, createSkeleton } from "../../plugin/skeleton.ts";
import type { ProviderRestartJson } from "../provider_types.ts";
import { type ApiClient, readAll } from "./client.ts";
import type { CliIo } from "./io.ts";
import { UsageError } from "./route_words.ts";

/** Fits a file, a name in the configuration, and a name in a program. */
const NAME = /^[a-z][a-z0-9_]{0,63}$/;

export function printTypes(json: boolean, io: CliIo): number {
  io.stdout(json ? `${JSON.stringify({ file: "dplaned.d.ts", text: CONTRACT })}\n` : CONTRACT);
  return 0;
}

/** Writes a new provider into a folder, in which there is nothing of it yet. */
export function initProvider(
  { name, dir, json }: { name: string; dir: string | undefined; json: boolean },
  io: CliIo,
): number {
  if (!NAME.test(name)) {
    throw new UsageError(
      `${JSON.stringify(name)} is no name of a provider; it has small letters, digits and underscores`,
    );
  }
  const folder = dir ?? name;
  const files = Object.entries(createSkeleton(name)).map(([file, text]) => ({ path: join(folder, file), text }));
  const there = files.filter(({ path }) => existsSync(path)).map(({ path }) => path);
  if (there.length > 0) throw new Error(`Cannot write a provider: ${there.join(", ")} is there already`);
  mkdirSync(folder, { recursive: true });
  for (const { path, text } of files) writeFileSync(path, text, { mode: 0o644, flag: "wx" });
  const paths = files.map(({ path }) => path);
  if (json) {
    io.stdout(`${JSON.stringify({ name, files: paths })}\n`);
    return 0;
  }
  io.stdout(paths.map((path) => `${path}\n`).join(""));
  io.stdout(
    `Test it with \`bun test\`, \`deno test\` or \`node --test\` in ${folder}; README.md there says how to install it.\n`,
  );
  return 0;
}

/** Has a new process of a plugin take over. */
export async function restartProvider(
  { name, json }: { name: string; json: boolean },
  client: ApiClient,
  io: CliIo,
): Promise<number> {
  const path = `/v1/providers/${encodeURIComponent(name)}/restart`;
  const answer = JSON.parse(await readAll(await client.request({ method: "POST", path }))) as ProviderRestartJson;
  io.stdout(json ? `${JSON.stringify(answer)}\n` : `${name}: a new process has taken over\n`);
  return 0;
}
