/**
 * The HTTP API against its own description: requests are made by the grammar of the OpenAPI document, right ones and wrong
 * ones, and every answer must be one that the document describes. None says that dplaned is at fault.
 */
import assert from "node:assert/strict";
import { createFpmClientCounterStorage } from "../../../core/model/fpm_client_counters.ts";
import { createOpenapiDocument, type OpenapiDocument } from "../../../core/northbound/openapi.ts";
import type { Schema } from "../../../core/northbound/schema.ts";
import type { Prng } from "../../../core/prng.ts";
import { createHarness, type Harness } from "../../support/api_harness.ts";
import type { FuzzTarget } from "../../support/fuzz.ts";
import { checkSchema } from "../../support/json_schema.ts";
import { makeValue } from "../../support/schema_values.ts";

type Operations = OpenapiDocument["paths"][string];
type Operation = NonNullable<Operations[keyof Operations]>;
interface Parameter {
  name: string;
  in: "path" | "query";
  required?: boolean;
  schema: Schema;
}

/** Answers that go on for ever are looked at for their head alone. */
const ENDLESS = "text/event-stream";
/** The group of the harness's stub never comes into a kernel, so these are taken for what they say. */
const FAULT = 500;

interface Call {
  method: string;
  path: string;
  init: RequestInit;
}

function makeCall(
  prng: Prng,
  path: string,
  method: string,
  operation: Operation,
  schemas: Record<string, Schema>,
): Call {
  const parameters = (operation.parameters ?? []) as Parameter[];
  let target = path;
  const query = new URLSearchParams();
  for (const { name, in: place, required = false, schema } of parameters) {
    const value = makeValue(prng, schema, schemas, { name: name === "id" ? "table" : name });
    const text = typeof value === "string" ? value : JSON.stringify(value);
    if (place === "path") target = target.replace(`{${name}}`, encodeURIComponent(text === "" ? "1" : text));
    else if (required ? prng.chance(0.95) : prng.chance(0.3)) query.append(name, text);
  }
  if (prng.chance(0.03)) query.append("unknown", "1");
  const search = query.size === 0 ? "" : `?${query}`;
  const headers: Record<string, string> = {};
  const init: RequestInit = { method: method.toUpperCase(), headers };
  if (operation.requestBody !== undefined && prng.chance(0.95)) {
    const contentTypes = Object.keys(operation.requestBody.content);
    const contentType = prng.pick(contentTypes);
    if (prng.chance(0.9)) headers["content-type"] = prng.chance(0.03) ? "image/png" : contentType;
    init.body = makeBody(prng, contentType, operation.requestBody.content[contentType]!.schema, schemas);
  } else if (prng.chance(0.2)) headers["accept"] = prng.pick(["application/x-ndjson", "application/json", "*/*"]);
  return { method: method.toUpperCase(), path: target + search, init };
}

const LINES = [
  "route add 10.0.0.0/8 via 192.0.2.1 dev v0",
  "route del 10.0.0.0/8",
  "route add blackhole ::/0",
  "route",
  "link set v0 up",
];

function makeBody(prng: Prng, contentType: string, schema: Schema, schemas: Record<string, Schema>): string {
  if (contentType === "text/x-iproute2")
    return Array.from({ length: prng.below(5) }, () => `${prng.pick(LINES)}\n`).join("");
  if (!contentType.includes("ndjson")) return JSON.stringify(makeValue(prng, schema, schemas)) ?? "";
  const count = prng.below(6);
  return Array.from({ length: count }, () => `${JSON.stringify(makeValue(prng, schema, schemas))}\n`).join("");
}

async function checkAnswer(
  response: Response,
  call: Call,
  operation: Operation,
  schemas: Record<string, Schema>,
): Promise<void> {
  const { status } = response;
  const said = `${call.method} ${call.path} ${String(call.init.body ?? "").slice(0, 300)}: ${status}`;
  assert.ok(status !== FAULT, said);
  const described = operation.responses[status];
  assert.ok(described !== undefined, `${said}: the document does not have it`);
  const contentType = (response.headers.get("content-type") ?? "").split(";")[0]!;
  const content = (described as { content?: Record<string, { schema: Schema }> }).content ?? {};
  if (Object.keys(content).length === 0) return;
  assert.ok(contentType in content, `${said}: ${contentType} is not among ${Object.keys(content).join(", ")}`);
  if (contentType === ENDLESS) {
    await response.body?.cancel();
    return;
  }
  const text = await response.text();
  const { schema } = content[contentType]!;
  const values = contentType.includes("ndjson") ? text.split("\n").filter((line) => line !== "") : [text];
  if (!contentType.includes("json") || contentType === "text/plain") return;
  for (const value of values) {
    const problem = checkSchema(JSON.parse(value), schema, schemas);
    assert.equal(problem, "", `${said}: ${value.slice(0, 300)}`);
  }
}

/** `create` makes the API, for which a canary has another. */
export function apiTarget(create: () => Promise<Harness> = createFuzzedHarness): FuzzTarget {
  return {
    name: "api",
    reads: [
      "core/northbound/api.ts",
      "core/northbound/query.ts",
      "core/northbound/route_list.ts",
      "core/northbound/owners_api.ts",
      "core/northbound/nexthop_groups_api.ts",
    ],
    smoke: 1500,
    open: async () => {
      const harness = await create();
      const document = createOpenapiDocument("1.2.3");
      const schemas = document.components.schemas as Record<string, Schema>;
      const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
        Object.entries(methods).map(([method, operation]) => ({ path, method, operation: operation as Operation })),
      );
      return {
        run: async (prng, feed) => {
          const { path, method, operation } = prng.pick(operations);
          const call = makeCall(prng, path, method, operation, schemas);
          feed(new TextEncoder().encode(`${call.method} ${call.path}\n${String(call.init.body ?? "")}`));
          const response = await harness.app.request(call.path, call.init);
          await checkAnswer(response, call, operation, schemas);
          assert.deepEqual(
            harness.log.records.filter(({ level }) => level === "error"),
            [],
          );
          return response.status < 300;
        },
        close: () => harness.close(),
      };
    },
  };
}

function createFuzzedHarness(): Promise<Harness> {
  const counters = createFpmClientCounterStorage();
  const client = { name: "export", address: "192.0.2.7:2620", profile: "frr", counters, replay: () => {} };
  return createHarness({ queueLimit: 1024, parts: { fpmClients: [client] } });
}
