import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { NEXTHOP_ID_MIN } from "../../../core/constants.ts";
import { ContextOp, U8, U32 } from "../../../core/context/layout.ts";
import { readNexthopObject } from "../../../core/context/nexthop_object.ts";
import type { NexthopGroupJson, NexthopGroupsJson, ProblemJson } from "../../../core/northbound/api_types.ts";
import { SCHEMAS } from "../../../core/northbound/openapi_schemas.ts";
import { reference } from "../../../core/northbound/schema.ts";
import { createHarness, type Harness, installLine } from "../../support/api_harness.ts";
import { checkSchema } from "../../support/json_schema.ts";

let harness: Harness;
beforeEach(async () => {
  harness = await createHarness();
});
afterEach(() => harness.close());

const A = { via: "10.0.0.2", dev: "v0" };
const B = { via: "2001:db8::2", dev: "v1", weight: 256, onlink: true };

async function call(method: string, id: string | number, body?: unknown): Promise<Response> {
  const text = typeof body === "string" ? body : JSON.stringify(body ?? null);
  const path = `/v1/nexthop-groups/${id}`;
  return await harness.app.request(path, body === undefined ? { method } : { method, body: text });
}

async function put(id: number, body: unknown): Promise<NexthopGroupJson> {
  const response = await call("PUT", id, body);
  const group = (await response.json()) as NexthopGroupJson;
  assert.equal(response.status, 200, JSON.stringify(group));
  assert.equal(checkSchema(group, reference("NexthopGroup"), SCHEMAS), "");
  return group;
}

async function problem(response: Response, status: number): Promise<ProblemJson> {
  const found = (await response.json()) as ProblemJson;
  assert.deepEqual([response.status, found.status], [status, status], String(found.detail));
  assert.equal(checkSchema(found, reference("Problem"), SCHEMAS), "");
  return found;
}

describe("PUT /v1/nexthop-groups/ID", () => {
  it("answers with the group when the kernel has confirmed it", async () => {
    const resilient = { buckets: 32, idleTimer: 60, unbalancedTimer: 300 };
    const backup = [{ via: "10.0.0.9", dev: "v0" }];
    assert.deepEqual(await put(7, { members: [A, B], backup, resilient }), {
      id: 7,
      members: [
        { ...A, weight: 1, active: true },
        { ...B, active: true },
      ],
      backup: [{ via: "10.0.0.9", dev: "v0", weight: 1, active: false }],
      resilient,
      status: "fib_programmed",
      kernelId: NEXTHOP_ID_MIN + 2,
    });
    const list = (await (await harness.app.request("/v1/nexthop-groups")).json()) as NexthopGroupsJson;
    assert.equal(checkSchema(list, reference("NexthopGroups"), SCHEMAS), "");
    assert.deepEqual(list.nexthopGroups, [await (await call("GET", 7)).json()]);
  });

  it("gives routes the group's object, and shows them with the client's number", async () => {
    await put(7, { members: [A] });
    const objects: number[] = [];
    harness.kernel.answer = (io, slot) => {
      if (io.contexts.getU8(slot, U8.OP) <= ContextOp.ROUTE_DELETE)
        objects.push(io.attrs.nexthopGroup(io.contexts.getU32(slot, U32.ATTRS)));
      io.contexts.succeed(slot);
    };
    const { results } = await harness.post(installLine(1, { nexthops: undefined, nexthopGroup: 7 }));
    assert.deepEqual([results[0]?.status, objects], ["fib_programmed", [NEXTHOP_ID_MIN + 1]]);
    const { routes } = await (await harness.app.request("/v1/routes")).json();
    assert.equal(routes[0].nexthopGroup, 7);
  });

  it("tells what the kernel refused, of which member, and what to do", async () => {
    harness.kernel.answer = (io, slot) => {
      const { contexts } = io;
      const attrs = contexts.getU32(slot, U32.ATTRS);
      const object = attrs === 0 ? null : readNexthopObject(io.attrs, attrs);
      if (object !== null && "nexthop" in object && object.nexthop.viaFamily === 2)
        contexts.fail(slot, 101, "Nexthop has invalid gateway");
      else contexts.succeed(slot);
    };
    const { status, error, provider, kernelId } = await put(7, { members: [B, A] });
    assert.deepEqual([status, provider, kernelId], ["fib_failed", "kernel", undefined]);
    assert.deepEqual(error, {
      code: "ENETUNREACH",
      message: "Nexthop has invalid gateway",
      field: "members[1]",
      hint: "no route to 10.0.0.2 on v0; is it a connected address, or is onlink meant?",
    });
  });

  it("says what it waits for while no member's link is up", async () => {
    harness.links.set({ ...harness.links.get(2)!, carrier: false });
    const { status, waitingFor } = await put(7, { members: [A] });
    assert.deepEqual([status, waitingFor], ["rib_programmed", "link v0"]);
  });

  it("refuses what is wrong, names the field, and changes nothing", async () => {
    await put(7, { members: [A] });
    const many = Array.from({ length: 513 }, (_, index) => ({ ...A, via: `10.0.${index >> 8}.${index & 255}` }));
    const cases: [unknown, RegExp, RegExp?][] = [
      ["{", /^The body is not JSON/],
      ["[]", /^A nexthop group is a JSON object, not an array \(WRONG_TYPE\)/],
      [{}, /^members: .*needs members \(MISSING_FIELD\)/],
      [{ members: [] }, /^members: .*at least one/],
      [{ members: A }, /^members: It takes an array/],
      [{ members: many }, /^members: 513 members are too many; a group takes 512/],
      [{ members: [A, { via: "10.0.0.300", dev: "v0" }] }, /^members\[1\]\.via: /],
      [{ members: [{ via: "10.0.0.3", dev: "v9" }] }, /^members\[0\]\.dev: .*UNKNOWN_DEVICE/],
      [{ members: [{ via: "10.0.0.3" }] }, /^members\[0\]\.dev: .*needs dev/, /binds/],
      [{ members: [{ ...A, weight: 257 }] }, /^members\[0\]\.weight: 257 is out of range; it is 1 to 256/],
      [{ members: [{ ...A, gateway: "x" }] }, /^members\[0\]\.gateway: There is no field/],
      [{ members: [A, { ...A, weight: 3 }] }, /^members\[1\]: Nexthop 2 is the same as nexthop 1/],
      [{ members: [A], backup: [{}] }, /^backup\[0\]\.dev: /],
      [{ members: [A], weight: 1 }, /^weight: There is no field "weight"/],
      [{ members: [A], resilient: {} }, /^resilient\.buckets: /],
      [{ members: [A], resilient: { buckets: 0 } }, /^resilient\.buckets: 0 is out of range; it is 1 to 65535/],
      [{ members: [A], resilient: { buckets: 8, idleTimer: -1 } }, /^resilient\.idleTimer: /],
      [" ".repeat((1 << 20) + 1), /longer than/],
    ];
    for (const [body, detail, hint = /./] of cases) {
      const found = await problem(await call("PUT", 7, body), typeof body === "string" && body.length > 9 ? 413 : 400);
      assert.match(found.detail!, detail);
      if (hint.source !== ".") assert.match(found.hint!, hint);
    }
    for (const id of ["0", "x", "4294967296", "1.5"]) {
      assert.match(
        (await problem(await call("PUT", id, { members: [A] }), 400)).detail!,
        /no number of a nexthop group/,
      );
    }
    const group = (await (await call("GET", 7)).json()) as NexthopGroupJson;
    assert.deepEqual(group.members, [{ ...A, weight: 1, active: true }]);
  });
});

describe("DELETE /v1/nexthop-groups/ID", () => {
  it("deletes a group, but none that routes are on", async () => {
    await put(7, { members: [A] });
    await harness.post(installLine(1, { nexthops: undefined, nexthopGroup: 7 }));
    const refused = await problem(await call("DELETE", 7), 409);
    assert.equal(refused.detail, "Nexthop group 7 is in use: the route 10.0.0.1/32 is on it");
    await harness.post(`${JSON.stringify({ op: "delete", prefix: "10.0.0.1/32" })}\n`);
    const deleted = await call("DELETE", 7);
    assert.deepEqual([deleted.status, await deleted.text()], [204, ""]);
    assert.match((await problem(await call("GET", 7), 404)).detail!, /no nexthop group 7/);
    await problem(await call("DELETE", 7), 404);
  });

  it("counts what another owner holds behind a better route as well", async () => {
    await put(7, { members: [A] });
    await harness.post(installLine(1, { distance: 1 }), { query: "?owner=first" });
    await harness.post(installLine(1, { nexthops: undefined, nexthopGroup: 7 }), { query: "?owner=second" });
    await problem(await call("DELETE", 7), 409);
  });
});

describe("nexthop groups", () => {
  it("are written over the unix socket only", async () => {
    const init = { method: "PUT", body: JSON.stringify({ members: [A] }) };
    const response = await harness.app.request("/v1/nexthop-groups/7", init, { listener: "tcp" });
    await problem(response, 403);
    const wrong = await problem(await call("POST", 7, {}), 405);
    assert.equal(wrong.hint, "it takes GET, HEAD, PUT, DELETE");
  });
});
