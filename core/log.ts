/**
 * The log: what every part of the daemon is given to speak with ({@linkcode Log}), and the one place on the main thread
 * where records become lines ({@linkcode createLog}). A worker makes its {@linkcode Log} with {@linkcode createRecordLog}
 * and posts the records; main hands them to {@linkcode RootLog.record}. Nothing here may be called for each update: a line
 * costs more than programming a route.
 */

import { setTimeout } from "node:timers";
import { configureSync, getLogger, resetSync } from "@logtape/logtape";
import { detectLogFormat, formatLogRecord, type LogFormat, wantsColour } from "./log_format.ts";
import { LogWriter, type WriteCall } from "./log_writer.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Facts beside the message. They must survive a structured clone, because a worker's go through a message. */
export type LogFields = Readonly<Record<string, unknown>>;

/** What a part of the daemon speaks with. Messages are constant sentences, what varies goes into fields: floods are limited by message. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** One thing said, as plain data that threads can send each other. */
export interface LogRecord {
  /** Milliseconds since the Unix epoch. */
  time: number;
  level: LogLevel;
  category: string;
  message: string;
  fields: LogFields;
}

/** The log of the main thread. */
export interface RootLog {
  /** A {@linkcode Log} for one part of the daemon, such as `kernel`. */
  category(category: string): Log;
  /** Takes a record, as those a worker posts. */
  record(record: LogRecord): void;
  setLevel(level: LogLevel): void;
  /** Writes what is held back, and waits for it; for the end of the process. */
  flush(): void;
}

export interface LogOptions {
  level: LogLevel;
  /** Default: standard error. */
  fd?: number;
  /** Default: what fits the descriptor. */
  format?: LogFormat;
  environment?: Readonly<Record<string, string | undefined>>;
  /** How long a repeated warning or error stays silent; default one second. */
  floodWindowMs?: number;
  writeCall?: WriteCall;
}

const FLOOD_WINDOW_MS = 1000;
/** Different messages watched at a time; more than that within a window are written unlimited. */
const FLOOD_MESSAGES_MAX = 512;

const LOGTAPE_LEVELS = { debug: "debug", info: "info", warn: "warning", error: "error" } as const;
const ROOT_CATEGORY = "dplaned";

/** A {@linkcode Log} that turns each call into a record and hands it on. */
export function createRecordLog(category: string, emit: (record: LogRecord) => void): Log {
  const speak =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) =>
      emit({ time: Date.now(), level, category, message, fields });
  return { debug: speak("debug"), info: speak("info"), warn: speak("warn"), error: speak("error") };
}

/** Opens the process's log. LogTape holds its configuration globally, so a second call takes over from the first. */
export function createLog(options: LogOptions): RootLog {
  const fd = options.fd ?? 2;
  const environment = options.environment ?? process.env;
  const format = options.format ?? detectLogFormat(fd, environment);
  const colour = format === "text" && wantsColour(fd, environment);

  const writer = new LogWriter(fd, (count) => formatLogRecord(describeLost(count), format, colour), options.writeCall);
  const flood = new FloodLimit(options.floodWindowMs ?? FLOOD_WINDOW_MS, (record) =>
    writer.write(formatLogRecord(record, format, colour)),
  );

  const root = getLogger([ROOT_CATEGORY]);
  const setLevel = (level: LogLevel) => {
    resetSync();
    configureSync({
      sinks: {
        lines: ({ category, level, timestamp, rawMessage, properties }) =>
          flood.record({
            time: timestamp,
            level: level === "warning" ? "warn" : (level as LogLevel),
            category: category.slice(1).join("."),
            message: rawMessage as string,
            fields: properties,
          }),
      },
      loggers: [
        { category: ROOT_CATEGORY, sinks: ["lines"], lowestLevel: LOGTAPE_LEVELS[level] },
        { category: ["logtape", "meta"], lowestLevel: null },
      ],
    });
  };
  setLevel(options.level);

  // LogTape's own log methods would read braces in a message as places to fill in; `emit` takes it as it is.
  const record = ({ time, level, category, message, fields }: LogRecord) =>
    root.getChild(category).emit({
      timestamp: time,
      level: LOGTAPE_LEVELS[level],
      message: [message],
      rawMessage: message,
      properties: fields,
    });

  return {
    category: (category) => createRecordLog(category, record),
    record,
    setLevel,
    flush: () => {
      flood.flush();
      writer.flush();
    },
  };
}

function describeLost(count: number): LogRecord {
  const message = "Log lines were lost, because whoever reads the log did not keep up";
  return { time: Date.now(), level: "warn", category: "log", message, fields: { lost: count } };
}

/** A warning or error being watched for repetition. */
interface Watched {
  /** When it was last written. */
  writtenMs: number;
  suppressed: number;
  /** The latest one held back. */
  last: LogRecord;
}

/**
 * Lets the same warning or error through once in a window and counts the rest; the count is written with the next one, or
 * when the window ends without one, so that a flood's end is seen too.
 */
class FloodLimit {
  readonly #windowMs: number;
  readonly #write: (record: LogRecord) => void;
  readonly #watched = new Map<string, Watched>();
  #sweeping = false;

  constructor(windowMs: number, write: (record: LogRecord) => void) {
    this.#windowMs = windowMs;
    this.#write = write;
  }

  record(record: LogRecord): void {
    if (record.level !== "warn" && record.level !== "error") return this.#write(record);
    const key = `${record.level}\0${record.category}\0${record.message}`;
    const watched = this.#watched.get(key);
    if (watched !== undefined) {
      watched.suppressed++;
      watched.last = record;
      return;
    }
    if (this.#watched.size < FLOOD_MESSAGES_MAX) {
      this.#watched.set(key, { writtenMs: performance.now(), suppressed: 0, last: record });
      this.#scheduleSweep();
    }
    this.#write(record);
  }

  /** Writes every count that is still held back. */
  flush(): void {
    this.#sweep(Number.POSITIVE_INFINITY);
  }

  #scheduleSweep(): void {
    if (this.#sweeping) return;
    this.#sweeping = true;
    setTimeout(() => {
      this.#sweeping = false;
      this.#sweep(performance.now());
      if (this.#watched.size > 0) this.#scheduleSweep();
    }, this.#windowMs).unref();
  }

  /** Ends the windows that are over: those with something held back say so and begin anew, the others are forgotten. */
  #sweep(nowMs: number): void {
    for (const [key, watched] of this.#watched) {
      if (nowMs - watched.writtenMs < this.#windowMs) continue;
      if (watched.suppressed === 0) {
        this.#watched.delete(key);
        continue;
      }
      this.#write({ ...watched.last, fields: { ...watched.last.fields, suppressed: watched.suppressed } });
      watched.suppressed = 0;
      watched.writtenMs = nowMs;
    }
  }
}
