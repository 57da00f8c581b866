import assert from "node:assert/strict";
import { existsSync, lstatSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { HealthJson, ProblemJson, ResultJson, SummaryLineJson } from "../../../core/northbound/api_types.ts";
import { type NorthboundServer, type ServerOptions, startServer } from "../../../core/northbound/server.ts";
import { OWNER_SETTINGS } from "../../../core/rib/owners.ts";
import { createHarness, type Harness, installLine } from "../../support/api_harness.ts";
import { createQuietLog } from "../../support/quiet_log.ts";
import { until } from "../../support/wait.ts";

let directory: string;
let socketPath: string;
let harness: Harness;
let server: NorthboundServer;

function options(overrides: Partial<ServerOptions> = {}): ServerOptions {
  return {
    fetch: (request, environment) => harness.app.fetch(request, environment),
    socketPath,
    http: { host: "127.0.0.1", port: 0 },
    log: createQuietLog(),
    environment: {},
    ...overrides,
  };
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "dplaned-test-"));
  socketPath = join(directory, "run", "dplaned.sock");
  harness = await createHarness({ queueLimit: 1024 });
  server = await startServer(options());
});

afterEach(async () => {
  harness.shutdown.abort();
  harness.kernel.release();
  await server.close(0);
  await harness.close();
  rmSync(directory, { recursive: true, force: true });
});

interface Answer {
  status: number;
  text: string;
}

function call(method: string, path: string, body = "", target: object = { socketPath }): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ ...target, method, path, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (piece: string) => {
        text += piece;
      });
      response.on("end", () => resolve({ status: response.statusCode!, text }));
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}

const overTcp = (): object => ({ host: server.http!.host, port: server.http!.port });

/** A connection on which a streamed body has been begun. */
function openBody(path = "/v1/routes"): Socket {
  const socket = connect(socketPath);
  socket.on("error", () => {});
  socket.write(
    `POST ${path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-type: application/x-ndjson\r\n\r\n`,
  );
  return socket;
}

const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;

/** Writes as fast as the other side takes it, until it has taken nothing for many turns; returns the bytes it took. */
async function writeUntilStuck(socket: Socket, next: () => string): Promise<number> {
  let still = 0;
  let before = -1;
  await until("the server takes no more", () => {
    if (!socket.writableNeedDrain) socket.write(next());
    const taken = socket.bytesWritten;
    still = taken === before ? still + 1 : 0;
    before = taken;
    return still > 3000;
  });
  return socket.bytesWritten;
}

describe("the unix socket", () => {
  it("is made with its directory, open to owner and group only, and gone after the end", async () => {
    assert.equal(lstatSync(socketPath).mode & 0o777, 0o660);
    assert.equal((await call("GET", "/healthz")).status, 200);
    await server.close(1000);
    assert.equal(existsSync(socketPath), false);
  });

  it("is not taken from a daemon that answers there", async () => {
    await assert.rejects(startServer(options()), /^Error: Cannot listen on .*: another dplaned answers there; stop it/);
    assert.equal((await call("GET", "/healthz")).status, 200);
  });

  it("replaces a socket whose daemon was killed", async () => {
    const path = join(directory, "stale.sock");
    // A process that ends without closing leaves the file; moving it away from under a closing server does the same.
    const script = `require("net").createServer().listen(${JSON.stringify(path)},()=>process.kill(process.pid,"SIGKILL"))`;
    const { spawnSync } = await import("node:child_process");
    const command =
      "Deno" in globalThis
        ? ["eval", `const require=(await import("node:module")).createRequire("/");${script}`]
        : ["-e", script];
    spawnSync(process.execPath, command, { env: { ...process.env, DENO_NO_UPDATE_CHECK: "1" } });
    assert.ok(lstatSync(path).isSocket(), "a stale socket is there");
    const second = await startServer(options({ socketPath: path, http: null }));
    assert.equal((await call("GET", "/healthz", "", { socketPath: path })).status, 200);
    assert.equal(second.http, null);
    await second.close(1000);
  });

  it("leaves files and links at its path alone", async () => {
    const file = join(directory, "file");
    writeFileSync(file, "precious");
    await assert.rejects(startServer(options({ socketPath: file })), /something else than a socket is there/);
    const link = join(directory, "link");
    symlinkSync(socketPath, link);
    await assert.rejects(startServer(options({ socketPath: link })), /a symbolic link is there/);
    assert.ok(existsSync(file) && existsSync(link));
  });

  it("needs a path that fits, a directory that can be made, and no sockets of systemd", async () => {
    const long = join(directory, "x".repeat(108));
    await assert.rejects(startServer(options({ socketPath: long })), /bytes, and 107 are possible/);
    const file = join(directory, "file");
    writeFileSync(file, "");
    await assert.rejects(
      startServer(options({ socketPath: join(file, "s", "t") })),
      /its directory cannot be made: ENOTDIR/,
    );
    await assert.rejects(startServer(options({ environment: { LISTEN_FDS: "1" } })), /LISTEN_FDS is set/);
  });

  it("is closed again when the TCP address cannot be had", async () => {
    const other = join(directory, "other.sock");
    const taken = { host: "127.0.0.1", port: server.http!.port };
    await assert.rejects(
      startServer(options({ socketPath: other, http: taken })),
      new RegExp(`Cannot listen on 127\\.0\\.0\\.1:${taken.port}: EADDRINUSE \\(another program listens there\\)`),
    );
    await until("the socket is gone", () => !existsSync(other));
  });
});

describe("TCP", () => {
  it("reads, and refuses to write with the reason", async () => {
    assert.equal((await call("GET", "/healthz", "", overTcp())).status, 200);
    assert.equal((await call("GET", "/metrics", "", overTcp())).status, 200);
    const { status, text } = await call("POST", "/v1/routes", installLine(1), overTcp());
    assert.equal(status, 403);
    assert.match((JSON.parse(text) as ProblemJson).hint!, /unix socket/);
    assert.equal(harness.dataplane.snapshot().routeUpdates, 0);
  });

  it("answers what is no request with a problem, and goes on", async () => {
    const socket = connect(server.http!.port, "127.0.0.1");
    let text = "";
    socket.on("data", (piece) => {
      text += String(piece);
    });
    socket.write("GET /healthz HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n");
    await until("it is answered", () => text.includes("400"));
    socket.destroy();
    assert.equal((await call("GET", "/healthz", "", overTcp())).status, 200);
  });
});

describe("a full-state sync over the socket", () => {
  const head = (extra: string) => `PUT /v1/owners/bgp/routes HTTP/1.1\r\nhost: localhost\r\n${extra}\r\n\r\n`;
  const LENGTH = "content-length: 100000";
  const CHUNKED = "transfer-encoding: chunked";
  const lines = installLine(2) + installLine(3);

  for (const [how, begin, leave] of [
    ["is closed in a body of known length", head(LENGTH) + lines, (socket: Socket) => socket.end()],
    ["is destroyed in a body of known length", head(LENGTH) + lines, (socket: Socket) => socket.destroy()],
    ["is reset in a body of known length", head(LENGTH) + lines, (socket: Socket) => socket.resetAndDestroy()],
    ["is closed between chunks", head(CHUNKED) + chunk(lines), (socket: Socket) => socket.end()],
    ["is destroyed between chunks", head(CHUNKED) + chunk(lines), (socket: Socket) => socket.destroy()],
    ["is reset between chunks", head(CHUNKED) + chunk(lines), (socket: Socket) => socket.resetAndDestroy()],
    ["is closed in a chunk", head(CHUNKED) + chunk(lines).slice(0, -40), (socket: Socket) => socket.end()],
    ["breaks the chunks' form", `${head(CHUNKED) + chunk(lines)}zz\r\n`, () => {}],
  ] as const) {
    it(`changes nothing when the connection ${how}`, async () => {
      await harness.sync("bgp", installLine(1));
      const overTcp = how.includes("reset");
      const socket = overTcp ? connect(server.http!.port, "127.0.0.1") : connect(socketPath);
      socket.on("error", () => {});
      harness.rib.owners.configure([{ name: "bgp", ...OWNER_SETTINGS, token: overTcp ? "t" : null }]);
      socket.write(overTcp ? begin.replace("host: localhost", "host: localhost\r\nauthorization: Bearer t") : begin);
      const owner = harness.rib.owners.find("bgp")!;
      if (leave.length > 0) await until("it has been read", () => harness.rib.counts().ipv4 > 1);
      leave(socket);
      await until(
        "it is over",
        () => !owner.isSyncing && harness.rib.holds.size === 0 && harness.rib.counts().ipv4 === 1,
      );
      assert.equal(owner.routes, 1);
      assert.equal(harness.dataplane.snapshot().routeUpdates, 1);
      socket.destroy();
    });
  }

  it("is carried out when the connection ends right after the body", async () => {
    await harness.sync("bgp", installLine(1));
    const socket = connect(socketPath);
    socket.on("error", () => {});
    socket.write(head(`content-length: ${lines.length}`) + lines, () => socket.destroy());
    const owner = harness.rib.owners.find("bgp")!;
    await until("it is done", () => owner.routes === 2 && !owner.isSyncing && harness.rib.counts().ipv4 === 2);
  });
});

describe("a stream of updates over the socket", () => {
  it("gets results while its body is still being sent", async () => {
    const socket = openBody();
    let text = "";
    socket.on("data", (piece) => {
      text += String(piece);
    });
    await until("the answer begins before there is any update", () => text.includes("application/x-ndjson"));
    socket.write(chunk(installLine(1)));
    await until("the first result is there", () => text.includes('"line":1,'));
    socket.write(chunk(installLine(2)));
    await until("the second result is there", () => text.includes('"line":2,'));
    socket.write("0\r\n\r\n");
    await until("the summary is there", () => text.includes('"summary":{"received":2,"fibProgrammed":2,'));
    socket.destroy();
  });

  it("brings many routes through, with one result each", async () => {
    const count = 20_000;
    let body = "";
    for (let number = 0; number < count; number++) body += installLine(number);
    const { text } = await call("POST", "/v1/routes", body);
    const lines = text.trimEnd().split("\n");
    const { summary } = JSON.parse(lines.pop()!) as SummaryLineJson;
    assert.equal(summary.fibProgrammed, count);
    assert.equal(new Set(lines.map((line) => (JSON.parse(line) as ResultJson).line)).size, count);
  });

  it("answers a health probe in the middle of a load", async () => {
    const socket = openBody("/v1/routes?ack=none");
    let number = 0;
    let isLoading = true;
    const load = (): void => {
      while (isLoading && !socket.writableNeedDrain) {
        let text = "";
        for (let line = 0; line < 500; line++) text += installLine(number++ % 50_000);
        socket.write(chunk(text));
      }
    };
    socket.on("drain", load);
    load();
    const admitted = (): number => harness.dataplane.snapshot().routeUpdates;
    await until("the load runs", () => admitted() > 1000);
    for (let probe = 0; probe < 5; probe++) {
      const before = admitted();
      const { text } = await call("GET", "/healthz");
      assert.equal((JSON.parse(text) as HealthJson).status, "ok");
      await until("the load goes on", () => admitted() > before);
    }
    isLoading = false;
    socket.destroy();
  });

  it("reads no further from a client that takes no results, and holds little for it", async () => {
    const socket = openBody();
    socket.pause();
    let number = 0;
    const taken = await writeUntilStuck(socket, () => {
      let text = "";
      for (let line = 0; line < 500; line++) text += installLine(number++ % 50_000);
      return chunk(text);
    });
    // 256 KiB of results, what the pool and both sockets hold, and no more, however much there is to send.
    assert.ok(taken < 8 << 20, `${taken} bytes were taken`);
    const before = harness.dataplane.snapshot().routeUpdates;
    assert.equal((await call("GET", "/healthz")).status, 200);
    assert.equal(harness.dataplane.snapshot().routeUpdates, before);
    // Another client is served meanwhile.
    const { text } = await call("POST", "/v1/routes", installLine(60_000));
    assert.match(text, /"fibProgrammed":1/);
    // It goes on where it stopped as soon as the client reads.
    socket.resume();
    await until("the load goes on", () => harness.dataplane.snapshot().routeUpdates > before + 1000);
    socket.destroy();
  });

  it("reads no further while the kernel does not answer", async () => {
    harness.kernel.holds = true;
    const socket = openBody();
    let number = 0;
    const taken = await writeUntilStuck(socket, () => {
      let text = "";
      for (let line = 0; line < 500; line++) text += installLine(number++);
      return chunk(text);
    });
    assert.ok(taken < 4 << 20, `${taken} bytes were taken`);
    assert.ok(harness.dataplane.snapshot().routeUpdates <= harness.dataplane.pool.size);
    socket.destroy();
  });

  it("is carried out as far as it came when its client vanishes, and leaves nothing behind", async () => {
    harness.kernel.holds = true;
    const socket = openBody();
    socket.write(chunk(installLine(1) + installLine(2)));
    await until("both are under way", () => harness.kernel.held === 2);
    socket.destroy();
    const metric = async (name: string): Promise<number> => {
      const { text } = await call("GET", "/metrics");
      return Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)![1]);
    };
    while ((await metric("dplaned_update_streams_open")) > 0) {}
    harness.kernel.release();
    await until("both are done", () => harness.rib.results.fib_programmed === 2);
    assert.equal(await metric("dplaned_update_streams_abandoned_total"), 1);
    assert.equal(harness.dataplane.pool.free, harness.dataplane.pool.size);
    assert.equal(harness.rib.counts().ipv4, 2);
  });

  it("ends with its summary at a shutdown, though its body never does", async () => {
    const socket = openBody();
    let text = "";
    socket.on("data", (piece) => {
      text += String(piece);
    });
    socket.write(chunk(installLine(1)));
    await until("the first result is there", () => text.includes('"line":1,'));
    harness.dataplane.preFinish();
    harness.shutdown.abort();
    socket.write(chunk(installLine(2)));
    const closed = server.close(10_000);
    await until("the summary is there", () => text.includes('"summary"'));
    assert.match(text, /"line":2,.*"code":"SHUTTING_DOWN"/);
    await closed;
  });
});

describe("closing", () => {
  it("waits for requests under way, and breaks them off at the deadline", async () => {
    harness.kernel.holds = true;
    const answer = call("POST", "/v1/routes", installLine(1));
    await until("it is under way", () => harness.kernel.held === 1);
    const closed = server.close(60_000);
    harness.kernel.release();
    assert.match((await answer).text, /"fibProgrammed":1/);
    await closed;

    server = await startServer(options());
    const response = await new Promise<IncomingMessage>((resolve) => {
      httpRequest({ socketPath, path: "/v1/events", agent: false }, resolve).end();
    });
    response.on("error", () => {});
    const over = new Promise((resolve) => response.once("close", resolve));
    response.resume();
    await server.close(0);
    await over;
  });

  it("takes no more connections", async () => {
    await server.close(0);
    const refused = connect(server.http!.port, "127.0.0.1");
    await new Promise((resolve) => refused.once("error", resolve));
    const free = createServer().listen(0);
    free.close();
  });
});

describe("GET /v1/events over the socket", () => {
  it("streams events and lets go of a listener that vanishes", async () => {
    const response = await new Promise<IncomingMessage>((resolve) => {
      httpRequest({ socketPath, path: "/v1/events?types=result", agent: false }, resolve).end();
    });
    let text = "";
    response.setEncoding("utf8");
    response.on("error", () => {});
    response.on("data", (piece: string) => {
      text += piece;
    });
    await until("it listens", () => harness.events.subscribers === 1);
    await call("POST", "/v1/routes", installLine(1));
    await until("the event is there", () => text.includes("event: result\ndata: {"));
    response.destroy();
    await until("the listener is gone", () => harness.events.subscribers === 0);
  });
});
