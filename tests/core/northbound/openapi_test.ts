/** `/openapi.json` is complete and true: each answer that it describes is given, and each parameter taken. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { curlExamples, EXAMPLE_OPERATIONS } from "../../../core/northbound/openapi_examples.ts";
import { SCHEMAS } from "../../../core/northbound/openapi_schemas.ts";
import type { Schema } from "../../../core/northbound/schema.ts";
import { OWNERS_MAX } from "../../../core/rib/route_store.ts";
import { createHarness, type Harness, installLine } from "../../support/api_harness.ts";
import { CALLS, checkAnswer, DOCUMENT } from "../../support/openapi_check.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url).href);

let harness: Harness;
beforeEach(async () => {
  harness = await createHarness({
    parts: {
      fpmClients: [
        {
          name: "export",
          address: "192.0.2.1:2620",
          profile: "frr",
          counters: new SharedArrayBuffer(1024),
          replay: () => {},
        },
      ],
    },
  });
});
afterEach(() => harness.close());

type Ask = (harness: Harness) => Promise<Response>;

const TCP = { listener: "tcp" } as const;
const GROUP = JSON.stringify({ members: [{ via: "192.0.2.1", dev: "v0" }] });
const MEMBERLESS = JSON.stringify({ members: [] });

const ask =
  (method: string, path: string, body?: string, headers: Readonly<Record<string, string>> = {}): Ask =>
  async ({ app }) =>
    app.request(path, { method, headers, ...(body === undefined ? {} : { body }) });
const overTcp =
  (method: string, path: string): Ask =>
  async ({ app }) =>
    app.request(path, { method, body: "" }, TCP);
/** After a preparation. */
const after =
  (prepare: (harness: Harness) => unknown, then: Ask): Ask =>
  async (given) => {
    await prepare(given);
    return await then(given);
  };

const settings = { distance: 20, prefixLimit: 0, tables: [], takeOver: false, token: null, certificates: [] };
const withToken = ({ rib }: Harness): void => rib.owners.configure([{ ...settings, name: "safe", token: "secret" }]);
const withLimit = ({ rib }: Harness): void => rib.owners.configure([{ ...settings, name: "small", prefixLimit: 1 }]);
const crowd = ({ rib }: Harness): void => {
  for (let number = 0; number < OWNERS_MAX; number++) rib.owners.intern(`owner-${number}`);
};
/** So many wrong tokens that none is looked at any more. */
const guessing = async (own: Harness): Promise<void> => {
  withToken(own);
  const headers = { authorization: "Bearer guess" };
  for (let guess = 0; guess < 10; guess++) {
    const response = await own.app.request("/v1/routes?owner=safe", { method: "POST", headers, body: "" });
    assert.equal(response.status, 401);
  }
};
const RIGHT = { authorization: "Bearer secret" };
const stopping = ({ dataplane }: Harness): void => dataplane.preFinish();
const withGroup = async ({ app }: Harness): Promise<unknown> =>
  app.request("/v1/nexthop-groups/7", { method: "PUT", body: GROUP });
/** Begins a sync that does not end. */
const syncing = async ({ app }: Harness): Promise<unknown> => {
  const body = new ReadableStream({ pull: () => new Promise(() => {}) });
  void app.request("/v1/owners/bgp/routes", { method: "PUT", body, duplex: "half" } as RequestInit);
  return undefined;
};
const notModified =
  (path: string): Ask =>
  async ({ app }) => {
    const { headers } = await app.request(path);
    return app.request(path, { headers: { "if-none-match": headers.get("etag")! } });
  };
const other = async (parts: Parameters<typeof createHarness>[0], then: Ask): Promise<Response> => {
  const own = await createHarness(parts);
  try {
    const response = await then(own);
    return new Response(await response.arrayBuffer(), response);
  } finally {
    await own.close();
  }
};

const XML = { "content-type": "text/xml" };
const BAD_PARAMETER = "?nonsense=1";

/** A request for each answer that is described, but for those that other tests have. */
const ANSWERS: Readonly<Record<string, Ask>> = {
  "GET /v1/routes 200": after((own) => own.post(installLine(1)), ask("GET", "/v1/routes")),
  "POST /v1/routes 200": ask("POST", "/v1/routes", `${installLine(1)}nonsense\n`),
  "POST /v1/routes 401": after(withToken, ask("POST", "/v1/routes?owner=safe", installLine(1))),
  "POST /v1/routes 403": overTcp("POST", "/v1/routes"),
  "POST /v1/routes 415": ask("POST", "/v1/routes", "<a/>", XML),
  "POST /v1/routes 429": after(guessing, ask("POST", "/v1/routes?owner=safe", "", RIGHT)),
  "POST /v1/routes 503": after(crowd, ask("POST", "/v1/routes?owner=one-more", installLine(1))),
  "GET /v1/routes/history 200": after(
    (own) => own.post(installLine(1)),
    ask("GET", "/v1/routes/history?prefix=10.0.0.1/32"),
  ),
  "GET /v1/owners 200": after((own) => own.post(installLine(1)), ask("GET", "/v1/owners")),
  "PUT /v1/owners/{owner}/routes 200": ask("PUT", "/v1/owners/bgp/routes?ack=all", installLine(1)),
  "PUT /v1/owners/{owner}/routes 401": after(withToken, ask("PUT", "/v1/owners/safe/routes", installLine(1))),
  "PUT /v1/owners/{owner}/routes 429": after(guessing, ask("PUT", "/v1/owners/safe/routes", "", RIGHT)),
  "PUT /v1/owners/{owner}/routes 403": overTcp("PUT", "/v1/owners/bgp/routes"),
  "PUT /v1/owners/{owner}/routes 408": () =>
    other({ parts: { bodyIdleMs: 20 } }, async ({ app }) => {
      const body = new ReadableStream({ pull: () => new Promise(() => {}) });
      return app.request("/v1/owners/bgp/routes", { method: "PUT", body, duplex: "half" } as RequestInit);
    }),
  "PUT /v1/owners/{owner}/routes 409": after(syncing, ask("PUT", "/v1/owners/bgp/routes", installLine(1))),
  "PUT /v1/owners/{owner}/routes 413": after(
    withLimit,
    ask("PUT", "/v1/owners/small/routes", installLine(1) + installLine(2)),
  ),
  "PUT /v1/owners/{owner}/routes 415": ask("PUT", "/v1/owners/bgp/routes", "<a/>", XML),
  "PUT /v1/owners/{owner}/routes 422": ask("PUT", "/v1/owners/bgp/routes", '{"prefix":"10.0.0.1/8"}\n'),
  "PUT /v1/owners/{owner}/routes 503": after(crowd, ask("PUT", "/v1/owners/one-more/routes", installLine(1))),
  "DELETE /v1/owners/{owner}/routes 200": after(
    (own) => own.post(installLine(1), { query: "?owner=bgp" }),
    ask("DELETE", "/v1/owners/bgp/routes?ack=all"),
  ),
  "DELETE /v1/owners/{owner}/routes 401": after(withToken, ask("DELETE", "/v1/owners/safe/routes")),
  "DELETE /v1/owners/{owner}/routes 429": after(guessing, ask("DELETE", "/v1/owners/safe/routes", undefined, RIGHT)),
  "DELETE /v1/owners/{owner}/routes 403": overTcp("DELETE", "/v1/owners/bgp/routes"),
  "DELETE /v1/owners/{owner}/routes 404": ask("DELETE", "/v1/owners/nobody/routes"),
  "DELETE /v1/owners/{owner}/routes 409": after(syncing, ask("DELETE", "/v1/owners/bgp/routes")),
  "DELETE /v1/owners/{owner}/routes 503": after(
    async (own) => {
      await own.post(installLine(1), { query: "?owner=bgp" });
      stopping(own);
    },
    ask("DELETE", "/v1/owners/bgp/routes"),
  ),
  "GET /v1/lookup 200": after((own) => own.post(installLine(1)), ask("GET", "/v1/lookup?address=10.0.0.1")),
  "GET /v1/nexthop-groups 200": after(withGroup, ask("GET", "/v1/nexthop-groups")),
  "GET /v1/nexthop-groups/{id} 200": after(withGroup, ask("GET", "/v1/nexthop-groups/7")),
  "GET /v1/nexthop-groups/{id} 400": ask("GET", "/v1/nexthop-groups/x"),
  "GET /v1/nexthop-groups/{id} 404": ask("GET", "/v1/nexthop-groups/7"),
  "PUT /v1/nexthop-groups/{id} 200": ask("PUT", "/v1/nexthop-groups/7", GROUP),
  "PUT /v1/nexthop-groups/{id} 400": ask("PUT", "/v1/nexthop-groups/7", MEMBERLESS),
  "PUT /v1/nexthop-groups/{id} 403": overTcp("PUT", "/v1/nexthop-groups/7"),
  "PUT /v1/nexthop-groups/{id} 409": ask("PUT", `/v1/nexthop-groups/${0xf000_0000}`, GROUP),
  "PUT /v1/nexthop-groups/{id} 413": ask("PUT", "/v1/nexthop-groups/7", " ".repeat(2 << 20)),
  "PUT /v1/nexthop-groups/{id} 503": after(stopping, ask("PUT", "/v1/nexthop-groups/7", GROUP)),
  "DELETE /v1/nexthop-groups/{id} 204": after(withGroup, ask("DELETE", "/v1/nexthop-groups/7")),
  "DELETE /v1/nexthop-groups/{id} 400": ask("DELETE", "/v1/nexthop-groups/0"),
  "DELETE /v1/nexthop-groups/{id} 403": overTcp("DELETE", "/v1/nexthop-groups/7"),
  "DELETE /v1/nexthop-groups/{id} 404": ask("DELETE", "/v1/nexthop-groups/7"),
  "DELETE /v1/nexthop-groups/{id} 409": after(
    async (own) => {
      await withGroup(own);
      await own.post(`${JSON.stringify({ prefix: "10.0.0.0/8", nexthopGroup: 7 })}\n`);
    },
    ask("DELETE", "/v1/nexthop-groups/7"),
  ),
  "GET /v1/overview 200": after(withGroup, ask("GET", "/v1/overview")),
  "GET /v1/dplane 200": ask("GET", "/v1/dplane"),
  "GET /v1/providers 200": ask("GET", "/v1/providers"),
  "POST /v1/providers/{provider}/restart 403": overTcp("POST", "/v1/providers/kernel/restart"),
  "POST /v1/providers/{provider}/restart 404": ask("POST", "/v1/providers/kernel/restart"),
  "GET /v1/fpm 200": ask("GET", "/v1/fpm"),
  "POST /v1/fpm/clients/{client}/replay 202": ask("POST", "/v1/fpm/clients/export/replay"),
  "POST /v1/fpm/clients/{client}/replay 403": overTcp("POST", "/v1/fpm/clients/export/replay"),
  "POST /v1/fpm/clients/{client}/replay 404": ask("POST", "/v1/fpm/clients/nobody/replay"),
  "POST /v1/fpm/clients/{client}/replay 503": after(stopping, ask("POST", "/v1/fpm/clients/export/replay")),
  "GET /v1/audit 200": ask("GET", "/v1/audit"),
  "POST /v1/audit 200": ask("POST", "/v1/audit"),
  "POST /v1/audit 403": overTcp("POST", "/v1/audit"),
  "POST /v1/audit 503": () =>
    other(
      {
        parts: {
          auditor: { audit: () => Promise.reject(new Error("no kernel")), lastAudit: null, audits: 0, overruns: 0 },
        },
      },
      ask("POST", "/v1/audit"),
    ),
  "GET /v1/events 200": async (own) => {
    const response = await ask("GET", "/v1/events")(own);
    const first = response.body!.getReader();
    const { value } = await first.read();
    await first.cancel();
    return new Response(value!, response);
  },
  "GET /healthz 200": ask("GET", "/healthz"),
  "GET /healthz 503": () =>
    other(
      { parts: { workers: () => [{ name: "monitor", alive: false, heartbeatAgeMs: 12_000 }] } },
      ask("GET", "/healthz"),
    ),
  "GET /readyz 200": ask("GET", "/readyz"),
  "GET /readyz 503": after(stopping, ask("GET", "/readyz")),
  "GET /metrics 200": ask("GET", "/metrics"),
  "GET /openapi.json 200": ask("GET", "/openapi.json"),
  "GET / 200": ask("GET", "/"),
  "GET / 304": notModified("/"),
  "GET /docs 200": ask("GET", "/docs"),
  "GET /docs 304": notModified("/docs"),
  "GET /web/{file} 200": ask("GET", "/web/app.js"),
  "GET /web/{file} 304": notModified("/web/app.js"),
  "GET /web/{file} 404": ask("GET", "/web/nothing.js"),
};

/** Answers that take more than a request to get, by the test that gets them and what it says of them. */
const ELSEWHERE: Readonly<Record<string, readonly [file: string, text: string]>> = {
  "POST /v1/providers/{provider}/restart 200": ["tests/core/northbound/plugins_test.ts", "restarted: true"],
  "POST /v1/providers/{provider}/restart 409": ["tests/core/northbound/plugins_test.ts", "409"],
};

/** A path with something in the place of its parameters. */
function fill(path: string): string {
  return path
    .replace("{id}", "7")
    .replace("{file}", "app.js")
    .replace(/\{\w+\}/g, "x");
}

/** A bad query is a bad query everywhere; calls that take bodies are asked with one. */
function badQuery(method: string, path: string): Ask {
  return ask(method, fill(path) + BAD_PARAMETER, method === "GET" || method === "DELETE" ? undefined : "");
}

describe("every answer that is described", () => {
  for (const { method, path, operation } of CALLS) {
    for (const status of Object.keys(operation.responses)) {
      // What is turned away before it is looked at: server_limits_test.ts, request_gate_test.ts.
      if (status === "default") continue;
      const name = `${method} ${path} ${status}`;
      const request = ANSWERS[name] ?? (status === "400" ? badQuery(method, path) : undefined);
      const elsewhere = ELSEWHERE[name];
      it(name, async () => {
        if (elsewhere !== undefined) {
          const [file, text] = elsewhere;
          assert.ok(existsSync(join(ROOT, file)) && readFileSync(join(ROOT, file), "utf8").includes(text), file);
          return;
        }
        assert.ok(request !== undefined, "nobody asks for it here");
        const response = await request(harness);
        const body = await response.text();
        assert.equal(response.status, Number(status), body);
        const contentType = response.headers.get("content-type") ?? "";
        assert.equal(checkAnswer(method, fill(path), { status: response.status, contentType, body }), "");
      });
    }
  }

  it("and no other is asked for here", () => {
    const described = CALLS.flatMap(({ method, path, operation }) =>
      Object.keys(operation.responses).map((status) => `${method} ${path} ${status}`),
    );
    for (const name of [...Object.keys(ANSWERS), ...Object.keys(ELSEWHERE)]) assert.ok(described.includes(name), name);
  });
});

interface Parameter {
  name: string;
  in: "query" | "path";
  required: boolean;
  description: string;
  schema: Schema;
}

/** Values that a parameter takes where its schema alone does not tell. */
const VALUES: Readonly<Record<string, string>> = {
  prefix: "10.0.0.0/8",
  source: "10.0.0.0/8",
  address: "10.0.0.1",
  table: "254",
  owner: "bgp",
  types: "kernel,health",
  objects: "link,address",
  cursor: "4.1",
};

function valuesOf({ name, schema }: Parameter): string[] {
  if (schema.enum !== undefined) return schema.enum.map(String);
  if (schema.type === "boolean") return ["true", "false"];
  if (schema.type === "integer") return [String(schema.minimum ?? 0), String(Math.min(schema.maximum ?? 5, 5))];
  return [VALUES[name] ?? assert.fail(`no value is known for ${name}`)];
}

function wrongValuesOf({ schema }: Parameter): string[] {
  if (schema.enum !== undefined) return ["nonsense"];
  if (schema.type === "boolean") return ["yes"];
  if (schema.type === "integer") return ["-1", "1e3", String((schema.maximum ?? 0) + 1)];
  return [];
}

describe("every parameter that is described", () => {
  for (const { method, path, operation } of CALLS) {
    const all = (operation.parameters ?? []) as readonly Parameter[];
    const own = all.filter((parameter) => parameter.in === "query");
    if (own.length === 0) continue;
    /** Asks with this parameter and whatever must be beside it. */
    const send = async (parameter: Parameter, value: string): Promise<number> => {
      const search = new URLSearchParams();
      for (const { name, required } of own) if (required) search.set(name, VALUES[name]!);
      if (parameter.name === "longer") search.set("prefix", VALUES["prefix"]!);
      if (path === "/v1/lookup" && parameter.name === "source") search.set("address", "10.0.0.1");
      const wanted = path === "/v1/lookup" && parameter.name === "source" ? "10.0.0.2" : value;
      const cursor = path === "/v1/overview" && parameter.name === "cursor" ? "1.2.3" : wanted;
      search.set(parameter.name, cursor);
      const body = method === "POST" || method === "PUT" ? "" : undefined;
      const response = await ask(method, `${fill(path)}?${search}`, body)(harness);
      // A stream of events has no end, and anything else is to come to its own.
      if (path === "/v1/events") await response.body?.cancel();
      else await response.text();
      return response.status;
    };
    for (const parameter of own) {
      it(`${method} ${path}: ${parameter.name}`, async () => {
        if (method === "DELETE") await harness.post(installLine(1), { query: "?owner=x" });
        for (const value of valuesOf(parameter)) assert.equal(await send(parameter, value), 200, value);
        for (const value of wrongValuesOf(parameter)) assert.equal(await send(parameter, value), 400, value);
      });
    }
  }
});

describe("the document", () => {
  it("puts each call into a group that it explains, under a name of its own", () => {
    const tags = DOCUMENT.tags.map(({ name }) => name);
    for (const { operation, path } of CALLS)
      assert.ok(
        operation.tags?.every((tag) => tags.includes(tag)),
        path,
      );
    for (const tag of tags)
      assert.ok(
        CALLS.some(({ operation }) => operation.tags?.includes(tag)),
        tag,
      );
    const names = CALLS.map(({ operation }) => operation.operationId);
    assert.equal(new Set(names).size, names.length);
  });

  it("has commands for calls that there are", () => {
    for (const name of EXAMPLE_OPERATIONS) {
      const call = CALLS.find(({ operation }) => operation.operationId === name);
      assert.ok(call !== undefined, name);
      assert.deepEqual(
        call.operation["x-codeSamples"],
        curlExamples(name).map(({ label, command }) => ({ lang: "Shell", label, source: command })),
      );
    }
    const without = CALLS.filter(({ operation }) => !EXAMPLE_OPERATIONS.includes(operation.operationId));
    assert.deepEqual(
      without.map(({ operation }) => operation.operationId),
      ["restartProvider", "page", "reference", "webFile"],
    );
  });

  it("names in each object the fields that must be there", () => {
    const check = (schema: Schema, path: string): void => {
      for (const name of schema.required ?? []) assert.ok(schema.properties?.[name] !== undefined, `${path}.${name}`);
      for (const [name, member] of Object.entries(schema.properties ?? {})) check(member, `${path}.${name}`);
      for (const option of schema.anyOf ?? []) check(option, path);
      if (schema.items !== undefined) check(schema.items, `${path}[]`);
    };
    for (const [name, schema] of Object.entries(SCHEMAS)) check(schema, name);
  });
});

describe("checkAnswer", () => {
  const good = { status: 200, contentType: "application/json", body: '{"ready":true,"reasons":[]}' };

  it("finds what is not described", () => {
    assert.equal(checkAnswer("GET", "/readyz", good), "");
    assert.match(checkAnswer("GET", "/readyz", { ...good, status: 201 }), /status is not described/);
    assert.match(checkAnswer("GET", "/readyz", { ...good, contentType: "text/html" }), /type "text\/html"/);
    assert.match(checkAnswer("GET", "/readyz", { ...good, body: '{"ready":1,"reasons":[]}' }), /ready/);
    assert.match(checkAnswer("GET", "/readyz", { ...good, body: '{"ready":true}' }), /reasons is missing/);
    assert.match(checkAnswer("GET", "/readyz", { ...good, body: '{"ready":true,"reasons":[],"x":1}' }), /x is not/);
    assert.match(checkAnswer("PATCH", "/readyz", good), /call is not described/);
    const lines = { status: 200, contentType: "application/x-ndjson", body: '{"summary":{}}\n' };
    assert.match(checkAnswer("POST", "/v1/routes", lines), /missing/);
    const event = { status: 200, contentType: "text/event-stream", body: 'event: health\ndata: {"time":1}\n\n' };
    assert.match(checkAnswer("GET", "/v1/events", event), /missing/);
  });
});
