/**
 * `dplaned route load`, and what `route sync` shares with it: a file of updates to the daemon, its failures, plan and
 * summary back. Main thread of a client process.
 */
import {
  type PlanJson,
  type PlanSummaryJson,
  type ResultJson,
  type SummaryJson,
  type SyncSummaryJson,
  UPDATE_CONTENT_TYPES,
  type UpdateFormat,
} from "../api_types.ts";
import { type ApiClient, type ApiError, readLines } from "./client.ts";
import {
  formatCount,
  formatFailure,
  formatPlan,
  formatPlanSummary,
  formatSummary,
  formatSyncSummary,
} from "./format.ts";
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
  dryRun: boolean;
  json: boolean;
}

/** Loads the file and returns the exit status. The first Ctrl-C ends the sending, and what was sent is still accounted for. */
export async function loadRoutes(
  { file, owner, dryRun, json }: LoadOptions,
  client: ApiClient,
  io: CliIo,
): Promise<number> {
  const source = UpdateSource.open(file, io.stdin);
  const report = new LoadReport(source.name, json, io);
  const forgetInterrupt = io.onInterrupt(() => source.stop());
  try {
    const format = await source.detectFormat();
    const response = await client.request({
      method: "POST",
      path: "/v1/routes",
      query: { owner, ack: "errors", dryRun: dryRun ? "true" : undefined },
      headers: { "content-type": UPDATE_CONTENT_TYPES[format], accept: UPDATE_CONTENT_TYPES.ndjson },
      body: report.watch(source, format),
    });
    for await (const line of readLines(response)) report.takeLine(line);
  } finally {
    forgetInterrupt();
    source.close();
    report.progress?.clear();
  }
  return report.finish(source.stopped);
}

type Summary = SummaryJson | SyncSummaryJson | PlanSummaryJson;

/** What is shown of a load while it runs and at its end. */
export class LoadReport {
  readonly progress: ProgressLine | undefined;
  /** What the updates come from, for messages. */
  readonly #name: string;
  readonly #json: boolean;
  readonly #io: CliIo;
  #failures = 0;
  #summary: Summary | undefined;

  constructor(name: string, json: boolean, io: CliIo) {
    this.#name = name;
    this.#json = json;
    this.#io = io;
    if (io.columns !== undefined) this.progress = new ProgressLine(io.stderr, io.columns);
  }

  /** Hands the pieces on and shows how far they are; the daemon takes them no faster than it works. */
  async *watch(source: UpdateSource, format: UpdateFormat): AsyncGenerator<Uint8Array> {
    for await (const piece of source.pieces(format)) {
      yield piece;
      const { bytes, totalBytes, lines } = source;
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
    const answer = JSON.parse(line) as ResultJson | PlanJson | { summary: Summary };
    if (this.#json) this.#io.stdout(`${line}\n`);
    if ("summary" in answer) this.#summary = answer.summary;
    else if ("plan" in answer) this.#takePlan(answer);
    else if (answer.error !== undefined) this.#takeFailure(answer);
  }

  #takePlan(plan: PlanJson): void {
    if (this.#json) return;
    this.progress?.clear();
    this.#io.stdout(formatPlan(plan));
  }

  /** What was wrong with a body that was refused as a whole. */
  takeErrors({ errors, errorCount }: ApiError): void {
    if (this.#json) return;
    this.progress?.clear();
    for (const { line, error } of errors) {
      this.#io.stderr(formatFailure(this.#name, { line, status: "rejected", error }));
    }
    if (errorCount > errors.length) this.#io.stderr(`and ${formatCount(errorCount - errors.length)} more\n`);
  }

  #takeFailure(result: ResultJson): void {
    this.#failures++;
    if (this.#json || this.#failures > FAILURES_SHOWN) return;
    this.progress?.clear();
    this.#io.stderr(formatFailure(this.#name, result));
  }

  /** Shows the end, and returns the exit status. */
  finish(isInterrupted = false): number {
    if (!this.#json && this.#failures > FAILURES_SHOWN) {
      this.#io.stderr(`and ${formatCount(this.#failures - FAILURES_SHOWN)} more; --json shows all\n`);
    }
    if (this.#summary === undefined) {
      this.#io.stderr(
        "dplaned: The daemon ended its answer without a summary; some updates may not have been applied\n",
      );
      return EXIT_FAILED;
    }
    const summary = this.#summary;
    if (!this.#json) this.#io.stdout(formatAnySummary(summary));
    if (isInterrupted) {
      this.#io.stderr(`Interrupted: ${this.#name} was not read to its end\n`);
      return EXIT_INTERRUPTED;
    }
    if ("error" in summary && summary.error !== undefined) {
      const { message, hint } = summary.error;
      this.#io.stderr(
        `dplaned: The sync did not come to its end: ${message}${hint === undefined ? "" : `; ${hint}`}\n`,
      );
    }
    const failed = summary.rejected + ("fibFailed" in summary ? summary.fibFailed : 0);
    return failed > 0 || ("error" in summary && summary.error !== undefined) ? EXIT_FAILED : 0;
  }
}

function formatAnySummary(summary: Summary): string {
  if ("add" in summary) return formatPlanSummary(summary);
  return "unchanged" in summary ? formatSyncSummary(summary) : formatSummary(summary);
}
