/** A log that keeps what was said, for tests. */
import { createRecordLog, type Log, type LogRecord } from "../../core/log.ts";

export interface QuietLog extends Log {
  records: LogRecord[];
  /** Whether this was said. */
  said(message: string): boolean;
}

export function createQuietLog(): QuietLog {
  const records: LogRecord[] = [];
  const log = createRecordLog("test", (record) => records.push(record));
  return { ...log, records, said: (message) => records.some((record) => record.message === message) };
}
