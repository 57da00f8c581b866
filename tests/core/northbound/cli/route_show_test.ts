import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import type { RouteHistoryJson } from "../../../../core/northbound/api_types.ts";
import { toHistoryQuery } from "../../../../core/northbound/cli/route_show.ts";
import {
  answerJson,
  answerLines,
  CapturedIo,
  type FakeDaemon,
  runCommandLine,
  startFakeDaemon,
} from "../../../support/cli_harness.ts";

const route = {
  prefix: "203.0.113.0/24",
  table: 254,
  metric: 20,
  type: "unicast",
  owner: "a",
  status: "fib_programmed",
} as const;
const { prefix, table, metric } = route;
const found: RouteHistoryJson = {
  omitted: 0,
  routes: [{ prefix, table, metric, route, claims: [], entries: [{ time: 1, event: "swept", summary: "" }] }],
};

let daemon: FakeDaemon | undefined;
afterEach(async () => {
  await daemon?.close();
  daemon = undefined;
});

async function show(answer: RouteHistoryJson, ...args: string[]) {
  const seen: string[] = [];
  daemon = await startFakeDaemon((request, response) => {
    seen.push(request.url ?? "");
    if (request.url?.startsWith("/v1/routes/history") === true) answerJson(response, answer);
    else answerLines(response, route);
  });
  const io = new CapturedIo();
  const status = await runCommandLine(["route", "show", ...args, "--socket", daemon.socketPath], io);
  return { status, out: io.out, err: io.err, seen };
}

describe("route show", () => {
  it("tells the story of one prefix below its route", async () => {
    const { status, out, seen } = await show(found, "203.0.113.0/24", "table", "main");
    assert.deepEqual([status, seen], [0, ["/v1/routes/history?prefix=203.0.113.0%2F24&table=254"]]);
    assert.match(
      out,
      /^203\.0\.113\.0\/24 metric 20 \[owner a, fib_programmed\]\n {2}\S+ \S+ {2}taken out of the kernel: nobody has claimed it\n$/,
    );
  });

  it("prints the answer as it is with --json", async () => {
    const { status, out } = await show(found, "203.0.113.0/24", "--json");
    assert.deepEqual([status, JSON.parse(out)], [0, found]);
  });

  it("lists where not one prefix is asked for", async () => {
    const { status, out, seen } = await show(found, "owner", "a");
    assert.deepEqual([status, seen], [0, ["/v1/routes?owner=a"]]);
    assert.equal(out, "203.0.113.0/24 metric 20 [owner a, fib_programmed]\n");
  });

  it("fails and says so where nothing is known of the prefix", async () => {
    const { status, out, err } = await show({ omitted: 0, routes: [] }, "203.0.113.0/24");
    assert.deepEqual([status, out], [1, ""]);
    assert.equal(err, "Nobody wants a route to 203.0.113.0/24, and nothing happened to one\n");
    await daemon?.close();
    const later = await show({ omitted: 0, routes: [], since: 1 }, "203.0.113.0/24");
    assert.match(later.err, /nothing happened to one since \S+ \S+\n$/);
  });
});

describe("toHistoryQuery", () => {
  it("is for one prefix, with its table", () => {
    assert.deepEqual(toHistoryQuery({ prefix, table: "7" }), { prefix, table: "7" });
    for (const rest of [{ longer: "true" }, { owner: "a" }, { status: "skipped" }, { limit: "1" }] as const) {
      assert.equal(toHistoryQuery({ prefix, ...rest }), undefined);
    }
    assert.equal(toHistoryQuery({ table: "7" }), undefined);
  });

  it("takes a family where it is the prefix's", () => {
    assert.deepEqual(toHistoryQuery({ prefix, family: "ipv4" }), { prefix });
    assert.equal(toHistoryQuery({ prefix, family: "ipv6" }), undefined);
    assert.deepEqual(toHistoryQuery({ prefix: "::/0", family: "ipv6" }), { prefix: "::/0" });
    assert.deepEqual(toHistoryQuery({ prefix: "default", family: "ipv6" }), { prefix: "::/0" });
    assert.deepEqual(toHistoryQuery({ prefix: "default", family: "ipv4" }), { prefix: "0.0.0.0/0" });
    assert.deepEqual(toHistoryQuery({ prefix: "default" }), { prefix: "default" });
  });
});
