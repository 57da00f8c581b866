import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { toEventQuery } from "../../../../core/northbound/cli/monitor.ts";
import {
  CapturedIo,
  type FakeDaemon,
  type Handler,
  runCommandLine,
  startFakeDaemon,
} from "../../../support/cli_harness.ts";

const LINK = 'event: kernel\ndata: {"object":"link","action":"new","text":"v0 state DOWN"}\n\n';
const HEALTH = 'event: health\ndata: {"ready":true,"reasons":[]}\n\n';

let daemon: FakeDaemon | undefined;
afterEach(async () => {
  await daemon?.close();
  daemon = undefined;
});

const stream: Handler = (_, response) => {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write(`: hi\n\n${LINK}`);
  response.end(HEALTH);
};

async function run(handler: Handler, ...args: string[]) {
  daemon = await startFakeDaemon(handler);
  const io = new CapturedIo();
  const status = await runCommandLine(["monitor", ...args, "--socket", daemon.socketPath], io);
  return { status, out: io.out, err: io.err };
}

describe("monitor", () => {
  it("prints a line for each event, and fails when the daemon ends the stream", async () => {
    const { status, out, err } = await run(stream);
    assert.equal(out, "kernel link new v0 state DOWN\nhealth ready\n");
    assert.equal(status, 1);
    assert.match(err, /ended the stream/);
  });

  it("prints events as JSON lines", async () => {
    const { out } = await run(stream, "--json");
    const events = out.trimEnd().split("\n");
    assert.deepEqual(JSON.parse(events[0]!), { event: "kernel", object: "link", action: "new", text: "v0 state DOWN" });
  });

  it("asks the daemon for what its words say, so that it sends nothing else", async () => {
    let asked = "";
    await run(
      (request, response) => {
        asked = request.url!;
        stream(request, response);
      },
      "drift",
      "link",
      "root",
      "10.0.0.0/8",
      "owner",
      "bgp",
    );
    const query = new URL(asked, "http://localhost").searchParams;
    assert.deepEqual(Object.fromEntries(query), {
      types: "drift,nexthop_drift,kernel",
      objects: "link",
      prefix: "10.0.0.0/8",
      longer: "true",
      owner: "bgp",
    });
  });

  it("with --reconnect goes on with the next daemon", async () => {
    let connections = 0;
    // It would go on for ever, but that the third one answers with an error.
    const { status, out, err } = await run((request, response) => {
      connections += 1;
      if (connections < 3) return stream(request, response);
      response.writeHead(400, { "content-type": "application/problem+json" });
      response.end('{"title":"Bad request"}');
    }, "--reconnect");
    assert.deepEqual([status, out.split("link").length - 1], [1, 2]);
    assert.equal(err.match(/trying again/g)?.length, 2);
    assert.equal(err.match(/answers again; what happened meanwhile is not known/g)?.length, 1);
    assert.match(err, /Bad request/);
  });

  it("fails at once where no daemon is to begin with", async () => {
    const io = new CapturedIo();
    assert.equal(await runCommandLine(["monitor", "--reconnect", "--socket", "/nowhere.sock"], io), 3);
  });
});

describe("toEventQuery", () => {
  const cases: [words: string, query: object][] = [
    ["", {}],
    ["all", {}],
    ["result health", { types: "result,health" }],
    ["link address", { types: "kernel", objects: "link,address" }],
    ["kernel", { types: "kernel" }],
    ["route 10.0.0.0/8", { types: "kernel", objects: "route", prefix: "10.0.0.0/8" }],
    ["status fib_failed", { status: "fib_failed" }],
    ["default table main", { prefix: "default", table: "254" }],
    ["root 2001:db8::/32 vrf blue", { prefix: "2001:db8::/32", longer: "true", table: "blue" }],
  ];
  for (const [words, query] of cases) {
    it(words || "nothing", () => assert.deepEqual(toEventQuery(words.split(" ").filter(Boolean)), query));
  }

  it("says what is wrong with a word", () => {
    const cases: [words: string, message: RegExp][] = [
      ["drfit", /Unknown word "drfit"; did you mean "drift"\?/],
      ["sparkle", /Unknown word "sparkle"; expected result, kernel/],
      ["owner", /Missing a value behind "owner"/],
      ["status broken", /Unknown status "broken"/],
      ["limit 5", /Unknown word "limit"/],
      ["owner bgp limit 5", /no "limit"/],
    ];
    for (const [words, message] of cases) assert.throws(() => toEventQuery(words.split(" ")), message);
  });
});
