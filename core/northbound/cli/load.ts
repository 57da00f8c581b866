/** `dplaned route load`: a file of updates to the daemon, its failures and summary back. Main thread of a client process. */
import {
  type ResultJson,
  type SummaryJson,
  type SummaryLineJson,
  UPDATE_CONTENT_TYPES,
  type UpdateFormat,
} from "../api_types.ts";
import { type ApiClient, readLines } from "./client.ts";
import { formatCount, formatFailure, formatSummary } from "./format.ts";
import { EXIT_FAILED } from "./grammar.ts";
import type { CliIo } from "./io.ts";
import { ProgressLine } from "./progress.ts";
import { UpdateSource } from "./update_source.ts";

/** What a shell sees of a program that Ctrl-C ended. */
export const EXIT_INTERRUPTED = 128 + 2;

/** Failures printed one by one; more than a screen of them helps nobody. */
const FAILURES_SHOWN = 20;

export interface LoadOptions {
  file: string;
  owner: string | undefined;
  json: boolean;
}

/** Loads the file and returns the exit status. The first Ctrl-C ends the sending, and what was sent is still accounted for. */
export async function loadRoutes({ file, owner, json }: LoadOptions, client: ApiClient, io: CliIo): Promise<number> {
  const source = UpdateSource.open(file, io.stdin);
  const report = new LoadReport(source, json, io);
  const forgetInterrupt = io.onInterrupt(() => source.stop());
  try {
    const format = await source.detectFormat();
    const response = await client.request({
      method: "POST",
      path: "/v1/routes",
      query: { owner, ack: "errors" },
      headers: { "content-type": UPDATE_CONTENT_TYPES[format], accept: UPDATE_CONTENT_TYPES.ndjson },
      body: report.watch(source.pieces(format), format),
    });
    for await (const line of readLines(response)) report.takeLine(line);
  } finally {
    forgetInterrupt();
    source.close();
    report.progress?.clear();
  }
  return report.finish();
}

/** What is shown of a load while it runs and at its end. */
class LoadReport {
  readonly progress: ProgressLine | undefined;
  readonly #source: UpdateSource;
  readonly #json: boolean;
  readonly #io: CliIo;
  #failures = 0;
  #summary: SummaryJson | undefined;

  constructor(source: UpdateSource, json: boolean, io: CliIo) {
    this.#source = source;
    this.#json = json;
    this.#io = io;
    if (io.columns !== undefined) this.progress = new ProgressLine(io.stderr, io.columns);
  }

  /** Hands the pieces on and shows how far they are; the daemon takes them no faster than it works. */
  async *watch(pieces: AsyncIterable<Uint8Array>, format: UpdateFormat): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      yield piece;
      const { bytes, totalBytes, lines } = this.#source;
      this.progress?.update({
        bytes,
        totalBytes,
        updates: format === "json" ? undefined : lines,
        failures: this.#failures,
      });
    }
  }

  takeLine(line: string): void {
    if (line === "") return;
    const answer = JSON.parse(line) as ResultJson | SummaryLineJson;
    if (this.#json) this.#io.stdout(`${line}\n`);
    if ("summary" in answer) this.#summary = answer.summary;
    else if (answer.error !== undefined) this.#takeFailure(answer);
  }

  #takeFailure(result: ResultJson): void {
    this.#failures++;
    if (this.#json || this.#failures > FAILURES_SHOWN) return;
    this.progress?.clear();
    this.#io.stderr(formatFailure(this.#source.name, result));
  }

  finish(): number {
    if (!this.#json && this.#failures > FAILURES_SHOWN) {
      this.#io.stderr(`and ${formatCount(this.#failures - FAILURES_SHOWN)} more; --json shows all\n`);
    }
    if (this.#summary === undefined) {
      this.#io.stderr(
        "dplaned: The daemon ended its answer without a summary; some updates may not have been applied\n",
      );
      return EXIT_FAILED;
    }
    if (!this.#json) this.#io.stdout(formatSummary(this.#summary));
    if (this.#source.stopped) {
      this.#io.stderr(`Interrupted: ${this.#source.name} was not read to its end\n`);
      return EXIT_INTERRUPTED;
    }
    return this.#summary.fibFailed + this.#summary.rejected > 0 ? EXIT_FAILED : 0;
  }
}
