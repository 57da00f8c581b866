/** The log: formats, levels, floods, and readers that do not keep up. */
import assert from "node:assert/strict";
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { createLog, createRecordLog, type LogOptions, type LogRecord } from "../../core/log.ts";
import { detectLogFormat, formatLogRecord, wantsColour } from "../../core/log_format.ts";
import { until } from "../support/until.ts";

const TIME = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const record: LogRecord = {
  time: TIME,
  level: "warn",
  category: "kernel",
  message: "It broke",
  fields: { table: 254 },
};

/** A log whose lines are kept; `full` makes the descriptor refuse like a full pipe. */
function capture(options: Partial<LogOptions> = {}) {
  const decoder = new TextDecoder();
  const state = { text: "", full: false, lines: () => state.text.split("\n").slice(0, -1) };
  const log = createLog({
    level: "info",
    format: "json",
    environment: {},
    writeCall: (_fd, bytes, offset, length) => {
      if (state.full) throw Object.assign(new Error("EAGAIN"), { code: "EAGAIN" });
      const taken = Math.min(length, 100);
      state.text += decoder.decode(bytes.subarray(offset, offset + taken), { stream: true });
      return taken;
    },
    ...options,
  });
  return { log, state };
}

describe("formatLogRecord", () => {
  it("writes text with the fields behind the message", () => {
    assert.equal(formatLogRecord(record, "text", false), "2026-01-02T03:04:05.678Z warn  kernel It broke table=254\n");
  });

  it("colours only when asked to", () => {
    assert.ok(formatLogRecord(record, "text", true).includes("\x1b[33mwarn \x1b[0m"));
  });

  it("quotes values that could be misread and keeps others bare", () => {
    const fields = { a: "x y", b: 'q"', c: "a=b", d: "10.0.0.0/8", e: "", f: [1], g: 5n, h: undefined };
    const line = formatLogRecord({ ...record, fields }, "text", false);
    assert.ok(line.endsWith('a="x y" b="q\\"" c="a=b" d=10.0.0.0/8 e="" f=[1] g=5 h=undefined\n'), line);
  });

  it("writes an error with its causes", () => {
    const error = new Error("Cannot open socket", { cause: new Error("EPERM") });
    const line = formatLogRecord({ ...record, fields: { error } }, "json", false);
    assert.equal(JSON.parse(line).error, "Cannot open socket: EPERM");
  });

  it("keeps control characters of others from starting a line or driving the terminal", () => {
    const line = formatLogRecord({ ...record, message: "a\nb\x1b[2J", fields: { name: "v0\n<3>x" } }, "text", false);
    assert.equal(line.indexOf("\n"), line.length - 1);
    assert.ok(!line.includes("\x1b"));
  });

  it("writes JSON with the fields beside the message, never over it", () => {
    const object = JSON.parse(
      formatLogRecord({ ...record, fields: { table: 254, message: "mine", big: 5n } }, "json", false),
    );
    assert.deepEqual(object, {
      time: "2026-01-02T03:04:05.678Z",
      level: "warn",
      category: "kernel",
      message: "It broke",
      table: 254,
      _message: "mine",
      big: "5",
    });
  });

  it("puts sd-daemon's priority before a line for the journal", () => {
    const priorities = { error: "<3>", warn: "<4>", info: "<6>", debug: "<7>" } as const;
    for (const level of ["error", "warn", "info", "debug"] as const) {
      assert.equal(formatLogRecord({ ...record, level }, "journal", false).slice(0, 4), `${priorities[level]}{`);
    }
  });
});

describe("detectLogFormat", () => {
  const directory = mkdtempSync(join(tmpdir(), "dplaned-log-"));
  const fd = openSync(join(directory, "log"), "w");
  after(() => {
    closeSync(fd);
    rmSync(directory, { recursive: true });
  });

  it("sees the journal where JOURNAL_STREAM names the descriptor itself", () => {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    assert.equal(detectLogFormat(fd, { JOURNAL_STREAM: `${dev}:${ino}` }), "journal");
  });

  it("writes plain JSON where a service's output was redirected", () => {
    assert.equal(detectLogFormat(fd, { JOURNAL_STREAM: "1:2", INVOCATION_ID: "x" }), "json");
    assert.equal(detectLogFormat(fd, {}), "json");
    assert.equal(detectLogFormat(9999, { JOURNAL_STREAM: "1:2" }), "json");
  });

  it("wants no colours without a terminal", () => {
    assert.equal(wantsColour(fd, {}), false);
  });
});

describe("createLog", () => {
  it("writes to a real descriptor", () => {
    const directory = mkdtempSync(join(tmpdir(), "dplaned-log-"));
    const path = join(directory, "log");
    const fd = openSync(path, "w");
    const log = createLog({ level: "info", fd, environment: {} });
    log.category("main").info("Started", { pid: 1 });
    log.flush();
    closeSync(fd);
    const { message, pid, category } = JSON.parse(readFileSync(path, "utf8"));
    rmSync(directory, { recursive: true });
    assert.deepEqual({ message, pid, category }, { message: "Started", pid: 1, category: "main" });
  });

  it("leaves out what is below its level, and follows a change of it", () => {
    const { log, state } = capture();
    const kernel = log.category("kernel");
    kernel.debug("hidden");
    kernel.info("seen");
    log.setLevel("debug");
    kernel.debug("seen too");
    log.setLevel("error");
    kernel.warn("hidden again");
    assert.deepEqual(
      state.lines().map((line) => JSON.parse(line).message),
      ["seen", "seen too"],
    );
  });

  it("takes braces in a message as they are", () => {
    const { log, state } = capture();
    log.category("a").info("{table} {*} {{x}}", { table: 5 });
    assert.equal(JSON.parse(state.text).message, "{table} {*} {{x}}");
  });

  it("takes the records of a worker with their own time and category", () => {
    const { log, state } = capture();
    const worker = createRecordLog("dataplane", (each) => log.record(structuredClone(each)));
    worker.warn("Provider is slow", { provider: "test" });
    log.record(record);
    const [first, second] = state.lines().map((line) => JSON.parse(line));
    assert.equal(first.category, "dataplane");
    assert.equal(first.provider, "test");
    assert.equal(second.time, "2026-01-02T03:04:05.678Z");
  });

  it("writes a repeated error once in a window, and then how many were held back", async () => {
    const { log, state } = capture({ floodWindowMs: 20 });
    const kernel = log.category("kernel");
    for (let index = 0; index < 1000; index++) kernel.error("Netlink send failed", { index });
    kernel.error("Something else");
    assert.equal(state.lines().length, 2);
    await until(() => state.lines().length === 3);
    const { message, index, suppressed } = JSON.parse(state.lines()[2]!);
    assert.deepEqual({ message, index, suppressed }, { message: "Netlink send failed", index: 999, suppressed: 999 });
  });

  it("does not limit what is no warning or error", () => {
    const { log, state } = capture();
    for (let index = 0; index < 50; index++) log.category("a").info("Same");
    assert.equal(state.lines().length, 50);
  });

  it("tells counts that are held back when it is flushed", () => {
    const { log, state } = capture({ fd: -1 });
    log.category("a").warn("Twice");
    log.category("a").warn("Twice");
    log.flush();
    assert.equal(JSON.parse(state.lines()[1]!).suppressed, 1);
  });

  it("keeps lines for a reader that does not take them now, in order and complete", async () => {
    const { log, state } = capture();
    state.full = true;
    for (let index = 0; index < 20; index++) log.category("a").info(`line ${index}`);
    assert.equal(state.text, "");
    state.full = false;
    await until(() => state.lines().length === 20);
    assert.deepEqual(
      state.lines().map((line) => JSON.parse(line).message),
      Array.from({ length: 20 }, (_, index) => `line ${index}`),
    );
  });

  it("bounds what it keeps, and says how many lines were lost", async () => {
    const { log, state } = capture();
    state.full = true;
    const filler = "x".repeat(1000);
    for (let index = 0; index < 2000; index++) log.category("a").info("Big", { filler });
    state.full = false;
    await until(() => state.text.includes('"lost":'));
    const lines = state.lines();
    const { lost } = JSON.parse(lines.at(-1)!);
    assert.equal(lines.length - 1 + lost, 2000);
    assert.ok(lost > 500, `${lost} lines were lost`);
  });

  it("counts what a full disk does not take, and says so when there is room again", () => {
    let text = "";
    let isFull = false;
    const root = createLog({
      level: "info",
      format: "json",
      environment: {},
      writeCall: (_fd, bytes, offset, length) => {
        if (isFull) throw Object.assign(new Error("no space"), { code: "ENOSPC" });
        text += new TextDecoder().decode(bytes.subarray(offset, offset + length));
        return length;
      },
    });
    const log = root.category("test");
    log.info("before");
    isFull = true;
    for (let line = 0; line < 50; line++) log.info("lost", { line });
    isFull = false;
    log.info("after");
    const messages = text.trimEnd().split("\n");
    assert.equal(messages.length, 3);
    assert.match(messages[1]!, /"message":"after"/);
    assert.equal((JSON.parse(messages[2]!) as { lost: number }).lost, 50);
  });

  it("goes on when the reader is gone for good", () => {
    const { log } = capture({
      writeCall: () => {
        throw Object.assign(new Error("EPIPE"), { code: "EPIPE" });
      },
    });
    log.category("a").info("nobody hears this");
  });
});
