/** HTTP: bytes over a connection, and event streams as the command line reads them. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readLines } from "../../../core/northbound/cli/client.ts";
import { readEvents, type ServerEvent } from "../../../core/northbound/cli/event_stream.ts";
import { formatEvent } from "../../../core/northbound/events.ts";
import { judgeRequest } from "../../../core/northbound/request_gate.ts";
import { startServer } from "../../../core/northbound/server.ts";
import { createHarness } from "../../support/api_harness.ts";
import { corpusOf, cut, type FuzzTarget, mutate } from "../../support/fuzz.ts";
import { createQuietLog } from "../../support/quiet_log.ts";
import { until } from "../../support/wait.ts";

const UPDATE = '{"prefix":"203.0.113.0/24","type":"blackhole"}\n';
const chunked = (...texts: string[]): string =>
  `${texts.map((text) => `${text.length.toString(16)}\r\n${text}\r\n`).join("")}0\r\n\r\n`;
const HOST = "host: localhost\r\nconnection: close\r\n";

const REQUESTS = [
  `GET /healthz HTTP/1.1\r\n${HOST}\r\n`,
  `GET /v1/routes?prefix=10.0.0.0/8&longer=true&limit=1 HTTP/1.1\r\n${HOST}accept: application/x-ndjson\r\n\r\n`,
  `POST /v1/routes?dryRun=true HTTP/1.1\r\n${HOST}content-type: application/x-ndjson\r\ncontent-length: ${UPDATE.length}\r\n\r\n${UPDATE}`,
  `POST /v1/routes?dryRun=true&ack=errors HTTP/1.1\r\n${HOST}transfer-encoding: chunked\r\n\r\n${chunked(UPDATE, UPDATE)}`,
  `PUT /v1/owners/a/routes?dryRun=true HTTP/1.1\r\n${HOST}transfer-encoding: chunked\r\n\r\n${chunked(UPDATE)}`,
  `GET /v1/lookup?address=10.0.0.1 HTTP/1.0\r\nhost: localhost\r\n\r\n`,
  `PUT /v1/nexthop-groups/7 HTTP/1.1\r\n${HOST}content-length: 33\r\n\r\n{"members":[{"via":"10.0.0.2"}]}\n`,
  `GET / HTTP/1.1\r\n${HOST}origin: http://localhost\r\nsec-fetch-site: same-origin\r\n\r\nGET /metrics HTTP/1.1\r\n${HOST}\r\n`,
];
const WORDS = [
  "\r\n",
  "\r\n\r\n",
  "\n",
  "transfer-encoding: chunked\r\n",
  "content-length: 5\r\n",
  "host: a\r\n",
  "HTTP/1.0",
  "HTTP/2.0",
  "%00",
  "%2e%2e/",
  "http://localhost/",
  "OPTIONS ",
  "DELETE ",
  "expect: 100-continue\r\n",
  "upgrade: websocket\r\n",
  "?",
  "&owner=",
  "0\r\n\r\n",
  "ffffffff\r\n",
];
const STATUSES = [
  100, 200, 201, 202, 204, 400, 401, 403, 404, 405, 408, 409, 413, 414, 415, 417, 421, 422, 429, 431, 501, 505,
];

/** Whatever comes over a connection, the server ends it with an answer of HTTP or none, and goes on serving. */
export function httpTarget(): FuzzTarget {
  const corpus = corpusOf(REQUESTS);
  return {
    name: "http",
    reads: [
      "core/northbound/server.ts",
      "core/northbound/request_gate.ts",
      "core/northbound/query.ts",
      "core/northbound/client_error.ts",
    ],
    smoke: 400,
    open: async () => {
      const directory = mkdtempSync(join(tmpdir(), "dplaned-fuzz-"));
      const harness = await createHarness({ queueLimit: 1024 });
      const log = createQuietLog();
      const server = await startServer({
        fetch: (request, environment) => harness.app.fetch(request, environment),
        socketPath: join(directory, "dplaned.sock"),
        http: { host: "127.0.0.1", port: 0 },
        rate: 0,
        log,
        environment: {},
        timeouts: { headersMs: 200, stallMs: 5000 },
      });
      const exchange = async (bytes: readonly Uint8Array[], isUnix: boolean): Promise<string> => {
        const socket = isUnix ? connect(server.socketPath) : connect(server.http!.port, "127.0.0.1");
        let text = "";
        let isClosed = false;
        socket.on("error", () => {});
        socket.on("data", (piece) => {
          text += String(piece);
        });
        socket.on("close", () => {
          isClosed = true;
        });
        for (const chunk of bytes) socket.write(chunk);
        socket.end();
        await until("the connection ends", () => isClosed);
        return text;
      };
      let cases = 0;
      return {
        run: async (prng, feed) => {
          const bytes = mutate(prng, prng.pick(corpus), corpus, WORDS);
          feed(bytes);
          const answer = await exchange(cut(prng, bytes), prng.chance(0.5));
          const statuses = [...answer.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) => Number(status));
          for (const status of statuses)
            assert.ok(STATUSES.includes(status), `status ${status}: ${answer.slice(0, 500)}`);
          const errors = [...harness.log.records, ...log.records].filter(({ level }) => level === "error");
          assert.deepEqual(errors, []);
          cases += 1;
          if (cases % 50 === 0) {
            const alive = await exchange(corpusOf([REQUESTS[0]!]), false);
            assert.match(alive, /"status":"ok"/);
          }
          return statuses.length > 0 && statuses[0]! < 300;
        },
        close: async () => {
          harness.shutdown.abort();
          await server.close(0);
          await harness.close();
          rmSync(directory, { recursive: true });
        },
      };
    },
  };
}

const NAMES = [
  "host",
  "Host",
  "content-length",
  "transfer-encoding",
  "origin",
  "sec-fetch-site",
  "sec-fetch-mode",
  "authorization",
  "x",
];
const VALUES = [
  "localhost",
  "localhost:2680",
  "evil.example",
  "127.0.0.1",
  "[::1]:1",
  "",
  "0",
  "5",
  "-1",
  "chunked",
  "gzip, chunked",
  "http://localhost",
  "null",
  "https://evil.example",
  "cross-site",
  "same-origin",
  "navigate",
  "no-cors",
  "Bearer x",
];

/** The gate decides about any head, and a head for another name never passes over TCP. */
export function gateTarget(): FuzzTarget {
  return {
    name: "request-gate",
    reads: ["core/northbound/request_gate.ts"],
    smoke: 2000,
    open: () => ({
      run: (prng, feed) => {
        const rawHeaders: string[] = prng.chance(0.7) ? ["host", "localhost:2680"] : [];
        for (let count = prng.below(4); count > 0; count--) rawHeaders.push(prng.pick(NAMES), prng.pick(VALUES));
        const head = {
          method: prng.pick(["GET", "POST", "PUT", "HEAD", "OPTIONS"]),
          url: prng.pick(["/", "/v1/routes", "http://localhost/", "http://evil.example/", "*"]),
          httpVersion: prng.pick(["1.1", "1.1", "1.1", "1.0", "2.0"]),
          rawHeaders,
        };
        feed(new TextEncoder().encode(JSON.stringify(head)));
        const overTcp = judgeRequest(head, "tcp", []);
        const overUnix = judgeRequest(head, "unix", []);
        // TCP is never laxer.
        if (overTcp === null) assert.equal(overUnix, null);
        const hosts = rawHeaders.filter((_, index) => index % 2 === 1 && /^host$/i.test(rawHeaders[index - 1]!));
        if (overTcp === null) assert.ok(hosts.length === 1 && !/evil/.test(hosts[0]!) && hosts[0] !== "");
        return overTcp === null;
      },
    }),
  };
}

/** Events come through any cutting of their bytes, and nonsense between them is passed over. */
export function eventTarget(): FuzzTarget {
  const events = [
    formatEvent("result", { time: 1, prefix: "203.0.113.0/24", text: "line\nbreak é" }),
    formatEvent("health", { ready: true }),
    ": comment\n\n",
    "data: a\ndata:b\n\n",
    "id: 7\nretry: 5\nevent:x\n\n",
  ];
  const corpus = corpusOf([...events, events.join("")]);
  const read = async (chunks: readonly Uint8Array[]): Promise<ServerEvent[]> => {
    const source = (async function* () {
      yield* chunks;
    })();
    return Array.fromAsync(readEvents(readLines(source)));
  };
  return {
    name: "events",
    reads: ["core/northbound/cli/event_stream.ts", "core/northbound/cli/client.ts"],
    smoke: 1000,
    open: () => ({
      run: async (prng, feed) => {
        const bytes = mutate(prng, prng.pick(corpus), corpus, ["\n", "\n\n", "\r\n", "data", "event: ", ":"]);
        feed(bytes);
        const whole = await read([bytes]);
        assert.deepEqual(await read(cut(prng, bytes)), whole);
        for (const { name, data } of whole) assert.ok(name !== "" && !name.includes("\n") && typeof data === "string");
        return whole.length > 0;
      },
    }),
  };
}
