import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { U8, U32 } from "../../../core/context/layout.ts";
import { Family, UpdateOp } from "../../../core/model/route.ts";
import type { ErrorJson, OwnersJson, ProblemJson, SyncSummaryJson } from "../../../core/northbound/api_types.ts";
import { SCHEMAS } from "../../../core/northbound/openapi_schemas.ts";
import { reference } from "../../../core/northbound/schema.ts";
import { OWNER_SETTINGS } from "../../../core/rib/owners.ts";
import { createHarness, type Harness, installLine } from "../../support/api_harness.ts";
import { checkSchema } from "../../support/json_schema.ts";
import { numberedUpdate } from "../../support/updates.ts";
import { until } from "../../support/wait.ts";

let harness: Harness;
/** What the kernel was told: `+1`, `-2`, by the last byte of the prefix. */
let writes: string[];
beforeEach(async () => {
  harness = await createHarness();
  writes = [];
  harness.kernel.answer = (io, slot) => {
    writes.push(describeWrite(io.contexts.getU32(slot, U32.ATTRS), io.contexts.u8[slot * 256 + U8.PREFIX + 3]!));
    io.contexts.succeed(slot);
  };
});
afterEach(async () => {
  assertNothingHeld();
  await harness.close();
});

function describeWrite(attrs: number, number: number): string {
  return `${attrs === 0 ? "-" : "+"}${number}`;
}

/** No sync has left anything behind: not the records that it kept, nor attributes, nor classes. */
function assertNothingHeld(): void {
  const { rib } = harness;
  assert.equal(rib.holds.size, 0);
  for (const owner of rib.owners.values()) assert.equal(owner.isSyncing, false);
  let routes = 0;
  for (const { routes: count } of rib.classes.values()) {
    assert.ok(count > 0, "every class has routes");
    routes += count;
  }
  assert.equal(routes, rib.counts().ipv4 + rib.counts().ipv6);
}

function counts({ received, unchanged, installed, updated, deleted, swept }: SyncSummaryJson): number[] {
  return [received, unchanged, installed, updated, deleted, swept];
}

async function refusedSync(owner: string, body: string, init: RequestInit = {}): Promise<ProblemJson> {
  const response = await harness.app.request(`/v1/owners/${owner}/routes`, { method: "PUT", body, ...init });
  assert.equal(response.headers.get("content-type"), "application/problem+json");
  const problem = (await response.json()) as ProblemJson;
  assert.equal(checkSchema(problem, reference("Problem"), SCHEMAS), "");
  assert.equal(problem.status, response.status);
  return problem;
}

async function prefixesOf(owner: string): Promise<string[]> {
  const response = await harness.app.request(`/v1/routes?owner=${owner}`);
  const { routes } = (await response.json()) as { routes: { prefix: string }[] };
  return routes.map(({ prefix }) => prefix).sort();
}

const lines = (...numbers: number[]): string => numbers.map((number) => installLine(number)).join("");

/** A body that a test feeds. */
function openBody(
  owner: string,
  query = "",
): { writer: WritableStreamDefaultWriter<Uint8Array>; answer: Promise<Response> } {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const init = { method: "PUT", body: readable, duplex: "half", headers: { "content-type": "application/x-ndjson" } };
  const request = new Request(`http://localhost/v1/owners/${owner}/routes${query}`, init as RequestInit);
  return { writer: writable.getWriter(), answer: Promise.resolve(harness.app.request(request)) };
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("PUT /v1/owners/O/routes", () => {
  it("writes what is new and changed in order, then deletes what is stale, and leaves the rest alone", async () => {
    const first = await harness.sync("bgp", lines(1, 2, 3, 4));
    assert.deepEqual(counts(first.summary), [4, 0, 4, 0, 0, 0]);
    assert.deepEqual(first.results, [], "by default only failures are told");
    assert.equal(checkSchema({ summary: first.summary }, reference("SyncSummaryLine"), SCHEMAS), "");
    writes = [];
    const changed = installLine(2, { nexthops: [{ via: "192.0.2.9", dev: "v1" }] });
    const second = await harness.sync("bgp", installLine(7) + installLine(3) + changed + installLine(6));
    assert.deepEqual(counts(second.summary), [4, 1, 2, 1, 2, 0]);
    assert.equal(second.summary.fibProgrammed, 5);
    assert.deepEqual(writes, ["+7", "+2", "+6", "-1", "-4"]);
    assert.deepEqual(await prefixesOf("bgp"), ["10.0.0.2/32", "10.0.0.3/32", "10.0.0.6/32", "10.0.0.7/32"]);
  });

  it("has no deletion under way before the kernel has answered everything else", async () => {
    await harness.sync("bgp", lines(1, 2));
    harness.kernel.holds = true;
    writes = [];
    const pending = harness.sync("bgp", lines(2, 3, 4));
    await until("both are with the kernel", () => harness.kernel.held === 2);
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(harness.kernel.held, 2);
    harness.kernel.release();
    await pending;
    assert.deepEqual(writes, ["+3", "+4", "-1"]);
  });

  it("tells each update's result with ack=all, deletions as line 0", async () => {
    await harness.post(lines(9), { query: "?owner=better" });
    await harness.sync("bgp", installLine(1) + installLine(2) + installLine(9, { distance: 200 }));
    const body = `\n${installLine(1)}${installLine(9, { distance: 200 })}${installLine(5)}`;
    const { results, summary } = await harness.sync("bgp", body, { query: "?ack=all" });
    const told = results.map(({ line, op, prefix, status, winner }) => [line, op, prefix, status, winner]);
    assert.deepEqual(
      told.sort((a, b) => Number(a[0]) - Number(b[0])),
      [
        [0, "delete", "10.0.0.2/32", "fib_programmed", undefined],
        [2, "install", "10.0.0.1/32", "fib_programmed", undefined],
        [3, "install", "10.0.0.9/32", "rib_programmed", "better"],
        [4, "install", "10.0.0.5/32", "fib_programmed", undefined],
      ],
    );
    assert.deepEqual(counts(summary), [3, 2, 1, 0, 1, 0]);
    for (const result of results) assert.equal(checkSchema(result, reference("Result"), SCHEMAS), "");
  });

  it("takes arrays and route commands, and an empty body as no routes at all", async () => {
    const array = `[${lines(1, 2).trim().replace("\n", ",")}]`;
    assert.deepEqual(
      counts((await harness.sync("bgp", array, { contentType: "application/json" })).summary).slice(0, 3),
      [2, 0, 2],
    );
    const commands = "route add 10.0.0.2 via 192.0.2.1 dev v0\n# a comment\nroute replace 10.0.0.3 dev v0\n";
    const { summary } = await harness.sync("bgp", commands, { contentType: "text/x-iproute2" });
    assert.deepEqual(counts(summary), [2, 1, 1, 0, 1, 0]);
    assert.deepEqual(counts((await harness.sync("bgp", "")).summary), [0, 0, 0, 0, 2, 0]);
    const { ipv4, attrs } = harness.rib.counts();
    assert.deepEqual([ipv4, attrs], [0, 0]);
  });

  it("tries a route again that the kernel has refused, and says that it fails", async () => {
    harness.kernel.answer = (io, slot) => io.contexts.fail(slot, 101, "Nexthop has invalid gateway");
    const first = await harness.sync("bgp", lines(1));
    assert.deepEqual(
      first.results.map(({ line, status, error }) => [line, status, error?.code]),
      [[1, "fib_failed", "ENETUNREACH"]],
    );
    harness.kernel.answer = (io, slot) => io.contexts.succeed(slot);
    const second = await harness.sync("bgp", lines(1));
    assert.deepEqual([counts(second.summary), second.summary.fibProgrammed], [[1, 0, 0, 1, 0, 0], 1]);
  });

  it("claims what the kernel holds from before without a write, and sweeps the rest of the owner's tables", async () => {
    const tables = { bgp: [100, 101], other: [101] };
    harness.rib.owners.configure(Object.entries(tables).map(([name, tables]) => ({ name, ...OWNER_SETTINGS, tables })));
    for (const [number, table] of [
      [1, 100],
      [2, 100],
      [3, 100],
      [4, 101],
      [5, 254],
    ] as const) {
      harness.adopt({ ...numberedUpdate(number, UpdateOp.INSTALL, 1), table });
    }
    const kept = { table: 100, nexthops: [{ via: "192.0.0.1", dev: "v0" }], tag: 5 };
    const body = installLine(1, kept) + installLine(2, { ...kept, nexthops: [{ dev: "v1" }] });
    const { summary } = await harness.sync("bgp", body);
    assert.deepEqual(counts(summary), [2, 1, 1, 0, 0, 1]);
    await harness.rib.reconciler.idle();
    await until("the sweep is done", () => harness.dataplane.pool.free === harness.dataplane.pool.size);
    assert.deepEqual(writes, ["+2", "-3"]);
    const shown = (await (await harness.app.request("/v1/routes?prefix=10.0.0.1")).json()) as { routes: object[] };
    assert.deepEqual(
      shown.routes.map((route) => ({ ...route, since: 0 })),
      [
        {
          prefix: "10.0.0.1/32",
          table: 100,
          vrf: "blue",
          metric: 20,
          type: "unicast",
          nexthops: [{ via: "192.0.0.1", dev: "v0", weight: 1 }],
          tag: 5,
          owner: "bgp",
          status: "fib_programmed",
          since: 0,
        },
      ],
    );
    // What may be somebody else's stays, and is shown apart.
    const { owners } = (await (await harness.app.request("/v1/owners")).json()) as OwnersJson;
    assert.equal(checkSchema({ owners }, reference("Owners"), SCHEMAS), "");
    assert.deepEqual(
      owners.map(({ name, routes, selected, held }) => [name, routes, selected, held]),
      [
        ["bgp", 2, 2, 0],
        ["other", 0, 0, 0],
        ["", 2, 2, 0],
      ],
    );
    assert.ok(owners[0]!.syncedAt > 0);
    const adopted = await (await harness.app.request("/v1/routes?prefix=10.0.0.4")).json();
    const [{ owner, adopted: isAdopted }] = (adopted as { routes: [{ owner: string; adopted: boolean }] }).routes;
    assert.deepEqual([owner, isAdopted], ["", true]);
  });

  it("lets another owner's route take over from one that it deletes", async () => {
    const backup = installLine(1, { distance: 200, nexthops: [{ dev: "v1" }] });
    await harness.post(backup, { query: "?owner=backup" });
    await harness.sync("bgp", lines(1));
    writes = [];
    await harness.sync("bgp", lines(2));
    assert.deepEqual(writes, ["+2", "+1"]);
    assert.deepEqual(await prefixesOf("backup"), ["10.0.0.1/32"]);
    assert.deepEqual(await prefixesOf("bgp"), ["10.0.0.2/32"]);
  });

  it("lets updates of the owner win that come while its body is read or it is carried out", async () => {
    await harness.sync("bgp", lines(1, 2, 3));
    const { writer, answer } = openBody("bgp");
    await writer.write(encode(lines(1, 5)));
    await until("the body is being read", () => harness.rib.owners.find("bgp")!.isSyncing);
    const deletion = '{"op":"delete","prefix":"10.0.0.1/32"}\n';
    await harness.post(installLine(4) + deletion + installLine(2, { tag: 9 }), { query: "?owner=bgp" });
    harness.kernel.holds = true;
    await writer.write(encode(lines(2)));
    await writer.close();
    await until("it is carried out", () => harness.kernel.held === 1);
    const late = harness.post(installLine(3, { tag: 7 }), { query: "?owner=bgp" });
    await until("an update comes meanwhile", () => harness.kernel.held === 2);
    harness.kernel.release();
    await late;
    const summary = JSON.parse((await (await answer).text()).trim().split("\n").at(-1)!).summary as SyncSummaryJson;
    assert.deepEqual(await prefixesOf("bgp"), ["10.0.0.2/32", "10.0.0.3/32", "10.0.0.4/32", "10.0.0.5/32"]);
    assert.deepEqual(counts(summary), [3, 1, 1, 0, 0, 0]);
    assert.equal(summary.superseded, 1);
    const listed = (await (await harness.app.request("/v1/routes?prefix=10.0.0.2")).json()) as {
      routes: { tag: number }[];
    };
    assert.equal(listed.routes[0]?.tag, 9);
  });

  it("tells a record that was freed and used again from the route that it was", async () => {
    const { writer, answer } = openBody("bgp");
    await writer.write(encode(lines(1)));
    await until("the body is being read", () => harness.rib.counts().ipv4 === 1);
    await harness.post(`${installLine(8)}{"op":"delete","prefix":"10.0.0.8/32"}\n`, { query: "?owner=bgp" });
    await writer.write(encode(lines(2, 3)));
    await writer.close();
    await (await answer).text();
    assert.deepEqual(await prefixesOf("bgp"), ["10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32"]);
  });

  it("is carried out when its client goes away after the body", async () => {
    await harness.sync("bgp", lines(1, 2));
    harness.kernel.holds = true;
    const response = await harness.app.request("/v1/owners/bgp/routes?ack=all", { method: "PUT", body: lines(2, 3) });
    await until("it is carried out", () => harness.kernel.held === 1);
    await response.body!.cancel();
    harness.kernel.release();
    await until("it is over", () => !harness.rib.owners.find("bgp")!.isSyncing);
    assert.deepEqual(await prefixesOf("bgp"), ["10.0.0.2/32", "10.0.0.3/32"]);
    await until("nothing is held", () => harness.rib.holds.size === 0);
  });

  it("lets the event loop run while it works, and tells of many failures only as they are read", async () => {
    let body = "";
    for (let number = 0; number < 20_000; number++) body += installLine(number);
    harness.kernel.answer = (io, slot) => io.contexts.fail(slot, 5, "no");
    let turns = 0;
    let isRunning = true;
    const count = (): void => {
      turns += 1;
      if (isRunning) setImmediate(count);
    };
    setImmediate(count);
    const { results, summary } = await harness.sync("bgp", body);
    isRunning = false;
    assert.deepEqual([results.length, summary.fibFailed], [20_000, 20_000]);
    assert.ok(turns > 10, `the event loop ran ${turns} times`);
    await until("nothing is held", () => harness.rib.holds.size === 0);
  });
});

describe("a full-state sync that is refused", () => {
  const errorsOf = (problem: ProblemJson): [number, string][] =>
    problem.errors!.map(({ line, error }): [number, string] => [line, error.code]);

  /** Nothing may have changed by a refused sync of an owner with the routes 1 and 2. */
  async function assertAsBefore(before: number): Promise<void> {
    await until("nothing is held", () => harness.rib.holds.size === 0);
    assert.deepEqual(await prefixesOf("bgp"), ["10.0.0.1/32", "10.0.0.2/32"]);
    assert.equal(harness.dataplane.snapshot().routeUpdates, before);
    assert.equal(harness.rib.counts().ipv4, 2);
    assert.equal(harness.rib.attrs.count, 1);
  }

  it("changes nothing, and says what is wrong in which lines", async () => {
    await harness.sync("bgp", lines(1, 2));
    const before = harness.dataplane.snapshot().routeUpdates;
    const nexthops = [{ dev: "v1" }];
    const cases: [string, number, [number, string][]][] = [
      [
        `${lines(3)}nonsense\n${installLine(4, { metrik: 1 })}`,
        400,
        [
          [2, "INVALID_JSON"],
          [3, "UNKNOWN_FIELD"],
        ],
      ],
      [installLine(3, { mtu: 1 }), 422, [[1, "OUT_OF_RANGE"]]],
      [
        lines(3, 1, 3, 1),
        422,
        [
          [3, "DUPLICATE_ROUTE"],
          [4, "DUPLICATE_ROUTE"],
        ],
      ],
      [`${lines(5)}{"op":"delete","prefix":"10.0.0.1/32"}\n`, 422, [[2, "DELETE_IN_SYNC"]]],
      [installLine(3, { nexthops, table: 9 }) + installLine(3, { nexthops, vrf: "red" }), 422, [[2, "UNKNOWN_VRF"]]],
      [`[${installLine(3)},${installLine(4).slice(0, 20)}`, 400, [[2, "TRUNCATED"]]],
    ];
    for (const [body, status, errors] of cases) {
      const problem = await refusedSync("bgp", body);
      assert.deepEqual([body, problem.status, errorsOf(problem)], [body, status, errors]);
      assert.equal(problem.errorCount, errors.length);
      await assertAsBefore(before);
    }
  });

  it("lists the first twenty errors and counts all", async () => {
    const problem = await refusedSync("bgp", "nonsense\n".repeat(50));
    assert.deepEqual([problem.errors!.length, problem.errorCount], [20, 50]);
    assert.match(problem.detail!, /^50 updates of the body are wrong, first in line 1: /);
  });

  it("keeps to the owner's limit and tables, and says which they are", async () => {
    harness.rib.owners.configure([{ name: "bgp", ...OWNER_SETTINGS, prefixLimit: 3, tables: [254] }]);
    await harness.sync("bgp", lines(1, 2));
    const before = harness.dataplane.snapshot().routeUpdates;
    const full = await refusedSync("bgp", lines(1, 2, 3, 4));
    assert.deepEqual([full.status, errorsOf(full)], [413, [[4, "PREFIX_LIMIT"]]]);
    assert.match(full.errors![0]!.error.message, /^Owner bgp may have 3 routes/);
    await assertAsBefore(before);
    const table = await refusedSync("bgp", installLine(3, { table: 99 }));
    assert.deepEqual([table.status, errorsOf(table)], [422, [[1, "TABLE_NOT_ALLOWED"]]]);
    assert.match(table.errors![0]!.error.hint!, /its tables are 254/);
    await assertAsBefore(before);
    assert.deepEqual(counts((await harness.sync("bgp", lines(3, 4, 5))).summary), [3, 0, 3, 0, 2, 0]);
  });

  it("is refused when there is no room for its attributes", async () => {
    await harness.sync("bgp", lines(1, 2));
    const before = harness.dataplane.snapshot().routeUpdates;
    let body = "";
    for (let number = 0; number < 800; number++) {
      const subnet = `10.${number >> 8}.${number & 255}`;
      const nexthops = Array.from({ length: 250 }, (_, index) => ({ via: `${subnet}.${index}` }));
      body += installLine(number, { nexthops });
    }
    const problem = await refusedSync("bgp", body);
    assert.deepEqual([problem.status, problem.errors![0]!.error.code], [413, "OUT_OF_ATTRS"]);
    await assertAsBefore(before);
  });

  it("changes nothing when its body breaks off", async () => {
    await harness.sync("bgp", lines(1, 2));
    const before = harness.dataplane.snapshot().routeUpdates;
    const { writer, answer } = openBody("bgp");
    await writer.write(encode(lines(2, 3)));
    await writer.abort(new Error("gone"));
    assert.equal((await answer).status, 400);
    await assertAsBefore(before);
    const { text } = { text: await (await harness.app.request("/metrics")).text() };
    assert.match(text, /^dplaned_syncs_total\{outcome="broken_off"\} 1$/m);
    assert.match(text, /^dplaned_syncs_total\{outcome="complete"\} 1$/m);
  });

  it("is refused while another sync of the owner is under way, not of others", async () => {
    await harness.sync("bgp", lines(1, 2));
    const { writer, answer } = openBody("bgp");
    await writer.write(encode(lines(1)));
    await until("the body is being read", () => harness.rib.owners.find("bgp")!.isSyncing);
    assert.equal((await refusedSync("bgp", lines(7))).status, 409);
    assert.equal((await refusedSync("bgp", "", { method: "DELETE" })).status, 409);
    const { owners } = (await (await harness.app.request("/v1/owners")).json()) as OwnersJson;
    assert.equal(owners[0]!.syncing, true);
    await harness.sync("static", lines(8));
    await writer.close();
    await (await answer).text();
    assert.deepEqual(await prefixesOf("bgp"), ["10.0.0.1/32"]);
  });

  it("names the owner well, and no content type of its own", async () => {
    assert.equal((await refusedSync("%20", "")).status, 400);
    assert.equal((await refusedSync("bgp", "", { headers: { "content-type": "image/png" } })).status, 415);
    assert.equal((await refusedSync("bgp", "", { method: "DELETE" })).status, 404);
    assert.deepEqual(harness.rib.owners.values(), []);
  });
});

describe("a full-state sync and the end of the daemon", () => {
  it("deletes nothing when the daemon stops meanwhile, and says so", async () => {
    await harness.sync("bgp", lines(1, 2));
    harness.kernel.holds = true;
    let body = "";
    for (let number = 2; number < 2000; number++) body += installLine(number);
    const pending = harness.sync("bgp", body);
    await until("it is carried out", () => harness.kernel.held > 0);
    harness.shutdown.abort();
    harness.dataplane.preFinish();
    harness.kernel.release();
    const { summary } = await pending;
    assert.equal(summary.deleted, 0);
    assert.equal(summary.error?.code, "SHUTTING_DOWN");
    assert.equal(checkSchema({ summary }, reference("SyncSummaryLine"), SCHEMAS), "");
    assert.ok(summary.rejected > 0);
    assert.equal(summary.installed + summary.unchanged + summary.rejected, 1998);
    assert.deepEqual(
      writes.filter((write) => write.startsWith("-")),
      [],
    );
    assert.equal(harness.rib.owners.find("bgp")!.routes, 2 + summary.installed);
    await until("nothing is held", () => harness.rib.holds.size === 0);
  });

  it("is refused when its body has not come to its end by then", async () => {
    await harness.sync("bgp", lines(1, 2));
    const { writer, answer } = openBody("bgp");
    await writer.write(encode(lines(2)));
    await until("the body is being read", () => harness.rib.owners.find("bgp")!.isSyncing);
    harness.shutdown.abort();
    assert.equal((await answer).status, 503);
    assert.equal(harness.rib.owners.find("bgp")!.routes, 2);
  });
});

describe("DELETE /v1/owners/O/routes", () => {
  it("withdraws all routes of the owner, and nobody else's", async () => {
    await harness.post(lines(1, 2, 9), { query: "?owner=bgp" });
    await harness.post(lines(3), { query: "?owner=static" });
    const response = await harness.app.request("/v1/owners/bgp/routes?ack=all", { method: "DELETE" });
    const answers = (await response.text())
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      answers.slice(0, -1).map(({ line, op, prefix, status }) => [line, op, prefix, status]),
      ["10.0.0.1/32", "10.0.0.2/32", "10.0.0.9/32"].map((prefix) => [0, "delete", prefix, "fib_programmed"]),
    );
    assert.deepEqual(counts(answers.at(-1).summary), [0, 0, 0, 0, 3, 0]);
    assert.equal(harness.rib.store(Family.IPV4).count, 1);
  });
});

describe("owners that need a token", () => {
  const owner = "bgp";
  const attempts = (headers: Record<string, string>, listener: "unix" | "tcp") =>
    Promise.all(
      [
        [`/v1/routes?owner=${owner}`, "POST"],
        [`/v1/owners/${owner}/routes`, "PUT"],
        [`/v1/owners/${owner}/routes`, "DELETE"],
      ].map(async ([path, method]) => {
        const response = await harness.app.request(path!, { method: method!, headers }, { listener });
        const text = await response.text();
        assert.equal(response.headers.get("www-authenticate") !== null, response.status === 401, text);
        return response.status;
      }),
    );

  it("take writes only from who shows it, on either listener", async () => {
    harness.rib.owners.configure([{ name: owner, ...OWNER_SETTINGS, token: "s3cret" }]);
    for (const listener of ["unix", "tcp"] as const) {
      assert.deepEqual(await attempts({}, listener), [401, 401, 401]);
      assert.deepEqual(await attempts({ authorization: "Bearer s3cre" }, listener), [401, 401, 401]);
      assert.deepEqual(await attempts({ authorization: "Basic s3cret" }, listener), [401, 401, 401]);
      for (const [path, method] of [
        [`/v1/routes?owner=${owner}`, "POST"],
        [`/v1/owners/${owner}/routes`, "PUT"],
        [`/v1/owners/${owner}/routes`, "DELETE"],
      ] as const) {
        const headers = { authorization: "bearer s3cret" };
        const response = await harness.app.request(path, { method, headers }, { listener });
        assert.equal(response.status, 200);
        await response.text();
      }
    }
  });

  it("do not open TCP for others", async () => {
    harness.rib.owners.configure([{ name: owner, ...OWNER_SETTINGS, token: "s3cret" }]);
    const headers = { authorization: "Bearer s3cret" };
    for (const [path, method] of [
      ["/v1/routes", "POST"],
      ["/v1/routes?owner=static", "POST"],
      ["/v1/owners/static/routes", "PUT"],
      ["/v1/lookup", "POST"],
    ] as const) {
      const response = await harness.app.request(path, { method, headers }, { listener: "tcp" });
      assert.deepEqual([path, response.status], [path, 403]);
    }
    assert.equal((await harness.app.request("/v1/owners", {}, { listener: "tcp" })).status, 200);
    const { results } = await harness.post(lines(1));
    assert.equal(results[0]?.status, "fib_programmed");
  });
});

describe("updates that an owner may not make", () => {
  it("name who owns the route, the limit, and the tables", async () => {
    harness.rib.owners.configure([{ name: "small", ...OWNER_SETTINGS, prefixLimit: 1, tables: [100, 254] }]);
    await harness.post(lines(1), { query: "?owner=bgp" });
    const body = `{"op":"delete","prefix":"10.0.0.1/32"}\n${lines(2, 3)}${installLine(2, { table: 7 })}`;
    const { results } = await harness.post(body, { query: "?owner=small" });
    const errors = results
      .filter(({ status }) => status === "rejected")
      .map(({ line, error }): [number, ErrorJson] => [line, error!]);
    assert.deepEqual(
      errors.map(([line, { code, message }]) => [line, code, message]),
      [
        [1, "NOT_OWNER", "Owner small has no such route; it is of owner bgp"],
        [3, "PREFIX_LIMIT", "Owner small may have 1 routes, and this would be one more"],
        [4, "TABLE_NOT_ALLOWED", "Owner small may not write to table 7"],
      ],
    );
    assert.match(errors[2]![1].hint!, /its tables are 100, 254/);
  });
});
