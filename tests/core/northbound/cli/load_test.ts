/** `route load` against a stand-in for the daemon: formats, streaming both ways, failures and interruption. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, afterEach, describe, it } from "node:test";
import {
  answerJson,
  answerLines,
  CapturedIo,
  type FakeDaemon,
  type Handler,
  readBody,
  runCommandLine,
  startFakeDaemon,
} from "../../../support/cli_harness.ts";
import { settled } from "../../../support/until.ts";

const directory = mkdtempSync(join(tmpdir(), "dplaned-load-"));
after(() => rmSync(directory, { recursive: true, force: true }));

let daemon: FakeDaemon | undefined;
afterEach(async () => {
  await daemon?.close();
  daemon = undefined;
});

const none = {
  received: 0,
  fibProgrammed: 0,
  fibFailed: 0,
  ribProgrammed: 0,
  skipped: 0,
  superseded: 0,
  rejected: 0,
  elapsedMs: 0,
};
const line = '{"prefix":"203.0.113.0/24"}\n';

function writeInput(text: string | Uint8Array): string {
  const path = join(directory, "input");
  writeFileSync(path, text);
  return path;
}

async function load(handler: Handler, file: string, io = new CapturedIo(), ...args: string[]) {
  daemon = await startFakeDaemon(handler);
  const status = await runCommandLine(["route", "load", file, ...args, "--socket", daemon.socketPath], io);
  return { status, out: io.out, err: io.err };
}

/** Takes everything and answers with a summary; keeps what it saw. */
function recorder() {
  const seen = { url: "", type: "", body: "" };
  const handler: Handler = async (request, response) => {
    seen.url = request.url ?? "";
    seen.type = request.headers["content-type"] ?? "";
    seen.body = await readBody(request);
    answerLines(response, { summary: { ...none, received: 1, fibProgrammed: 1, elapsedMs: 10 } });
  };
  return { seen, handler };
}

describe("route load", () => {
  it("sends a file as it is, for the owner, and prints the summary", async () => {
    const { seen, handler } = recorder();
    const result = await load(handler, writeInput(line), undefined, "--owner", "bgp");
    assert.deepEqual(seen, { url: "/v1/routes?owner=bgp&ack=errors", type: "application/x-ndjson", body: line });
    assert.deepEqual(result, { status: 0, out: "1 update in 0.01 s (100/s): 1 programmed\n", err: "" });
  });

  it("tells formats apart by the first significant character", async () => {
    const cases: [string, string][] = [
      [` \n\t${line}`, "application/x-ndjson"],
      [`\uFEFF${line}`, "application/x-ndjson"],
      [`\n [${line.trim()}]`, "application/json"],
      ["# { a comment\n#[\n  route add 203.0.113.0/24 dev v0\n", "text/x-iproute2"],
      ["route add 203.0.113.0/24 dev v0", "text/x-iproute2"],
      ["", "application/x-ndjson"],
      ["# only a comment", "application/x-ndjson"],
    ];
    for (const [text, type] of cases) {
      const { seen, handler } = recorder();
      const { status } = await load(handler, writeInput(text));
      assert.equal(status, 0);
      assert.equal(seen.type, type, JSON.stringify(text));
      assert.equal(seen.body, text);
      await daemon?.close();
    }
  });

  it("reads standard input piece by piece, and its last line without an end", async () => {
    const { seen, handler } = recorder();
    const text = `# x\nroute add 10.0.0.0/8 dev v0\nroute add 11.0.0.0/8 dev v0`;
    const input = Readable.from([...text].map((character) => Buffer.from(character)));
    const { status } = await load(handler, "-", new CapturedIo({ input }));
    assert.equal(status, 0);
    assert.deepEqual(seen, { url: "/v1/routes?ack=errors", type: "text/x-iproute2", body: text });
  });

  it("prints failures by file and line, 20 at most, and fails", async () => {
    const failures = Array.from({ length: 23 }, (_, index) => ({
      line: index + 1,
      prefix: "203.0.113.0/24",
      status: "fib_failed",
      error: { code: "EINVAL", message: "Bad", hint: "do better" },
    }));
    const summary = { summary: { ...none, received: 23, fibFailed: 23, elapsedMs: 10 } };
    const file = writeInput(line.repeat(23));
    const text = await load((_, response) => answerLines(response, ...failures, summary), file);
    const lines = text.err.trimEnd().split("\n");
    assert.equal(text.status, 1);
    assert.equal(lines.length, 21);
    assert.equal(lines[0], `${file}:1: 203.0.113.0/24: Bad (EINVAL); do better`);
    assert.equal(lines[20], "and 3 more; --json shows all");
    await daemon?.close();

    const json = await load((_, response) => answerLines(response, ...failures, summary), file, undefined, "--json");
    assert.equal(json.status, 1);
    assert.equal(json.err, "");
    assert.equal(json.out, [...failures, summary].map((each) => `${JSON.stringify(each)}\n`).join(""));
  });

  it("answers of hundreds of thousands of failures come while the file is still being sent", async () => {
    const count = 200_000;
    const handler: Handler = (request, response) => {
      response.writeHead(200, { "content-type": "application/x-ndjson" });
      request.on("data", (piece: Buffer) => {
        const failure = `${JSON.stringify({ line: 1, status: "rejected", error: { code: "X", message: "m" } })}\n`;
        const ended = piece.reduce((sum, byte) => sum + (byte === 10 ? 1 : 0), 0);
        // As the daemon: where the client does not take results, its updates are not taken either.
        if (response.write(failure.repeat(ended))) return;
        request.pause();
        response.once("drain", () => request.resume());
      });
      request.on("end", () =>
        response.end(`${JSON.stringify({ summary: { ...none, received: count, rejected: count } })}\n`),
      );
    };
    const { status, err } = await load(handler, writeInput(line.repeat(count)));
    assert.equal(status, 1);
    assert.match(err, /^and 199,980 more; --json shows all$/m);
  });

  it("reads no further than the daemon takes", async () => {
    let pulled = 0;
    const held = Promise.withResolvers<void>();
    const piece = Buffer.from(line.repeat(2000));
    const total = 64 << 20;
    const input = Readable.from(
      (function* () {
        for (; pulled < total; pulled += piece.length) yield piece;
      })(),
      { highWaterMark: 1 },
    );
    let received = 0;
    const handler: Handler = async (request, response) => {
      request.pause();
      await held.promise;
      for await (const part of request) received += (part as Buffer).length;
      answerLines(response, { summary: none });
    };
    const running = load(handler, "-", new CapturedIo({ input }));
    await settled(
      () => pulled,
      (bytes) => bytes > 0,
    );
    assert.ok(pulled < 8 << 20, `${pulled} bytes were read ahead`);
    held.resolve();
    assert.equal((await running).status, 0);
    assert.equal(received, pulled);
  });

  it("stops and reports when the daemon refuses while the file is being sent", async () => {
    const handler: Handler = (_, response) =>
      answerJson(response, { title: "Forbidden", status: 403 }, 403, "application/problem+json");
    const { status, err } = await load(handler, writeInput(line.repeat(500_000)));
    assert.equal(status, 1);
    assert.match(err, /^dplaned: Forbidden\n$/);
  });

  it("does not take an answer without a summary for success", async () => {
    const { status, err } = await load((_, response) => answerLines(response), writeInput(line));
    assert.equal(status, 1);
    assert.match(err, /without a summary/);
  });

  it("fails when the daemon dies in the middle", async () => {
    const handler: Handler = (request) => {
      request.once("data", () => request.socket.destroy());
    };
    const { status, err } = await load(handler, writeInput(line.repeat(100_000)));
    assert.equal(status, 1);
    assert.match(err, /^dplaned: The daemon broke off the connection/);
  });

  it("fails on input that cannot be read, before and after it began", async () => {
    const { handler } = recorder();
    const missing = join(directory, "missing");
    assert.deepEqual(await load(handler, missing), {
      status: 1,
      out: "",
      err: `dplaned: Cannot read ${missing}: ENOENT\n`,
    });
    await daemon?.close();
    assert.match((await load(handler, directory)).err, /it is a directory/);
    await daemon?.close();

    const input = Readable.from(
      (async function* () {
        yield Buffer.from(line);
        throw Object.assign(new Error("EIO"), { code: "EIO" });
      })(),
    );
    const { status, err } = await load(handler, "-", new CapturedIo({ input }));
    assert.deepEqual({ status, err }, { status: 1, err: "dplaned: Cannot read stdin: EIO\n" });
  });

  it("ends after a whole update at Ctrl-C and still accounts for what was sent", async () => {
    const { seen, handler } = recorder();
    const input = new Readable({ read: () => undefined });
    const io = new CapturedIo({ input });
    const received = Promise.withResolvers<void>();
    input.push(`${line}{"prefix":"203.0`);
    const running = load(
      (request, response) => {
        request.once("data", () => received.resolve());
        handler(request, response);
      },
      "-",
      io,
    );
    await received.promise;
    io.interrupt?.();
    const { status, out, err } = await running;
    assert.equal(seen.body, line);
    assert.equal(status, 130);
    assert.match(out, /^1 update/);
    assert.equal(err, "Interrupted: stdin was not read to its end\n");
    assert.equal(io.interrupt, undefined);
  });

  it("draws progress on a terminal, takes it away for failures and at the end", async () => {
    const handler: Handler = (request, response) => {
      response.writeHead(200);
      request.once("data", () => {
        response.write(`${JSON.stringify({ line: 1, status: "rejected", error: { code: "X", message: "m" } })}\n`);
      });
      request.on("end", () => response.end(`${JSON.stringify({ summary: { ...none, received: 1, rejected: 1 } })}\n`));
    };
    const { err } = await load(handler, writeInput(line.repeat(50_000)), new CapturedIo({ columns: 80 }));
    const drawn = err.split("\r\x1b[K");
    assert.match(drawn[1]!, /^\[#*\.*\] +\d+% {2}[\d.]+\/1\.4 MB {2}[\d,]+ updates\/s/);
    assert.ok(!drawn.at(-1)!.startsWith("["), "no progress is left at the end");
  });
});
