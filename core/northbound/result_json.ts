/**
 * The lines of an answer: one for each update, and the summary. They are put together as text, because a million of them
 * through objects and `JSON.stringify` would cost more than the updates themselves. Main thread.
 */
import { formatPrefix } from "../model/prefix.ts";
import { type RouteUpdate, UpdateOp } from "../model/route.ts";
import type { ErrorJson, PlanSummaryJson, ResultStatus as ResultStatusName, SummaryJson } from "./api_types.ts";

/** What became of an update (gRIBI's RIB_PROGRAMMED and FIB_PROGRAMMED, and what else can happen). */
export const ResultStatus = {
  FIB_PROGRAMMED: 0,
  FIB_FAILED: 1,
  RIB_PROGRAMMED: 2,
  SKIPPED: 3,
  SUPERSEDED: 4,
  REJECTED: 5,
} as const;
export type ResultStatus = (typeof ResultStatus)[keyof typeof ResultStatus];

/** The API's words, by number. */
export const RESULT_STATUS_NAMES: readonly ResultStatusName[] = [
  "fib_programmed",
  "fib_failed",
  "rib_programmed",
  "skipped",
  "superseded",
  "rejected",
];

/** The counter of a summary in which each is counted. */
export const SUMMARY_FIELDS = {
  [ResultStatus.FIB_PROGRAMMED]: "fibProgrammed",
  [ResultStatus.FIB_FAILED]: "fibFailed",
  [ResultStatus.RIB_PROGRAMMED]: "ribProgrammed",
  [ResultStatus.SKIPPED]: "skipped",
  [ResultStatus.SUPERSEDED]: "superseded",
  [ResultStatus.REJECTED]: "rejected",
} as const satisfies Record<ResultStatus, keyof SummaryJson>;

/** Which results a client wants to be sent. */
export type AckMode = "all" | "errors" | "none";

export function isReported(status: ResultStatus, ack: AckMode): boolean {
  return (
    ack === "all" || (ack === "errors" && (status === ResultStatus.FIB_FAILED || status === ResultStatus.REJECTED))
  );
}

/** What only some results say. */
export interface ResultDetails {
  /** The provider that failed it, or that asked to skip the kernel. */
  provider?: string;
  error?: ErrorJson;
  /** Owner of the route that is in the FIB instead. */
  winner?: string;
  waitingFor?: string;
  /** Providers that were down, and gave no word on it. */
  bypassed?: string[];
}

/** What JSON must escape; lone surrogates are among it, because they are no UTF-8. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
const NEEDS_ESCAPE = /["\\\u0000-\u001f\ud800-\udfff]/;

/** `text` as JSON. Nearly all are plain and need no more than the quotes. */
export function jsonString(text: string): string {
  return NEEDS_ESCAPE.test(text) ? JSON.stringify(text) : `"${text}"`;
}

/**
 * A result line, with its newline. `prefix` and `source` are text that this program formatted; an empty `source` is left
 * out.
 */
export function formatResult(
  line: number,
  op: UpdateOp,
  prefix: string,
  source: string,
  table: number,
  status: ResultStatus,
  details?: ResultDetails,
): string {
  const opName = op === UpdateOp.INSTALL ? "install" : "delete";
  let text = `{"line":${line},"op":"${opName}","prefix":"${prefix}",`;
  if (source !== "") text += `"source":"${source}",`;
  text += `"table":${table},"status":"${RESULT_STATUS_NAMES[status]!}"`;
  return details === undefined ? `${text}}\n` : `${text}${formatDetails(details)}}\n`;
}

/** The result line of an update that could not be admitted, with as much of the route's name as could be read. */
export function formatRejection(line: number, update: RouteUpdate, error: ErrorJson): string {
  if (update.family === 0) return `{"line":${line},"status":"rejected","error":${formatError(error)}}\n`;
  const prefix = formatPrefix(update.family, update.prefix, 0, update.prefixLength);
  const hasSource = update.sourceLength > 0;
  const source = hasSource ? formatPrefix(update.family, update.source, 0, update.sourceLength) : "";
  return formatResult(line, update.op, prefix, source, update.table, ResultStatus.REJECTED, { error });
}

/** The answer's last line. */
export function formatSummary(summary: SummaryJson | PlanSummaryJson): string {
  return `{"summary":${JSON.stringify(summary)}}\n`;
}

function formatDetails(details: ResultDetails): string {
  let text = "";
  if (details.provider !== undefined) text += `,"provider":${jsonString(details.provider)}`;
  if (details.error !== undefined) text += `,"error":${formatError(details.error)}`;
  if (details.winner !== undefined) text += `,"winner":${jsonString(details.winner)}`;
  if (details.waitingFor !== undefined) text += `,"waitingFor":${jsonString(details.waitingFor)}`;
  if (details.bypassed !== undefined) text += `,"bypassed":${JSON.stringify(details.bypassed)}`;
  return text;
}

function formatError(error: ErrorJson): string {
  let text = `{"code":${jsonString(error.code)}`;
  // A rejection of the whole update has no field.
  if (error.field !== undefined && error.field !== "") text += `,"field":${jsonString(error.field)}`;
  text += `,"message":${jsonString(error.message)}`;
  if (error.hint !== undefined) text += `,"hint":${jsonString(error.hint)}`;
  return `${text}}`;
}
