/**
 * The lines of an answer: one for each update, and the summary. They are put together as bytes, because a million of them
 * through objects and `JSON.stringify` would cost more than the updates themselves, and as text a third of that. Main
 * thread.
 */
import { PREFIX_TEXT_MAX, putPrefix } from "../model/prefix.ts";
import { type Family, type RouteUpdate, UpdateOp } from "../model/route.ts";
import type { ErrorJson, PlanSummaryJson, ResultStatus as ResultStatusName, SummaryJson } from "./api_types.ts";
import { bytesOf, LineBuffer, NUMBER_TEXT_MAX, putBytes, putNumber } from "./line_buffer.ts";

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

const LINE = bytesOf('{"line":');
const INSTALL = bytesOf(',"op":"install","prefix":"');
const DELETE = bytesOf(',"op":"delete","prefix":"');
const SOURCE = bytesOf('","source":"');
const TABLE = bytesOf('","table":');
const STATUS = RESULT_STATUS_NAMES.map((name) => bytesOf(`,"status":"${name}"`));
const END = bytesOf("}\n");

/** No line is longer, details aside. */
const RESULT_MAX = 128 + 2 * NUMBER_TEXT_MAX + 2 * PREFIX_TEXT_MAX;

/** Begins a result line, up to its prefix. */
export function beginResult(
  out: LineBuffer,
  line: number,
  op: UpdateOp,
  family: Family,
  prefix: Uint8Array,
  offset: number,
  length: number,
): void {
  out.reserve(RESULT_MAX);
  const { bytes } = out;
  let at = putNumber(bytes, putBytes(bytes, out.length, LINE), line);
  at = putBytes(bytes, at, op === UpdateOp.INSTALL ? INSTALL : DELETE);
  out.length = putPrefix(bytes, at, family, prefix, offset, length);
}

/** Goes on with the prefix of the sources that the route is for; nothing where it is for all of them. */
export function putSource(out: LineBuffer, family: Family, source: Uint8Array, offset: number, length: number): void {
  if (length === 0) return;
  const { bytes } = out;
  out.length = putPrefix(bytes, putBytes(bytes, out.length, SOURCE), family, source, offset, length);
}

/** Ends a result line, with its newline. */
export function endResult(out: LineBuffer, table: number, status: ResultStatus, details?: ResultDetails): void {
  const { bytes } = out;
  const at = putNumber(bytes, putBytes(bytes, out.length, TABLE), table);
  out.length = putBytes(bytes, at, STATUS[status]!);
  if (details !== undefined) out.text(formatDetails(details));
  out.reserve(END.length);
  out.length = putBytes(out.bytes, out.length, END);
}

const rejection = new LineBuffer();

/** The result line of an update that could not be admitted, with as much of the route's name as could be read. */
export function formatRejection(line: number, update: RouteUpdate, error: ErrorJson): string {
  const { family } = update;
  if (family === 0) return `{"line":${line},"status":"rejected","error":${formatError(error)}}\n`;
  beginResult(rejection, line, update.op, family, update.prefix, 0, update.prefixLength);
  putSource(rejection, family, update.source, 0, update.sourceLength);
  endResult(rejection, update.table, ResultStatus.REJECTED, { error });
  return rejection.takeText();
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
