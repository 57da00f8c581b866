/** How a log record looks as text on a terminal and as a line of JSON, and which of them a descriptor gets. Pure but for the one fstat. */
import { fstatSync } from "node:fs";
import { isatty } from "node:tty";
import type { LogLevel, LogRecord } from "./log.ts";
import { escapeControls } from "./output.ts";

/** `text` for people, `json` for programs, `journal` for systemd's journal: JSON behind the priority that sd-daemon(3) defines. */
export type LogFormat = "text" | "json" | "journal";

/** Syslog priorities (`sd-daemon.h`: SD_ERR "<3>", SD_WARNING "<4>", SD_INFO "<6>", SD_DEBUG "<7>"). */
const JOURNAL_PRIORITIES: Readonly<Record<LogLevel, number>> = { debug: 7, info: 6, warn: 4, error: 3 };

const LEVEL_COLOURS: Readonly<Record<LogLevel, string>> = {
  debug: "\x1b[2m",
  info: "\x1b[32m",
  warn: "\x1b[33m",
  error: "\x1b[31m",
};
const DIM = "\x1b[2m";
const RESET = "\x1b[0m";

const RESERVED_NAMES = new Set(["time", "level", "category", "message"]);

type Environment = Readonly<Record<string, string | undefined>>;

/** What fits the descriptor: text on a terminal, priorities where systemd says that it is the journal, JSON otherwise. */
export function detectLogFormat(fd: number, environment: Environment): LogFormat {
  if (isJournal(fd, environment["JOURNAL_STREAM"])) return "journal";
  return isatty(fd) ? "text" : "json";
}

/** Colours are for terminals whose user did not say no (https://no-color.org). */
export function wantsColour(fd: number, environment: Environment): boolean {
  return isatty(fd) && !environment["NO_COLOR"] && environment["TERM"] !== "dumb";
}

/**
 * JOURNAL_STREAM is inherited by everything a service starts, also behind a redirection, so systemd.exec(5) asks to compare
 * the device and inode numbers in it with the descriptor's own.
 */
function isJournal(fd: number, stream: string | undefined): boolean {
  if (stream === undefined || stream === "") return false;
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

/** One line of the log with its newline. */
export function formatLogRecord(record: LogRecord, format: LogFormat, colour: boolean): string {
  if (format === "text") return formatText(record, colour);
  const priority = format === "journal" ? `<${JOURNAL_PRIORITIES[record.level]}>` : "";
  return `${priority}${formatJson(record)}\n`;
}

function formatText({ time, level, category, message, fields }: LogRecord, colour: boolean): string {
  const paint = (code: string, text: string) => (colour ? code + text + RESET : text);
  let line = `${paint(DIM, new Date(time).toISOString())} ${paint(LEVEL_COLOURS[level], level.padEnd(5))} `;
  line += `${paint(DIM, category)} ${escapeControls(message)}`;
  for (const [name, value] of Object.entries(fields)) line += ` ${paint(DIM, `${name}=`)}${formatValue(value)}`;
  return `${line}\n`;
}

function formatJson({ time, level, category, message, fields }: LogRecord): string {
  const object: Record<string, unknown> = { time: new Date(time).toISOString(), level, category, message };
  for (const [name, value] of Object.entries(fields)) {
    object[RESERVED_NAMES.has(name) ? `_${name}` : name] = value instanceof Error ? describeError(value) : value;
  }
  return JSON.stringify(object, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
}

/** A value bare where nobody could misread it, in JSON's quotes otherwise. */
function formatValue(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(describeError(value));
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "string") return JSON.stringify(value) ?? String(value);
  return /^[^\s="\p{Cc}]+$/u.test(value) ? value : JSON.stringify(value);
}

/** An error with its causes, on one line. */
function describeError(error: Error): string {
  const cause =
    error.cause === undefined ? "" : `: ${error.cause instanceof Error ? describeError(error.cause) : error.cause}`;
  return `${error.message || error.name}${cause}`;
}
