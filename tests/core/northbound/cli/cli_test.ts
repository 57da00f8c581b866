/** The client commands against a stand-in for the daemon: requests, output and exit statuses. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, describe, it } from "node:test";
import { EXIT_BROKEN_PIPE } from "../../../../core/output.ts";
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

const directory = mkdtempSync(join(tmpdir(), "dplaned-cli-"));
after(() => rmSync(directory, { recursive: true, force: true }));

let daemon: FakeDaemon | undefined;
afterEach(async () => {
  await daemon?.close();
  daemon = undefined;
});

/** Runs a command against a daemon that answers with `handler`. */
async function run(handler: Handler, ...args: string[]) {
  daemon = await startFakeDaemon(handler);
  const io = new CapturedIo();
  const status = await runCommandLine([...args, "--socket", daemon.socketPath], io);
  return { status, out: io.out, err: io.err };
}

const route = {
  prefix: "203.0.113.0/24",
  table: 254,
  metric: 20,
  type: "unicast",
  owner: "default",
  status: "fib_programmed",
};
const routeLine = "203.0.113.0/24 metric 20 [owner default, fib_programmed]\n";

describe("runClient without a daemon", () => {
  it("exits with 3 and says where it looked and what to do", async () => {
    const io = new CapturedIo();
    const path = join(directory, "none.sock");
    assert.equal(await runCommandLine(["show", "dplane", "--socket", path], io), 3);
    assert.equal(
      io.err,
      `dplaned: Cannot reach dplaned at ${path}: ENOENT (is it running? systemctl status dplaned)\n`,
    );
    assert.equal(io.out, "");
  });

  it("exits with 3 where nobody listens at the path", async () => {
    const path = join(directory, "file");
    writeFileSync(path, "");
    const io = new CapturedIo();
    io.environment["DPLANED_DAEMON_SOCKET"] = path;
    assert.equal(await runCommandLine(["route", "list"], io), 3);
    assert.match(io.err, /^dplaned: Cannot reach dplaned at .*\/file: ECONNREFUSED \(is it running\?/);
  });

  it("finds mistakes in words first", async () => {
    const io = new CapturedIo();
    assert.equal(await runCommandLine(["route", "install", "203.0.113.0/24", "vai", "10.0.0.2"], io), 2);
    assert.match(io.err, /^dplaned: .*via/);
  });
});

describe("runClient, what the daemon answers", () => {
  it("prints problems in the daemon's words", async () => {
    const problem = { title: "Forbidden", status: 403, detail: "Owner bgp needs a token", hint: "see token-file" };
    const handler: Handler = (_, response) => answerJson(response, problem, 403, "application/problem+json");
    const { status, err } = await run(handler, "route", "list");
    assert.equal(status, 1);
    assert.equal(err, "dplaned: Forbidden: Owner bgp needs a token (see token-file)\n");
  });

  it("prints the status of an answer that is no problem document", async () => {
    const { status, err } = await run((_, response) => response.writeHead(500).end("<html>"), "show", "dplane");
    assert.equal(status, 1);
    assert.equal(err, "dplaned: dplaned answered with HTTP status 500\n");
  });

  it("says so when the daemon breaks off", async () => {
    const handler: Handler = (request, response) => {
      response.writeHead(200);
      response.write(`${JSON.stringify(route)}\n{"pre`, () => request.socket.destroy());
    };
    const { status, err } = await run(handler, "route", "list");
    assert.equal(status, 1);
    assert.equal(err, "dplaned: The daemon broke off the connection; did it stop? journalctl -u dplaned\n");
  });

  it("escapes control characters in text, and leaves JSON as it is", async () => {
    const owner = "x\u001b[2J\u009b";
    const handler: Handler = (_, response) => answerLines(response, { ...route, owner });
    const text = await run(handler, "route", "list");
    assert.equal(text.out, "203.0.113.0/24 metric 20 [owner x\\x1b[2J\\x9b, fib_programmed]\n");
    await daemon?.close();
    const json = await run(handler, "route", "list", "--json");
    assert.equal(JSON.parse(json.out).owner, owner);
  });

  it("ends in silence when the reader of its output is gone", async () => {
    daemon = await startFakeDaemon((_, response) => answerLines(response, route));
    const io = new CapturedIo();
    const broken = Object.assign(io, {
      stdout: () => {
        throw Object.assign(new Error("EPIPE"), { code: "EPIPE" });
      },
    });
    assert.equal(await runCommandLine(["route", "list", "--socket", daemon.socketPath], broken), EXIT_BROKEN_PIPE);
    assert.equal(io.err, "");
  });
});

describe("route install and delete", () => {
  const summary = { summary: { received: 1 } };

  it("sends the words as a line of ip -batch, for the owner, and prints the result", async () => {
    let seen = "";
    const handler: Handler = async (request, response) => {
      seen = `${request.method} ${request.url} ${request.headers["content-type"]} ${await readBody(request)}`;
      answerLines(
        response,
        { line: 1, op: "install", prefix: "203.0.113.0/24", table: 254, status: "fib_programmed" },
        summary,
      );
    };
    const words = ["route", "install", "203.0.113.0/24", "via", "10.0.0.2", "dev", "v0", "owner", "a&b"];
    const { status, out, err } = await run(handler, ...words);
    assert.equal(
      seen,
      "POST /v1/routes?owner=a%26b text/x-iproute2 route replace 203.0.113.0/24 via 10.0.0.2 dev v0\n",
    );
    assert.deepEqual({ status, out, err }, { status: 0, out: "203.0.113.0/24 table main: programmed\n", err: "" });
  });

  it("fails with the reason and the hint where the kernel refused", async () => {
    const error = { code: "ENETUNREACH", message: "Nexthop has invalid gateway", hint: "is onlink meant?" };
    const result = {
      line: 1,
      op: "install",
      prefix: "203.0.113.0/24",
      table: 254,
      status: "fib_failed",
      provider: "kernel",
      error,
    };
    const handler: Handler = (_, response) => answerLines(response, result, summary);
    const text = await run(handler, "route", "install", "203.0.113.0/24", "via", "10.9.9.9");
    assert.equal(text.status, 1);
    assert.equal(
      text.err,
      "203.0.113.0/24 table main: failed in provider kernel: Nexthop has invalid gateway (ENETUNREACH); is onlink meant?\n",
    );
    await daemon?.close();
    const json = await run(handler, "route", "install", "203.0.113.0/24", "via", "10.9.9.9", "--json");
    assert.equal(json.status, 1);
    assert.deepEqual(JSON.parse(json.out), result);
  });

  it("deletes", async () => {
    let body = "";
    const handler: Handler = async (request, response) => {
      body = await readBody(request);
      answerLines(
        response,
        { line: 1, op: "delete", prefix: "203.0.113.0/24", table: 100, status: "fib_programmed" },
        summary,
      );
    };
    const { status, out } = await run(handler, "route", "del", "203.0.113.0/24", "table", "100");
    assert.equal(body, "route del 203.0.113.0/24 table 100\n");
    assert.deepEqual({ status, out }, { status: 0, out: "203.0.113.0/24 table 100: deleted\n" });
  });

  it("does not take silence for success", async () => {
    const { status, err } = await run(
      (_, response) => answerLines(response, summary),
      "route",
      "delete",
      "203.0.113.0/24",
    );
    assert.equal(status, 1);
    assert.match(err, /without a result/);
  });
});

describe("route list and lookup", () => {
  it("asks with the filters for lines and prints each", async () => {
    let seen = "";
    const handler: Handler = (request, response) => {
      seen = `${request.url} ${request.headers.accept}`;
      answerLines(response, route, { ...route, prefix: "203.0.113.128/25" });
    };
    const { status, out } = await run(handler, "route", "list", "root", "203.0.113.0/24", "owner", "bgp", "-4");
    assert.equal(status, 0);
    assert.equal(seen, "/v1/routes?family=ipv4&prefix=203.0.113.0%2F24&longer=true&owner=bgp application/x-ndjson");
    assert.equal(out, routeLine + routeLine.replace("0/24", "128/25"));
  });

  it("prints a list of any length", async () => {
    const handler: Handler = (_, response) => answerLines(response, ...Array.from({ length: 20_000 }, () => route));
    const { out } = await run(handler, "route", "list", "--json");
    assert.equal(out, `${JSON.stringify(route)}\n`.repeat(20_000));
  });

  it("prints the route an address takes, and fails where there is none", async () => {
    let url: string | undefined;
    const handler: Handler = (request, response) => {
      url = request.url;
      answerJson(response, { address: "203.0.113.9", table: 254, route: url!.includes("table") ? null : route });
    };
    const found = await run(handler, "route", "lookup", "203.0.113.9");
    assert.deepEqual(found, { status: 0, out: routeLine, err: "" });
    assert.equal(url, "/v1/lookup?address=203.0.113.9");
    await daemon?.close();
    const missing = await run(handler, "route", "get", "203.0.113.9", "table", "main");
    assert.deepEqual(missing, { status: 1, out: "", err: "No programmed route to 203.0.113.9 in table main\n" });
  });
});

describe("nexthop-group", () => {
  const group = {
    id: 7,
    members: [{ via: "10.0.0.2", dev: "v0", weight: 1, active: true }],
    backup: [{ via: "10.0.1.2", dev: "v2", weight: 3, active: false }],
    status: "fib_programmed",
    kernelId: 250_000_003,
  };
  const text =
    "nexthop group 7 [fib_programmed, kernel id 250000003]\n" +
    "\tnexthop via 10.0.0.2 dev v0 weight 1\n\tbackup via 10.0.1.2 dev v2 weight 3 [not in use]\n";

  it("sets a group and prints what became of it", async () => {
    let seen = "";
    const handler: Handler = async (request, response) => {
      seen = `${request.method} ${request.url} ${await readBody(request)}`;
      answerJson(response, group);
    };
    const words = "nexthop-group set 7 via 10.0.0.2 dev v0 backup via 10.0.1.2 dev v2 weight 3".split(" ");
    assert.deepEqual(await run(handler, ...words), { status: 0, out: text, err: "" });
    const body = '{"members":[{"via":"10.0.0.2","dev":"v0"}],"backup":[{"via":"10.0.1.2","dev":"v2","weight":3}]}';
    assert.equal(seen, `PUT /v1/nexthop-groups/7 ${body}`);
  });

  it("fails with the kernel's words where it refuses the group", async () => {
    const error = { code: "ENETUNREACH", message: "Nexthop has invalid gateway", field: "members[0]", hint: "why?" };
    const handler: Handler = (_, response) => answerJson(response, { id: 7, members: [], status: "fib_failed", error });
    const { status, err } = await run(handler, "nexthop-group", "set", "7", "via", "10.9.9.9", "dev", "v0");
    assert.equal(status, 1);
    assert.equal(err, "nexthop group 7 [fib_failed]\n\tmembers[0]: Nexthop has invalid gateway (ENETUNREACH); why?\n");
  });

  it("shows, lists and deletes", async () => {
    const seen: string[] = [];
    const handler: Handler = (request, response) => {
      seen.push(`${request.method} ${request.url}`);
      if (request.method === "DELETE") response.writeHead(204).end();
      else answerJson(response, request.url?.endsWith("/7") ? group : { nexthopGroups: [group, { ...group, id: 8 }] });
    };
    assert.equal((await run(handler, "nexthop-group", "show", "7")).out, text);
    await daemon?.close();
    assert.equal((await run(handler, "nexthop-group", "ls")).out, text + text.replace("group 7", "group 8"));
    await daemon?.close();
    assert.equal((await run(handler, "nexthop-group", "del", "7")).out, "nexthop group 7: deleted\n");
    assert.deepEqual(seen, ["GET /v1/nexthop-groups/7", "GET /v1/nexthop-groups", "DELETE /v1/nexthop-groups/7"]);
  });
});

describe("show", () => {
  const ready = { ready: true, reasons: [] };
  const health = { status: "ok", version: "1.2.3", uptimeSeconds: 5, workers: [] };

  it("prints health, and fails where the daemon is not healthy and ready", async () => {
    const answer =
      (healthStatus: number, readyStatus: number): Handler =>
      (request, response) => {
        const isHealth = request.url === "/healthz";
        if (isHealth) answerJson(response, { ...health, status: healthStatus === 200 ? "ok" : "failed" }, healthStatus);
        else
          answerJson(response, readyStatus === 200 ? ready : { ready: false, reasons: ["kernel dump"] }, readyStatus);
      };
    const good = await run(answer(200, 200), "show", "health");
    assert.deepEqual(good, { status: 0, out: "Health:  ok\nReady:   yes\nVersion: 1.2.3\nUptime:  5s\n", err: "" });
    await daemon?.close();
    const starting = await run(answer(200, 503), "show", "health");
    assert.equal(starting.status, 1);
    assert.match(starting.out, /^Ready: {3}no: kernel dump$/m);
    await daemon?.close();
    const sick = await run(answer(503, 200), "show", "health", "--json");
    assert.equal(sick.status, 1);
    assert.equal(JSON.parse(sick.out).health.status, "failed");
  });

  it("prints what the API said with --json", async () => {
    const body = { providers: [] };
    const { out } = await run((_, response) => answerJson(response, body), "show", "providers", "--json");
    assert.deepEqual(JSON.parse(out), body);
  });
});

describe("check-config and version", () => {
  it("checks a file without a daemon", async () => {
    const good = join(directory, "good.toml");
    const bad = join(directory, "bad.toml");
    writeFileSync(good, "[kernel]\ntable = 100\n");
    writeFileSync(bad, "[kernel]\ntabel = 100\nmetric = -1\n");

    const io = new CapturedIo();
    assert.equal(await runCommandLine(["check-config", good], io), 0);
    assert.equal(io.out, `${good}: ok\n`);
    assert.equal(await runCommandLine(["check-config", bad], io), 1);
    assert.equal(
      io.err,
      `${bad}:2:1: [kernel] tabel: unknown key; did you mean "table"?\n` +
        `${bad}:3:1: [kernel] metric: expected a whole number from 0 to 4294967295, got -1\n`,
    );
    const json = new CapturedIo();
    assert.equal(await runCommandLine(["check-config", bad, "--json"], json), 1);
    assert.equal(JSON.parse(json.out).problems.length, 2);
  });

  it("prints the version", async () => {
    const io = new CapturedIo();
    assert.equal(await runCommandLine(["version", "--json"], io), 0);
    assert.match(JSON.parse(io.out).version, /^\d+\.\d+\.\d+$/);
  });
});
