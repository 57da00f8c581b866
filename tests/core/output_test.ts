/** Writing to pipes that are full or gone, and escaping. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { describe, it } from "node:test";
import { errorCode, escapeControls, isBrokenPipe } from "../../core/output.ts";

/** Arguments before a script's: Deno needs its subcommand. */
const RUNTIME_ARGUMENTS = process.versions["deno"] === undefined ? [] : ["run", "-A"];
const SCRIPT = new URL("../support/write_all_script.ts", import.meta.url).pathname;

describe("writeAll", () => {
  it("writes every byte to a non-blocking pipe that is full most of the time", async () => {
    const child = spawn(process.execPath, [...RUNTIME_ARGUMENTS, SCRIPT, "5000000"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let length = 0;
    for await (const piece of child.stdout) length += (piece as Buffer).length;
    assert.equal(length, 5_000_000);
  });

  it("fails with a broken pipe where the reader is gone", async () => {
    const child = spawn(process.execPath, [...RUNTIME_ARGUMENTS, SCRIPT, "5000000"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    child.stdout.once("data", () => child.stdout.destroy());
    const status = await new Promise((resolve) => child.once("exit", resolve));
    assert.equal(status, 141);
  });
});

describe("isBrokenPipe", () => {
  it("tells EPIPE from other errors", () => {
    assert.equal(isBrokenPipe(Object.assign(new Error(), { code: "EPIPE" })), true);
    assert.equal(isBrokenPipe(Object.assign(new Error(), { code: "EIO" })), false);
    assert.equal(isBrokenPipe("EPIPE"), false);
  });
});

describe("errorCode", () => {
  it("is undefined for errors without a name", () => {
    assert.equal(errorCode(new Error("x")), undefined);
    assert.equal(errorCode(Object.assign(new Error(), { code: 5 })), undefined);
  });
});

describe("escapeControls", () => {
  it("spells out what would drive a terminal and keeps what it is told to", () => {
    assert.equal(escapeControls("a\x1b[31mb\nc\td\x9b"), "a\\x1b[31mb\\x0ac\\x09d\\x9b");
    assert.equal(escapeControls("a\nb\tc\r", "\n\t"), "a\nb\tc\\x0d");
  });
});
