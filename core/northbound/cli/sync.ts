/**
 * `dplaned route sync` and `route flush`: an owner's routes made exactly those of a file, or none. Main thread of a client
 * process.
 */
import { UPDATE_CONTENT_TYPES } from "../api_types.ts";
import { type ApiClient, ApiError, readLines } from "./client.ts";
import type { CliIo } from "./io.ts";
import { EXIT_INTERRUPTED, LoadReport } from "./load.ts";
import { UpdateSource } from "./update_source.ts";

export interface SyncOptions {
  owner: string;
  dryRun: boolean;
  json: boolean;
}

/** Ctrl-C came before the whole file was sent. */
class InterruptedError extends Error {
  override name = "InterruptedError";
}

/**
 * Syncs the owner's routes and returns the exit status. A file that is not sent to its end is one that the daemon must not
 * take for the whole: then the request is broken off, and nothing is changed.
 */
export async function syncRoutes(
  { file, owner, dryRun, json }: SyncOptions & { file: string },
  client: ApiClient,
  io: CliIo,
): Promise<number> {
  const source = UpdateSource.open(file, io.stdin);
  const report = new LoadReport(source.name, json, io);
  const forgetInterrupt = io.onInterrupt(() => source.stop());
  try {
    const format = await source.detectFormat();
    const response = await client.request({
      method: "PUT",
      path: pathOf(owner),
      query: queryOf(dryRun),
      headers: { "content-type": UPDATE_CONTENT_TYPES[format], accept: UPDATE_CONTENT_TYPES.ndjson },
      body: whole(report.watch(source, format), source),
    });
    // What the daemon has all of is carried out, whether or not somebody waits for it.
    forgetInterrupt();
    for await (const line of readLines(response)) report.takeLine(line);
  } catch (error) {
    if (source.stopped) {
      report.progress?.clear();
      io.stderr(`Interrupted: ${source.name} was not read to its end, and nothing was changed\n`);
      return EXIT_INTERRUPTED;
    }
    if (error instanceof ApiError) report.takeErrors(error);
    throw error;
  } finally {
    forgetInterrupt();
    source.close();
    report.progress?.clear();
  }
  return report.finish();
}

/** The pieces of a file that is read to its end; anything else is an error. */
async function* whole(pieces: AsyncIterable<Uint8Array>, source: UpdateSource): AsyncGenerator<Uint8Array> {
  yield* pieces;
  if (source.stopped) throw new InterruptedError();
}

/** Withdraws all routes of the owner and returns the exit status. */
export async function flushRoutes({ owner, dryRun, json }: SyncOptions, client: ApiClient, io: CliIo): Promise<number> {
  const report = new LoadReport(owner, json, io);
  const response = await client.request({
    method: "DELETE",
    path: pathOf(owner),
    query: queryOf(dryRun),
    headers: { accept: UPDATE_CONTENT_TYPES.ndjson },
  });
  for await (const line of readLines(response)) report.takeLine(line);
  return report.finish();
}

function pathOf(owner: string): string {
  return `/v1/owners/${encodeURIComponent(owner)}/routes`;
}

/** Of a plan only what would change is of interest here. */
function queryOf(dryRun: boolean): Record<string, string> {
  return dryRun ? { dryRun: "true", ack: "errors" } : {};
}
