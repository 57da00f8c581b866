import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import type {
  DplaneJson,
  HealthJson,
  LookupJson,
  ProblemJson,
  ReadyJson,
  RouteJson,
  RouteListJson,
} from "../../../core/northbound/api_types.ts";
import { createOpenapiDocument } from "../../../core/northbound/openapi.ts";
import { SCHEMAS } from "../../../core/northbound/openapi_schemas.ts";
import { reference } from "../../../core/northbound/schema.ts";
import { createHarness, type Harness, installLine } from "../../support/api_harness.ts";
import { checkSchema } from "../../support/json_schema.ts";
import { until } from "../../support/wait.ts";

let harness: Harness;
beforeEach(async () => {
  harness = await createHarness();
});
afterEach(() => harness.close());

async function getJson<T>(path: string, status = 200): Promise<T> {
  const response = await harness.app.request(path);
  assert.equal(response.status, status, `${path} answers ${status}`);
  return (await response.json()) as T;
}

async function getProblem(path: string, status: number, init: RequestInit = {}): Promise<ProblemJson> {
  const response = await harness.app.request(path, init);
  assert.equal(response.headers.get("content-type"), "application/problem+json");
  const problem = (await response.json()) as ProblemJson;
  assert.deepEqual([response.status, problem.status], [status, status]);
  assert.equal(checkSchema(problem, reference("Problem"), SCHEMAS), "");
  return problem;
}

function checkAnswer(value: unknown, name: string): void {
  assert.equal(checkSchema(value, reference(name), SCHEMAS), "");
}

async function listPrefixes(query: string): Promise<string[]> {
  const list = await getJson<RouteListJson>(`/v1/routes${query}`);
  checkAnswer(list, "RouteList");
  return list.routes.map(({ prefix }) => prefix).sort();
}

const route = (fields: Readonly<Record<string, unknown>>): string => `${JSON.stringify(fields)}\n`;

describe("GET /v1/routes", () => {
  it("shows a route with all that was said of it, and what became of it", async () => {
    const update = {
      prefix: "2001:db8::/32",
      source: "2001:db8:1::/48",
      vrf: "blue",
      nexthops: [
        { via: "fe80::1", dev: "v0", weight: 3, labels: [100, 200] },
        { via: "2001:db8:2::1", dev: "v1", onlink: true, seg6: { mode: "encap", segs: ["fc00::1"] } },
      ],
      metric: 7,
      distance: 200,
      protocol: "bgp",
      tag: 5,
      mtu: 1400,
      prefsrc: "2001:db8::2",
    };
    await harness.post(route(update), { query: "?owner=bird" });
    const list = await getJson<RouteListJson>("/v1/routes");
    checkAnswer(list, "RouteList");
    const [{ since, ...shown }] = list.routes as [RouteJson];
    assert.ok(since! > 0 && since! % 1000 === 0);
    const { weight, ...second } = shown.nexthops![1]!;
    assert.deepEqual([weight, second], [1, update.nexthops[1]]);
    assert.deepEqual(shown, {
      ...update,
      nexthops: [update.nexthops[0], { weight: 1, ...update.nexthops[1] }],
      table: 100,
      type: "unicast",
      owner: "bird",
      status: "fib_programmed",
    });
    // What is shown is an update again.
    const { owner, status, ...again } = shown;
    assert.deepEqual([owner, status], ["bird", "fib_programmed"]);
    const { results } = await harness.post(route(again), { query: "?owner=bird" });
    assert.equal(results[0]?.status, "fib_programmed");
  });

  it("filters by prefix, table, owner, status and family", async () => {
    const nexthops = [{ dev: "v0" }];
    await harness.post(
      [
        { prefix: "10.0.0.0/8", nexthops },
        { prefix: "10.0.0.0/8", nexthops, metric: 30 },
        { prefix: "10.1.0.0/16", nexthops },
        { prefix: "11.0.0.0/8", nexthops, table: 100 },
        { prefix: "0.0.0.0/0", nexthops },
        { prefix: "::/0", nexthops },
      ]
        .map(route)
        .join(""),
    );
    harness.kernel.answer = (io, slot) => io.contexts.fail(slot, 101, "no");
    await harness.post(route({ prefix: "2001:db8::/32", nexthops }), { query: "?owner=bird" });
    const cases: [string, string[]][] = [
      ["?prefix=10.0.0.0/8", ["10.0.0.0/8", "10.0.0.0/8"]],
      ["?prefix=10.0.0.0/8&longer=true", ["10.0.0.0/8", "10.0.0.0/8", "10.1.0.0/16"]],
      ["?prefix=10.0.0.0/9", []],
      ["?prefix=10.0.0.0/9&longer=true", ["10.1.0.0/16"]],
      ["?prefix=default", ["0.0.0.0/0", "::/0"]],
      ["?prefix=default&family=ipv6&longer=true", ["2001:db8::/32", "::/0"]],
      ["?table=100", ["11.0.0.0/8"]],
      ["?table=blue", ["11.0.0.0/8"]],
      ["?owner=bird", ["2001:db8::/32"]],
      ["?owner=nobody", []],
      ["?status=fib_failed", ["2001:db8::/32"]],
      ["?family=ipv4&status=fib_programmed", ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/8", "10.1.0.0/16", "11.0.0.0/8"]],
    ];
    for (const [query, expected] of cases) assert.deepEqual([query, await listPrefixes(query)], [query, expected]);
    const names = harness.rib.owners.values().map(({ name }) => name);
    assert.deepEqual(names, ["default", "bird"], "asking for an owner does not make one");
  });

  it("says why a route failed, and that one is under way", async () => {
    harness.kernel.answer = (io, slot) => io.contexts.fail(slot, 101, "Nexthop has invalid gateway");
    await harness.post(installLine(1));
    const failed = await getJson<RouteListJson>("/v1/routes");
    assert.deepEqual([failed.routes[0]?.provider, failed.routes[0]?.error?.code], ["kernel", "ENETUNREACH"]);
    assert.match(failed.routes[0]!.error!.hint!, /no route to 192\.0\.2\.1 on v0/);
    harness.kernel.holds = true;
    const pending = harness.post(installLine(2));
    await until("it is under way", () => harness.kernel.held === 1);
    const waiting = await getJson<RouteListJson>("/v1/routes?prefix=10.0.0.2");
    assert.deepEqual([waiting.routes[0]?.status, waiting.routes[0]?.waitingFor], ["rib_programmed", "dataplane"]);
    harness.kernel.release();
    await pending;
  });

  it("lists what each owner wants of a route, the selected one first", async () => {
    const wanted = (dev: string, distance: number) => route({ prefix: "10.0.0.0/8", nexthops: [{ dev }], distance });
    await harness.post(wanted("v0", 50), { query: "?owner=slow" });
    await harness.post(wanted("v1", 10), { query: "?owner=fast" });
    harness.kernel.answer = (io, slot) => io.contexts.fail(slot, 101, "Nexthop has invalid gateway");
    await harness.post(wanted("v1", 5), { query: "?owner=bad" });
    harness.kernel.answer = (io, slot) => io.contexts.succeed(slot);
    await harness.rib.reconciler.idle();
    await until("the better one is back", () => harness.dataplane.pool.free === harness.dataplane.pool.size);
    const brief = async (query: string): Promise<unknown[]> => {
      const list = await getJson<RouteListJson>(`/v1/routes${query}`);
      checkAnswer(list, "RouteList");
      return list.routes.map(({ owner, status, winner, error }) => [owner, status, winner, error?.code]);
    };
    const all = [
      ["fast", "fib_programmed", undefined, undefined],
      ["slow", "rib_programmed", "fast", undefined],
      ["bad", "fib_failed", "fast", "ENETUNREACH"],
    ];
    assert.deepEqual(await brief(""), all);
    assert.deepEqual(await brief("?limit=1"), all, "a route is listed with what all its owners want");
    for (const [index, owner] of ["fast", "slow", "bad"].entries()) {
      assert.deepEqual(await brief(`?owner=${owner}`), [all[index]]);
    }
    assert.deepEqual(await brief("?status=rib_programmed"), [all[1]]);
    assert.deepEqual(await brief("?status=fib_failed&prefix=10.0.0.0/8"), [all[2]]);
    assert.deepEqual(await brief("?status=fib_failed&owner=slow"), []);
  });

  it("says what a route waits for whose nexthop group is not there", async () => {
    const { results } = await harness.post(route({ prefix: "10.0.0.0/8", nexthopGroup: 7 }));
    assert.deepEqual([results[0]?.status, results[0]?.waitingFor], ["rib_programmed", "nexthop-group 7"]);
    const list = await getJson<RouteListJson>("/v1/routes");
    checkAnswer(list, "RouteList");
    assert.deepEqual([list.routes[0]?.status, list.routes[0]?.waitingFor], ["rib_programmed", "nexthop-group 7"]);
  });

  it("pages through all routes exactly once", async () => {
    let body = "";
    for (let number = 0; number < 250; number++) body += installLine(number);
    for (let number = 0; number < 50; number++) body += route({ prefix: `2001:db8:${number}::/48`, type: "blackhole" });
    await harness.post(body);
    const seen: string[] = [];
    let pages = 0;
    for (let cursor = ""; ; pages++) {
      const query = cursor === "" ? "" : `&cursor=${cursor}`;
      const page = await getJson<RouteListJson>(`/v1/routes?limit=60${query}`);
      seen.push(...page.routes.map(({ prefix }) => prefix));
      if (page.cursor === undefined) break;
      cursor = page.cursor;
    }
    assert.deepEqual([seen.length, new Set(seen).size, pages + 1], [300, 300, 5]);
  });

  it("streams NDJSON without a limit, and a page of JSON with one", async () => {
    let body = "";
    for (let number = 0; number < 1500; number++) body += installLine(number);
    await harness.post(body, { query: "?ack=none" });
    const response = await harness.app.request("/v1/routes", { headers: { accept: "application/x-ndjson" } });
    assert.equal(response.headers.get("content-type"), "application/x-ndjson");
    const lines = (await response.text()).trimEnd().split("\n");
    assert.equal(new Set(lines.map((line) => JSON.parse(line).prefix)).size, 1500);
    const page = await getJson<RouteListJson>("/v1/routes");
    assert.deepEqual([page.routes.length, page.cursor], [1000, "4.1001"]);
    const limited = await harness.app.request("/v1/routes?limit=2", { headers: { accept: "application/x-ndjson" } });
    assert.equal((await limited.text()).trimEnd().split("\n").length, 2);
  });

  it("stops working on a listing when its reader goes away", async () => {
    let body = "";
    for (let number = 0; number < 3000; number++) body += installLine(number);
    await harness.post(body, { query: "?ack=none" });
    const response = await harness.app.request("/v1/routes", { headers: { accept: "application/x-ndjson" } });
    const reader = response.body!.getReader();
    assert.ok((await reader.read()).value!.length > 0);
    await reader.cancel();
    assert.equal((await reader.read()).done, true);
  });

  it("refuses parameters that make no sense", async () => {
    const cases: [string, RegExp, string?][] = [
      ["?prefix=10.0.0.1/8", /host bits/, "did you mean 10.0.0.0/8?"],
      ["?longer=true", /longer needs a prefix/],
      ["?table=red", /neither a table's number nor the name of a VRF/],
      ["?limit=0", /limit cannot be "0"/],
      ["?status=programmed", /status cannot be/],
      ["?cursor=x", /is no cursor/],
      ["?famly=ipv4", /There is no parameter/, "did you mean family?"],
    ];
    for (const [query, detail, hint] of cases) {
      const problem = await getProblem(`/v1/routes${query}`, 400);
      assert.match(problem.detail!, detail);
      if (hint !== undefined) assert.equal(problem.hint, hint);
    }
  });
});

describe("GET /v1/lookup", () => {
  const lookUp = async (query: string): Promise<string> => {
    const answer = await getJson<LookupJson>(`/v1/lookup?${query}`);
    checkAnswer(answer, "Lookup");
    if (answer.route === null) return "none";
    const { prefix, metric, source } = answer.route;
    return `${prefix} ${metric}${source === undefined ? "" : ` from ${source}`}`;
  };

  it("finds the longest prefix, then the longest source, then the lowest metric", async () => {
    const nexthops = [{ dev: "v0" }];
    const source = "2001:db8:5::/48";
    await harness.post(
      [
        { prefix: "0.0.0.0/0", nexthops, metric: 1 },
        { prefix: "10.0.0.0/8", nexthops, metric: 50 },
        { prefix: "10.0.0.0/8", nexthops, metric: 30 },
        { prefix: "10.1.2.0/24", nexthops, metric: 90 },
        { prefix: "10.1.2.3/32", nexthops, table: 100 },
        { prefix: "::/0", nexthops, source },
        { prefix: "::/0", nexthops },
        { prefix: "2001:db8::/33", nexthops },
        { prefix: "2001:db8::/33", nexthops, source, metric: 99 },
      ]
        .map(route)
        .join(""),
    );
    const cases: [string, string][] = [
      ["address=10.1.2.3", "10.1.2.0/24 90"],
      ["address=10.1.3.3", "10.0.0.0/8 30"],
      ["address=192.0.2.1", "0.0.0.0/0 1"],
      ["address=10.1.2.3&table=blue", "10.1.2.3/32 20"],
      ["address=10.1.2.4&table=100", "none"],
      ["address=2001:db8::1", "2001:db8::/33 20"],
      ["address=2001:db8::1&source=2001:db8:5::9", "2001:db8::/33 99 from 2001:db8:5::/48"],
      ["address=2001:db8::1&source=2001:db8:6::9", "2001:db8::/33 20"],
      ["address=2001:db8:8000::1", "::/0 20"],
      ["address=2001:db8:8000::1&source=2001:db8:5::9", "::/0 20 from 2001:db8:5::/48"],
    ];
    for (const [query, expected] of cases) assert.deepEqual([query, await lookUp(query)], [query, expected]);
  });

  it("passes over what the kernel does not have", async () => {
    await harness.post(route({ prefix: "10.0.0.0/8", nexthops: [{ dev: "v0" }] }));
    harness.kernel.answer = (io, slot) => io.contexts.fail(slot, 101, "no");
    await harness.post(route({ prefix: "10.1.0.0/16", nexthops: [{ dev: "v0" }] }));
    // The kernel still has the old nexthop, and that is what is shown.
    await harness.post(route({ prefix: "10.0.0.0/8", nexthops: [{ dev: "v1" }] }));
    const { route: found } = await getJson<LookupJson>("/v1/lookup?address=10.1.0.1");
    assert.deepEqual([found?.prefix, found?.nexthops?.[0]?.dev], ["10.0.0.0/8", "v0"]);
  });

  it("refuses what is no address", async () => {
    assert.match((await getProblem("/v1/lookup", 400)).detail!, /address is missing/);
    assert.match((await getProblem("/v1/lookup?address=10.0.0.0/8", 400)).detail!, /address: /);
    assert.match((await getProblem("/v1/lookup?address=10.0.0.1&source=::1", 400)).detail!, /different families/);
  });
});

describe("status of the daemon", () => {
  it("shows the dataplane's counters", async () => {
    await harness.post(`${installLine(1)}nonsense\n`);
    const dplane = await getJson<DplaneJson>("/v1/dplane");
    checkAnswer(dplane, "Dplane");
    assert.deepEqual([dplane.routeUpdates, dplane.routeUpdateErrors, dplane.state], [1, 1, "running"]);
    assert.deepEqual([dplane.results.fibProgrammed, dplane.results.rejected], [1, 1]);
    assert.equal(dplane.pool.free, dplane.pool.size);
  });

  it("shows the providers", async () => {
    await harness.post(installLine(1));
    const answer = await getJson<{ providers: Record<string, unknown>[] }>("/v1/providers");
    checkAnswer(answer, "Providers");
    const { id, name, state, in: given, out, errors } = answer.providers[0]!;
    assert.deepEqual(
      { id, name, state, given, out, errors },
      { id: 1, name: "kernel", state: "up", given: 1, out: 1, errors: 0 },
    );
  });

  it("is healthy while its threads live, and ready when startup is done", async () => {
    const health = await getJson<HealthJson>("/healthz");
    checkAnswer(health, "Health");
    assert.deepEqual([health.status, health.version, health.workers[0]?.name], ["ok", "1.2.3", "dataplane"]);
    assert.deepEqual(await getJson<ReadyJson>("/readyz"), { ready: true, reasons: [] });
    harness.startup.push("the kernel's routes are being read");
    assert.deepEqual((await getJson<ReadyJson>("/readyz", 503)).reasons, ["the kernel's routes are being read"]);
    harness.startup.length = 0;
    harness.dataplane.preFinish();
    assert.deepEqual((await getJson<ReadyJson>("/readyz", 503)).reasons, ["dplaned is shutting down"]);
  });

  it("says that a worker is dead", async () => {
    const worker = { name: "monitor", alive: false, heartbeatAgeMs: 12_000 };
    const other = await createHarness({ parts: { workers: () => [worker] } });
    const response = await other.app.request("/healthz");
    assert.equal(response.status, 503);
    const health = (await response.json()) as HealthJson;
    assert.deepEqual([health.status, health.workers], ["failed", [worker]]);
    await other.close();
  });

  it("names what is not up yet", async () => {
    const other = await createHarness({ start: false });
    const response = await other.app.request("/readyz");
    assert.equal(response.status, 503);
    const { reasons } = (await response.json()) as ReadyJson;
    assert.deepEqual(reasons, ["the dataplane is starting", "provider kernel is starting"]);
    await other.close();
  });

  it("answers probes that add parameters of their own", async () => {
    await getJson("/healthz?t=1");
    await getJson("/readyz?t=1");
    await getProblem("/v1/dplane?t=1", 400);
  });
});

describe("GET /metrics", () => {
  it("has everything that is counted, in Prometheus' format", async () => {
    await harness.post(`${installLine(1)}${route({ prefix: "2001:db8::/32", type: "blackhole" })}nonsense\n`);
    await harness.app.request("/nowhere");
    const response = await harness.app.request("/metrics");
    assert.match(response.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
    const text = await response.text();
    const samples = new Map<string, number>();
    const typed = new Set<string>();
    for (const line of text.split("\n")) {
      if (line.startsWith("# TYPE ")) typed.add(line.split(" ")[2]!);
      if (line === "" || line.startsWith("#")) continue;
      const match = /^([a-z_]+(?:\{[^}]*\})?) (\S+)$/.exec(line);
      assert.ok(match !== null && Number.isFinite(Number(match[2])), `${line} is a sample`);
      samples.set(match[1]!, Number(match[2]));
      const name = match[1]!.replace(/\{.*/, "").replace(/_(bucket|sum|count)$/, "");
      assert.ok(typed.has(name) || typed.has(match[1]!.replace(/\{.*/, "")), `${name} has a type`);
    }
    for (const [name, value] of [
      ["dplaned_dplane_route_updates_total", 2],
      ["dplaned_dplane_route_update_errors_total", 1],
      ['dplaned_results_total{status="fib_programmed"}', 2],
      ['dplaned_results_total{status="rejected"}', 1],
      ['dplaned_rib_routes{family="ipv4"}', 1],
      ['dplaned_rib_routes{family="ipv6"}', 1],
      ['dplaned_provider_in_total{provider="kernel",kind="stub",priority="kernel"}', 2],
      ['dplaned_provider_up{provider="kernel",kind="stub",priority="kernel"}', 1],
      ['dplaned_update_duration_seconds_count{stage="total"}', 2],
      ['dplaned_update_duration_seconds_bucket{stage="total",le="+Inf"}', 2],
      ['dplaned_http_requests_total{route="/v1/routes",method="POST",status="200"}', 1],
      ['dplaned_http_requests_total{route="none",method="GET",status="404"}', 1],
      ["dplaned_update_streams_total", 1],
      ["dplaned_update_streams_open", 0],
      ["dplaned_ready", 1],
    ] as const) {
      assert.deepEqual([name, samples.get(name)], [name, value]);
    }
    assert.ok(samples.get("process_resident_memory_bytes")! > 1e6);
    assert.ok(Math.abs(samples.get("process_start_time_seconds")! - Date.now() / 1000) < 60);
    for (const line of text.split("\n").filter((text) => text.startsWith("# HELP ")))
      assert.match(line, /\S+ \S+ \S+ .+\.$/);
  });
});

describe("what is not there", () => {
  it("is answered with a problem that says what is", async () => {
    assert.match((await getProblem("/v2/routes", 404)).hint!, /openapi/);
    const problem = await getProblem("/v1/lookup", 405, { method: "DELETE" });
    assert.equal(problem.hint, "it takes GET, HEAD");
    const response = await harness.app.request("/v1/routes", { method: "PUT" });
    assert.equal(response.headers.get("allow"), "GET, HEAD, POST");
  });

  it("answers HEAD as GET without a body, and holds nothing for it", async () => {
    for (const path of ["/healthz", "/v1/routes", "/v1/events", "/metrics", "/"]) {
      const response = await harness.app.request(path, { method: "HEAD" });
      assert.deepEqual([path, response.status, await response.text()], [path, 200, ""]);
    }
    assert.equal(harness.events.subscribers, 0);
  });

  it("hides what went wrong inside, and logs it", async () => {
    const other = await createHarness({
      parts: {
        readiness: () => {
          throw new Error("secret");
        },
      },
    });
    const response = await other.app.request("/readyz");
    const problem = (await response.json()) as ProblemJson;
    assert.deepEqual([response.status, problem.detail?.includes("secret")], [500, false]);
    assert.ok(other.log.said("Request failed"));
    await other.close();
  });

  it("refuses writes over TCP", async () => {
    const environment = { listener: "tcp" } as const;
    const refused = await harness.app.request("/v1/routes", { method: "POST", body: installLine(1) }, environment);
    assert.equal(refused.status, 403);
    assert.match(((await refused.json()) as ProblemJson).hint!, /unix socket/);
    assert.equal((await harness.app.request("/v1/routes", {}, environment)).status, 200);
    assert.equal(harness.dataplane.snapshot().routeUpdates, 0);
  });
});

describe("GET /openapi.json", () => {
  it("lists exactly the calls that there are", async () => {
    const document = await getJson<ReturnType<typeof createOpenapiDocument>>("/openapi.json");
    assert.deepEqual(document, JSON.parse(JSON.stringify(createOpenapiDocument("1.2.3"))));
    const documented = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const mounted = harness.app.routes
      .filter(({ method }) => method !== "ALL")
      .map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`);
    assert.deepEqual(documented.sort(), Array.from(new Set(mounted)).sort());
  });

  it("refers only to schemas that it has, and has none that nothing refers to", () => {
    const text = JSON.stringify(createOpenapiDocument("0"));
    const used = new Set(Array.from(text.matchAll(/#\/components\/schemas\/(\w+)/g), (match) => match[1]!));
    assert.deepEqual(Array.from(used).sort(), Object.keys(SCHEMAS).sort());
  });
});
