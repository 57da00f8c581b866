/** What the sockets do not put up with, and that nobody else notices. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { NorthboundCounters, type RefusalReason } from "../../../core/northbound/counters.ts";
import { type NorthboundServer, type ServerOptions, startServer } from "../../../core/northbound/server.ts";
import { OWNER_SETTINGS } from "../../../core/rib/owners.ts";
import { createHarness, type Harness, installLine } from "../../support/api_harness.ts";
import { createQuietLog } from "../../support/quiet_log.ts";
import { until } from "../../support/wait.ts";

let directory: string;
let harness: Harness;
let counters: NorthboundCounters;
let server: NorthboundServer | undefined;
const sockets: Socket[] = [];

async function start(overrides: Partial<ServerOptions> = {}): Promise<void> {
  server = await startServer({
    fetch: (request, environment) => harness.app.fetch(request, environment),
    socketPath: join(directory, "dplaned.sock"),
    http: { host: "127.0.0.1", port: 0 },
    log: createQuietLog(),
    counters,
    environment: {},
    ...overrides,
  });
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "dplaned-test-"));
  counters = new NorthboundCounters();
  harness = await createHarness({ queueLimit: 1024, parts: { counters } });
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  harness.shutdown.abort();
  await server?.close(0);
  server = undefined;
  await harness.close();
  rmSync(directory, { recursive: true, force: true });
});

interface Client {
  socket: Socket;
  text: () => string;
  isClosed: () => boolean;
}

/** A connection with all that has come over it. */
function open(text: string, isUnix = false): Client {
  const socket = isUnix ? connect(server!.socketPath) : connect(server!.http!.port, "127.0.0.1");
  sockets.push(socket);
  let received = "";
  let isClosed = false;
  socket.on("error", () => {});
  socket.on("data", (piece) => {
    received += String(piece);
  });
  socket.on("close", () => {
    isClosed = true;
  });
  socket.write(text);
  return { socket, text: () => received, isClosed: () => isClosed };
}

const HEALTH = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";

/** The status of the one answer that comes, and whether the connection ends with it. */
async function answerOf(client: Client): Promise<number> {
  await until("it is answered", () => /\r\n\r\n/.test(client.text()));
  return Number(/^HTTP\/1\.1 (\d+)/.exec(client.text())![1]);
}

async function works(isUnix = false): Promise<void> {
  assert.equal(await answerOf(open(HEALTH, isUnix)), 200);
}

function refused(reason: RefusalReason): number {
  return counters.refused[reason];
}

describe("connections", () => {
  it("beyond the limit of one address are answered with 503 and ended, and the unix socket works on", async () => {
    await start({ connections: 10 });
    const first = Array.from({ length: 5 }, () => open(HEALTH));
    for (const client of first) assert.equal(await answerOf(client), 200);
    const sixth = open(HEALTH);
    assert.equal(await answerOf(sixth), 503);
    assert.match(sixth.text(), /application\/problem\+json[\s\S]*too many connections/);
    await until("it is ended", sixth.isClosed);
    assert.equal(refused("connections"), 1);
    assert.equal(counters.connections.tcp(), 5);
    await works(true);
    first[0]!.socket.destroy();
    await until("its place is free", () => counters.connections.tcp() === 4);
    await works();
  });

  it("that bring no request are ended, and those with one are not", async () => {
    await start({ timeouts: { headersMs: 200, stallMs: 60_000 } });
    const events = open("GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert.equal(await answerOf(events), 200);
    const silent = open("");
    const slow = open("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: ");
    const timer = setInterval(() => slow.socket.write("a"), 20);
    try {
      await until("both are ended", () => silent.isClosed() && slow.isClosed());
    } finally {
      clearInterval(timer);
    }
    assert.ok(refused("timeout") >= 2);
    assert.equal(events.isClosed(), false);
  });

  it("whose client does not read its answer are ended; a stream of updates is not", async () => {
    await start({ timeouts: { headersMs: 400, stallMs: 300 } });
    for (let number = 0; number < 30_000; number += 1000) {
      await harness.sync(`o${number}`, Array.from({ length: 1000 }, (_, line) => installLine(number + line)).join(""));
    }
    harness.rib.owners.configure([{ name: "bgp", ...OWNER_SETTINGS, token: "token" }]);
    const updates = open(
      "POST /v1/routes?owner=bgp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer token\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    assert.equal(await answerOf(updates), 200);
    // Asked for often enough that no buffer holds all the answers.
    const list = "GET /v1/routes HTTP/1.1\r\nhost: localhost\r\naccept: application/x-ndjson\r\n\r\n".repeat(20);
    const stalled = open(list);
    stalled.socket.pause();
    await until("it is ended", () => refused("timeout") === 1);
    stalled.socket.resume();
    await until("its client sees it", stalled.isClosed);
    assert.equal(updates.isClosed(), false);
  });
});

describe("requests over TCP", () => {
  it("beyond the rate are answered with 429 and when to come again, but not those that may write", async () => {
    await start({ rate: 5 });
    harness.rib.owners.configure([{ name: "bgp", ...OWNER_SETTINGS, token: "token" }]);
    const write =
      "DELETE /v1/owners/bgp/routes HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer token\r\ncontent-length: 0\r\n\r\n";
    for (let count = 0; count < 50; count++) assert.equal(await answerOf(open(write)), 200);
    let last = open(HEALTH);
    for (let count = 0; count < 100 && (await answerOf(last)) === 200; count++) last = open(HEALTH);
    assert.equal(await answerOf(last), 429);
    assert.match(last.text(), /retry-after: 1\r\n/i);
    assert.ok(refused("rate") > 0);
    await works(true);
  });

  it("with headers that are too long are answered with 431, and the connection is ended", async () => {
    await start();
    const client = open(`GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: ${"a".repeat(20_000)}\r\n\r\n`);
    assert.equal(await answerOf(client), 431);
    await until("it is ended", client.isClosed);
    const many = open(`GET / HTTP/1.1\r\nhost: localhost\r\n${"x: 1234\r\n".repeat(5000)}\r\n`);
    assert.equal(await answerOf(many), 431);
    assert.equal(await answerOf(open(`GET /${"a".repeat(9000)} HTTP/1.1\r\nhost: localhost\r\n\r\n`)), 414);
    await works();
  });

  it("that are no HTTP are answered with 400, and what comes behind them is not read", async () => {
    await start();
    for (const text of [
      "\x16\x03\x01\x00\xff\r\n\r\n",
      "POST /v1/routes HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST /v1/routes HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcde",
      "POST /v1/routes HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
      "GET /healthz HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n\r\n",
      "GET /healthz HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\r\nabc",
      "GET http://evil.example/healthz HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ]) {
      const client = open(text + HEALTH);
      assert.equal(await answerOf(client), 400, text);
      await until("it is ended", client.isClosed);
      assert.equal(client.text().split("HTTP/1.1 ").length, 2, `one answer to ${JSON.stringify(text)}`);
    }
    assert.ok(refused("malformed") >= 7);
    await works();
  });

  it("with a wrong token are refused without a look at it after ten of them", async () => {
    await start();
    harness.rib.owners.configure([
      { name: "bgp", ...OWNER_SETTINGS, token: "token" },
      { name: "other", ...OWNER_SETTINGS, token: "token" },
    ]);
    const attempt = (owner: string, token: string): Promise<number> => {
      const head = `DELETE /v1/owners/${owner}/routes HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n`;
      return answerOf(open(`${head}authorization: Bearer ${token}\r\n\r\n`));
    };
    for (let count = 0; count < 10; count++) assert.equal(await attempt("bgp", `guess${count}`), 401);
    assert.equal(await attempt("bgp", "guess"), 429);
    assert.equal(await attempt("bgp", "token"), 429);
    assert.equal(await attempt("other", "token"), 200);
    assert.equal(refused("credentials"), 12);
  });
});
