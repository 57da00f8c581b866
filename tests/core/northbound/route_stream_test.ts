import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { LINE_BYTES_MAX } from "../../../core/constants.ts";
import { DplaneError, U32 } from "../../../core/context/layout.ts";
import { formatRefusal } from "../../../core/context/refusal.ts";
import type { ResultJson } from "../../../core/northbound/api_types.ts";
import { COLLECT_BYTES } from "../../../core/northbound/update_body.ts";
import { createHarness, type Harness, installLine } from "../../support/api_harness.ts";
import { until } from "../../support/wait.ts";

const ENETUNREACH = 101;

/** True once the value is above 0 and has been the same for many turns of the event loop. */
function isStill(read: () => number): () => boolean {
  let last = 0;
  let turns = 0;
  return () => {
    const value = read();
    turns = value === last ? turns + 1 : 0;
    last = value;
    return value > 0 && turns > 500;
  };
}

describe("POST /v1/routes", () => {
  let harness: Harness;
  beforeEach(async () => {
    harness = await createHarness();
  });
  afterEach(() => harness.close());

  it("answers each update with one result, and the summary last", async () => {
    const { results, summary } = await harness.post(installLine(1) + installLine(2) + installLine(3));
    const statuses = results.map(({ line, op, prefix, table, status }) => ({ line, op, prefix, table, status }));
    assert.deepEqual(statuses, [
      { line: 1, op: "install", prefix: "10.0.0.1/32", table: 254, status: "fib_programmed" },
      { line: 2, op: "install", prefix: "10.0.0.2/32", table: 254, status: "fib_programmed" },
      { line: 3, op: "install", prefix: "10.0.0.3/32", table: 254, status: "fib_programmed" },
    ]);
    const { elapsedMs, ...counts } = summary;
    assert.ok(elapsedMs >= 0);
    assert.deepEqual(counts, {
      received: 3,
      fibProgrammed: 3,
      fibFailed: 0,
      ribProgrammed: 0,
      skipped: 0,
      superseded: 0,
      rejected: 0,
    });
  });

  it("takes an array, one object over several lines, and route commands", async () => {
    const array = await harness.post(`[${installLine(1)},${installLine(2)}]`, { contentType: "application/json" });
    assert.deepEqual([array.results.map(({ line }) => line), array.summary.fibProgrammed], [[1, 2], 2]);
    const object = await harness.post('{\n "prefix": "10.9.0.0/16",\n "nexthops": [{"dev": "v0"}]\n}', {
      contentType: "application/json",
    });
    assert.equal(object.results[0]?.prefix, "10.9.0.0/16");
    const lines = "# a comment\nroute add 10.8.0.0/16 via 192.0.2.1 dev v0\n\nroute del 10.8.0.0/16\n";
    const commands = await harness.post(lines, { contentType: "text/x-iproute2" });
    assert.deepEqual(
      commands.results.map(({ line, op, status }) => [line, op, status]),
      [
        [2, "install", "fib_programmed"],
        [4, "delete", "fib_programmed"],
      ],
    );
  });

  it("finds the format of a body without a content type", async () => {
    for (const body of [
      installLine(1),
      ` \n ${installLine(1)}`,
      `[${installLine(1)}]`,
      "route replace 10.0.0.1 dev v0\n",
    ]) {
      const { results } = await harness.post(body, { contentType: "text/plain" });
      assert.deepEqual([body, results.map(({ status }) => status)], [body, ["fib_programmed"]]);
    }
  });

  it("answers an empty body, and one of white space, with the summary alone", async () => {
    for (const body of ["", " \n\n", " ".repeat(10_000)]) {
      const { results, summary } = await harness.post(body, { contentType: "" });
      assert.deepEqual([results.length, summary.received], [0, 0]);
    }
  });

  it("rejects bad lines one by one, with their numbers, and goes on", async () => {
    const body = `${installLine(1)}{oops\n\n{"prefix":"10.0.0.1/24"}\n${JSON.stringify({ prefix: "10.0.0.2/32", metrik: 1 })}\n${installLine(3)}`;
    const { results, summary } = await harness.post(body);
    const rejected = results.filter(({ status }) => status === "rejected");
    assert.deepEqual(
      rejected.map(({ line, error }) => [line, error?.code]),
      [
        [2, "INVALID_JSON"],
        [4, "HOST_BITS_SET"],
        [5, "UNKNOWN_FIELD"],
      ],
    );
    assert.equal(rejected[2]?.error?.hint, "did you mean metric?");
    assert.deepEqual([summary.received, summary.rejected, summary.fibProgrammed], [5, 3, 2]);
    assert.equal(harness.dataplane.snapshot().routeUpdateErrors, 3);
  });

  it("skips a line that is too long and takes the one behind it", async () => {
    const long = `{"prefix":"10.0.0.9/32","x":"${"a".repeat(2 * LINE_BYTES_MAX)}"}\n`;
    const { results, summary } = await harness.post(installLine(1) + long + installLine(2));
    assert.deepEqual(results.map(({ line, status, error }) => [line, status, error?.code]).sort(), [
      [1, "fib_programmed", undefined],
      [2, "rejected", "LINE_TOO_LONG"],
      [3, "fib_programmed", undefined],
    ]);
    assert.equal(summary.received, 3);
  });

  it("says who failed an update, why, and what to do", async () => {
    harness.kernel.answer = (io, slot) => io.contexts.fail(slot, ENETUNREACH, "Nexthop has invalid gateway");
    const { results, summary } = await harness.post(installLine(1));
    assert.deepEqual(results[0], {
      line: 1,
      op: "install",
      prefix: "10.0.0.1/32",
      table: 254,
      status: "fib_failed",
      provider: "kernel",
      waitingFor: "gateway 192.0.2.1",
      error: {
        code: "ENETUNREACH",
        message: "Nexthop has invalid gateway",
        hint: "no route to 192.0.2.1 on v0; is it a connected address, or is onlink meant?",
      },
    } satisfies ResultJson);
    assert.equal(summary.fibFailed, 1);
  });

  it("names failures that have no errno, and describes an errno without a text", async () => {
    harness.kernel.answer = (io, slot) => io.contexts.fail(slot, DplaneError.NO_ANSWER, "silence");
    const silence = await harness.post(installLine(1));
    assert.deepEqual([silence.results[0]?.error?.code, silence.results[0]?.error?.message], ["NO_ANSWER", "silence"]);
    harness.kernel.answer = (io, slot) => io.contexts.fail(slot, 28);
    const full = await harness.post(installLine(1));
    assert.deepEqual([full.results[0]?.error?.code, full.results[0]?.error?.message], ["ENOSPC", "no space left"]);
  });

  it("says which providers an update passed without their word, and counts such results", async () => {
    harness.kernel.answer = (io, slot) => {
      if (io.contexts.getU32(slot, U32.LINE) !== 2) io.contexts.passBy(slot, 1);
      if (io.contexts.getU32(slot, U32.LINE) === 3) io.contexts.fail(slot, ENETUNREACH);
      else io.contexts.succeed(slot);
    };
    const { results, summary } = await harness.post(installLine(1) + installLine(2) + installLine(3));
    results.sort((a, b) => a.line - b.line);
    assert.deepEqual(
      results.map(({ status, bypassed }) => [status, bypassed]),
      [
        ["fib_programmed", ["kernel"]],
        ["fib_programmed", undefined],
        ["fib_failed", ["kernel"]],
      ],
    );
    assert.deepEqual([summary.fibProgrammed, summary.fibFailed, summary.bypassed], [2, 1, 2]);
  });

  it("gives a plugin's refusal with its own code and hint", async () => {
    const refusal = { code: "BOGON", message: "a private prefix", hint: "see RFC 1918" };
    harness.kernel.answer = (io, slot) => io.contexts.fail(slot, DplaneError.PROVIDER_REFUSED, formatRefusal(refusal));
    const { results } = await harness.post(installLine(1));
    assert.deepEqual(results[0]?.error, refusal);
    assert.equal(results[0]?.waitingFor, undefined, "only another plugin would take it");
    harness.kernel.answer = (io, slot) => io.contexts.fail(slot, DplaneError.NO_VERDICT, "filter is down");
    const again = await harness.post(installLine(2));
    assert.deepEqual(again.results[0]?.error, { code: "NO_VERDICT", message: "filter is down" });
    assert.equal(again.results[0]?.waitingFor, "provider");
  });

  it("sends only what ack asks for, and counts everything", async () => {
    harness.kernel.answer = (io, slot) =>
      io.contexts.u8[slot * 256 + 67] === 2 ? io.contexts.fail(slot, 5, "no") : io.contexts.succeed(slot);
    const body = `${installLine(1)}${installLine(2)}nonsense\n`;
    const errors = await harness.post(body, { query: "?ack=errors" });
    assert.deepEqual(errors.results.map(({ line }) => line).sort(), [2, 3]);
    const none = await harness.post(body, { query: "?ack=none" });
    assert.deepEqual(none.results, []);
    for (const { summary } of [errors, none]) {
      assert.deepEqual([summary.fibProgrammed, summary.fibFailed, summary.rejected], [1, 1, 1]);
    }
  });

  it("reports updates that a later one of the same route replaced in the queue", async () => {
    harness.kernel.holds = true;
    const pending = harness.post(installLine(1) + installLine(1, { tag: 1 }) + installLine(1, { tag: 2 }));
    await until("all three are admitted", () => harness.dataplane.pool.size - harness.dataplane.pool.free === 3);
    harness.kernel.release();
    const { results, summary } = await pending;
    assert.deepEqual(
      results.map(({ line, status }) => [line, status]),
      [
        [1, "fib_programmed"],
        [2, "superseded"],
        [3, "fib_programmed"],
      ],
    );
    assert.equal(summary.superseded, 1);
  });

  it("keeps every context and the session when many times the queue's limit comes through", async () => {
    let body = "";
    for (let number = 0; number < 5000; number++) body += installLine(number);
    const { results, summary } = await harness.post(body);
    assert.equal(summary.fibProgrammed, 5000);
    assert.equal(new Set(results.map(({ line }) => line)).size, 5000);
    assert.equal(harness.dataplane.pool.free, harness.dataplane.pool.size);
    assert.ok(harness.dataplane.snapshot().queueMax <= 64);
    assert.equal(harness.rib.counts().ipv4, 5000);
  });

  for (const [when, isFinishing] of [
    ["the dataplane takes no more", true],
    ["the dataplane still takes the daemon's own withdrawals", false],
  ] as const) {
    it(`rejects what comes after the shutdown has begun, and still sends the summary: ${when}`, () =>
      rejectsDuringShutdown(isFinishing));
  }

  async function rejectsDuringShutdown(isFinishing: boolean): Promise<void> {
    harness.kernel.holds = true;
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const request = new Request("http://localhost/v1/routes", {
      method: "POST",
      body: readable,
      duplex: "half",
      headers: { "content-type": "application/x-ndjson" },
    } as RequestInit);
    const response = await harness.app.request(request);
    const text = response.text();
    await writer.write(new TextEncoder().encode(installLine(1)));
    await until("the first is under way", () => harness.dataplane.snapshot().routeUpdates === 1);
    if (isFinishing) harness.dataplane.preFinish();
    harness.shutdown.abort();
    await writer.write(new TextEncoder().encode(installLine(2)));
    harness.kernel.release();
    // The body is never ended: the stream is to come to its end by itself.
    const lines = (await text)
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const byLine = new Map(lines.slice(0, -1).map((line) => [line.line, line]));
    assert.equal(byLine.get(1).status, "fib_programmed");
    assert.equal(byLine.get(2).error.code, "SHUTTING_DOWN");
    assert.deepEqual([lines.at(-1).summary.received, lines.at(-1).summary.rejected], [2, 1]);
  }

  it("leaves the body unread while the queue is full", async () => {
    harness.kernel.holds = true;
    let pulled = 0;
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          // With an MTU they get no nexthop object, the writing of which would be counted as well.
          controller.enqueue(new TextEncoder().encode(installLine(pulled, { mtu: 1400 })));
          pulled += 1;
        },
      },
      { highWaterMark: 0 },
    );
    const { pool } = harness.dataplane;
    const response = await harness.app.request(
      new Request("http://localhost/v1/routes", { method: "POST", body, duplex: "half" } as RequestInit),
    );
    await until(
      "nothing more is admitted",
      isStill(() => harness.dataplane.snapshot().routeUpdates),
    );
    const admitted = harness.dataplane.snapshot().routeUpdates;
    assert.ok(admitted > 0 && admitted <= pool.size);
    assert.ok(pulled <= admitted + 2, `${pulled} chunks were pulled for ${admitted} updates`);
    // The client goes away: what was admitted is carried out, and nothing stays behind.
    await response.body!.cancel();
    harness.kernel.release();
    await until("all contexts are back", () => pool.free === pool.size);
    assert.equal(harness.rib.counts().ipv4, admitted);
  });

  const OF_EACH_LENGTH = 500;
  /** More prefixes than there are contexts, of two lengths, the shorter first. */
  const WITHDRAWN = [16, 24].flatMap((length) =>
    Array.from({ length: OF_EACH_LENGTH }, (_, number) => `${10 + (number >> 8)}.${number & 255}.0.0/${length}`),
  );
  const ALL = WITHDRAWN.length;
  const withdrawalLines = (prefixes: readonly string[]): string =>
    prefixes.map((prefix) => `${JSON.stringify({ op: "delete", prefix })}\n`).join("");
  const installLines = (prefixes: readonly string[]): string =>
    prefixes.map((prefix) => `${JSON.stringify({ prefix, type: "blackhole" })}\n`).join("");

  const admitted = (): number => harness.dataplane.snapshot().routeUpdates;

  it("takes withdrawals in while the queue is full, and has the longest admitted first, before what follows", async () => {
    await harness.post(installLines(WITHDRAWN));
    const told: number[] = [];
    harness.kernel.holds = true;
    harness.kernel.answer = (io, slot) => {
      told.push(io.contexts.getU32(slot, U32.LINE));
      io.contexts.succeed(slot);
    };
    // The prefix that waits longest is wanted again.
    const again = WITHDRAWN[OF_EACH_LENGTH - 1]!;
    const pending = harness.post(withdrawalLines(WITHDRAWN) + installLines([again]));
    await until("nothing more is admitted", isStill(admitted));
    harness.kernel.release();
    const { results, summary } = await pending;
    assert.deepEqual([summary.fibProgrammed, results.length], [ALL + 1, ALL + 1]);
    assert.equal(new Set(results.map(({ line }) => line)).size, ALL + 1);
    assert.equal(harness.rib.counts().ipv4, 1);
    assert.equal(told.pop(), ALL + 1);
    // Those of one length in their order; the longer ones before all that could wait for them.
    const lines = Array.from({ length: OF_EACH_LENGTH }, (_, index) => index + 1);
    const isLonger = (line: number): boolean => line > OF_EACH_LENGTH;
    assert.deepEqual(
      told.filter(isLonger),
      lines.map((line) => OF_EACH_LENGTH + line),
    );
    assert.deepEqual(
      told.filter((line) => !isLonger(line)),
      lines,
    );
    const waiting = ALL - 1 - told.findLastIndex(isLonger);
    assert.ok(waiting > 100, `${waiting} waited for longer ones`);
    assert.equal(harness.dataplane.pool.free, harness.dataplane.pool.size);
  });

  it("rejects withdrawals that wait when the shutdown begins, each with a result", async () => {
    await harness.post(installLines(WITHDRAWN));
    harness.kernel.holds = true;
    const pending = harness.post(withdrawalLines(WITHDRAWN));
    await until("nothing more is admitted", isStill(admitted));
    harness.dataplane.preFinish();
    harness.shutdown.abort();
    harness.kernel.release();
    const { results, summary } = await pending;
    assert.deepEqual([results.length, summary.received, summary.fibProgrammed + summary.rejected], [ALL, ALL, ALL]);
    assert.ok(summary.rejected > 100, `${summary.rejected} were rejected`);
    const codes = new Set(results.filter(({ status }) => status === "rejected").map(({ error }) => error?.code));
    assert.deepEqual([...codes], ["SHUTTING_DOWN"]);
  });

  it("forgets withdrawals that wait when their client goes away: it may be back, and want them", async () => {
    await harness.post(installLines(WITHDRAWN));
    harness.kernel.holds = true;
    const response = await harness.app.request("/v1/routes", { method: "POST", body: withdrawalLines(WITHDRAWN) });
    await until("nothing more is admitted", isStill(admitted));
    await response.body!.cancel();
    harness.kernel.release();
    await until("all contexts are back", () => harness.dataplane.pool.free === harness.dataplane.pool.size);
    const left = harness.rib.counts().ipv4;
    assert.ok(left > 100 && left < ALL, `${left} routes are left`);
    const { summary } = await harness.post(withdrawalLines(WITHDRAWN));
    assert.deepEqual([summary.received, summary.fibProgrammed], [ALL, ALL]);
    assert.equal(harness.rib.counts().ipv4, 0);
  });

  it("does not read on from a client that takes no results", async () => {
    let pulled = 0;
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          let chunk = "";
          for (let line = 0; line < 100; line++) chunk += installLine(pulled++);
          controller.enqueue(new TextEncoder().encode(chunk));
        },
      },
      { highWaterMark: 0 },
    );
    const response = await harness.app.request(
      new Request("http://localhost/v1/routes", { method: "POST", body, duplex: "half" } as RequestInit),
    );
    await until(
      "it reads no further",
      isStill(() => pulled),
    );
    const unsentLimit = 256 * 1024;
    const resultLength = '{"line":1000,"op":"install","prefix":"10.0.0.1/32","table":254,"status":"fib_programmed"}\n'
      .length;
    assert.ok(pulled < unsentLimit / resultLength + 1000, `${pulled} updates were read`);
    await response.body!.cancel();
  });

  it("has its garbage collected as it goes through a large body", async () => {
    let collections = 0;
    const counted = await createHarness({ parts: { collectGarbage: () => collections++ } });
    const piece = new TextEncoder().encode(" \n".repeat(2048).padEnd(COLLECT_BYTES / 4));
    let pieces = 0;
    const body = new ReadableStream({
      pull: (controller) => (++pieces > 13 ? controller.close() : controller.enqueue(piece.slice())),
    });
    try {
      const request = { method: "POST", body, duplex: "half" } as const;
      await (await counted.app.request("/v1/routes", request)).text();
      assert.equal(collections, 3);
      await counted.post(installLine(1));
      assert.equal(collections, 3);
    } finally {
      await counted.close();
    }
  });

  it("lets the event loop run while it works through one large chunk", async () => {
    let turns = 0;
    let isRunning = true;
    const count = (): void => {
      turns += 1;
      if (isRunning) setImmediate(count);
    };
    setImmediate(count);
    const lines = 50_000;
    const { summary } = await harness.post("nonsense\n".repeat(lines), { query: "?ack=none" });
    isRunning = false;
    assert.equal(summary.rejected, lines);
    // However fast the machine: in less than 10,000 lines a slice is over.
    assert.ok(turns > lines / 10_000, `the event loop ran ${turns} times`);
  });

  it("refuses what it cannot honour with a problem", async () => {
    const cases: [string, string, number, RegExp][] = [
      ["?dryRun=yes", "", 400, /dryRun cannot be "yes"/],
      ["?ack=some", "", 400, /ack cannot be "some"/],
      ["?onwer=x", "", 400, /There is no parameter "onwer"/],
      ["?owner=a&owner=b", "", 400, /more than once/],
      ["?owner=%20", "", 400, /no name of an owner/],
      ["", "image/png", 415, /cannot be image\/png/],
    ];
    for (const [query, contentType, status, detail] of cases) {
      const headers = contentType === "" ? {} : { "content-type": contentType };
      const response = await harness.app.request(`/v1/routes${query}`, { method: "POST", body: "", headers });
      assert.equal(response.status, status);
      assert.equal(response.headers.get("content-type"), "application/problem+json");
      const problem = (await response.json()) as { detail: string; title: string; status: number };
      assert.match(problem.detail, detail);
      assert.equal(problem.status, status);
    }
  });

  it("tells the owner apart", async () => {
    await harness.post(installLine(1), { query: "?owner=bird" });
    await harness.post(installLine(2));
    assert.deepEqual(
      harness.rib.owners.values().map(({ name }) => name),
      ["bird", "default"],
    );
  });
});
