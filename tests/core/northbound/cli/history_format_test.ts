import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type {
  ClaimJson,
  HistoryEntryJson,
  RouteAttributesJson,
  RouteHistoryJson,
  RouteStoryJson,
} from "../../../../core/northbound/api_types.ts";
import { formatHistory, formatTime } from "../../../../core/northbound/cli/history_format.ts";

const time = new Date(2026, 2, 5, 14, 2, 11, 23).getTime();
const TIME = "  2026-03-05 14:02:11.023  ";

const via = (address: string): RouteAttributesJson => ({ type: "unicast", nexthops: [{ via: address, dev: "v0" }] });
const error = { code: "ENETUNREACH", message: "Nexthop has invalid gateway", hint: "is onlink meant?" };

const story: RouteStoryJson = {
  prefix: "203.0.113.0/24",
  table: 254,
  metric: 20,
  route: {
    prefix: "203.0.113.0/24",
    table: 254,
    metric: 20,
    ...via("10.0.0.2"),
    owner: "static",
    status: "fib_programmed",
  },
  claims: [],
  entries: [],
};
const HEAD = "203.0.113.0/24 via 10.0.0.2 dev v0 metric 20 [owner static, fib_programmed]\n";

function format(overrides: Partial<RouteStoryJson>, history: Partial<RouteHistoryJson> = {}): string {
  return formatHistory({ omitted: 0, ...history, routes: [{ ...story, ...overrides }] });
}

function formatEntry(entry: Partial<HistoryEntryJson>): string {
  const text = format({ entries: [{ time, event: "result", summary: "", ...entry }] });
  assert.equal(text.slice(0, HEAD.length + TIME.length), HEAD + TIME);
  return text.slice(HEAD.length + TIME.length, -1);
}

describe("formatHistory", () => {
  it("writes local time with milliseconds", () => {
    assert.equal(formatTime(time), "2026-03-05 14:02:11.023");
  });

  it("writes claims in columns, with why each is or is not selected", () => {
    const claims: ClaimJson[] = [
      { owner: "static", distance: 1, selected: true, attributes: via("10.0.0.2") },
      { owner: "bgp", distance: 20, selected: false, notSelected: "higher_distance", attributes: via("10.0.0.30") },
      { owner: "o", distance: 1, selected: false, notSelected: "came_later", attributes: { type: "blackhole" } },
      { owner: "", distance: 1, selected: false, notSelected: "refused", attributes: via("10.0.0.9"), error },
    ];
    const entries = [{ time, event: "swept" as const, summary: "" }];
    assert.equal(
      format({ claims, entries }),
      `${HEAD}  owner static  distance 1   via 10.0.0.2 dev v0   selected
  owner bgp     distance 20  via 10.0.0.30 dev v0  not selected, static has the lower distance
  owner o       distance 1   blackhole             not selected, static came first
  nobody        distance 1   via 10.0.0.9 dev v0   not selected, refused: Nexthop has invalid gateway (ENETUNREACH)
${TIME}taken out of the kernel: nobody has claimed it
`,
    );
    assert.equal(
      format({ claims: claims.slice(0, 1), entries }),
      `${HEAD}${TIME}taken out of the kernel: nobody has claimed it\n`,
    );
  });

  it("says what the kernel holds instead, when the next try is, and what is not known", () => {
    const nexthops = [{ via: "10.0.0.8", weight: 2 }, { via: "10.0.0.9" }];
    const text = format(
      { kernel: { type: "unicast", nexthops, mtu: 1400 }, nextTryMs: 12_400 },
      { omitted: 1234, since: time },
    );
    assert.equal(
      text,
      `${HEAD}  the kernel holds nexthop via 10.0.0.8 weight 2 nexthop via 10.0.0.9 weight 1 mtu 1400
  next try in 12 s
  nothing is known of what happened to it
1,234 older entries are not shown
What happened before 2026-03-05 14:02:11.023 is no longer known
`,
    );
    assert.match(format({ kernel: null }), /^ {2}the kernel does not hold it$/m);
  });

  it("writes the key of a route that is gone", () => {
    const text = format({ route: null, table: 100, source: "2001:db8::/48", prefix: "2001:db8:1::/48", metric: 5 });
    assert.match(text, /^2001:db8:1::\/48 from 2001:db8::\/48 table 100 metric 5 \[gone\]\n/);
  });

  it("writes who asked for what, what became of it, and where the time went", () => {
    const programmed = { owner: "bgp", op: "install", status: "fib_programmed", change: "new" } as const;
    const stages = { queueMs: 0.031, kernelMs: 0.219, pipelineMs: 0.224, resultMs: 0.06 };
    assert.equal(
      formatEntry({ ...programmed, ...stages, attributes: via("10.0.0.3") }),
      "bgp: install via 10.0.0.3 dev v0: programmed, 0.32 ms (queue 0.03, kernel 0.22, result 0.06)",
    );
    assert.equal(
      formatEntry({ ...programmed, ...stages, pipelineMs: 1.219, change: "replace" }),
      "bgp: install: programmed, in the place of what was there, 1.31 ms (queue 0.03, kernel 0.22, rest 1.00, result 0.06)",
    );
    assert.equal(
      formatEntry({ ...programmed, change: "none", queueMs: 1, pipelineMs: 2, resultMs: 3 }),
      "bgp: install: programmed, as it was, 6.00 ms (queue 1.00, providers 2.00, result 3.00)",
    );
    const failed = { ...programmed, ...stages, status: "fib_failed", provider: "kernel", error } as const;
    assert.equal(
      formatEntry(failed),
      "bgp: install: failed in provider kernel: Nexthop has invalid gateway (ENETUNREACH), 0.32 ms " +
        `(queue 0.03, kernel 0.22, result 0.06)\n${" ".repeat(TIME.length)}is onlink meant?`,
    );
  });

  for (const [name, entry, text] of [
    ["a delete", { owner: "a", op: "delete", change: "delete" }, "a: delete: deleted"],
    [
      "a delete that let another take over",
      { owner: "a", op: "delete", change: "replace", winner: "b", attributes: via("10.0.0.3") },
      "a: delete: b's route via 10.0.0.3 dev v0 took its place",
    ],
    [
      "a delete after another's route was refused",
      { owner: "a", op: "delete", change: "delete", winner: "b", error },
      "a: delete: deleted, because b's route could not take its place: Nexthop has invalid gateway (ENETUNREACH)" +
        `\n${" ".repeat(TIME.length)}is onlink meant?`,
    ],
    [
      "a write of the daemon's own",
      { change: "new", winner: "b", attributes: via("10.0.0.3") },
      "dplaned: write b's route via 10.0.0.3 dev v0: programmed",
    ],
    ["a delete of the daemon's own", { change: "delete" }, "dplaned: delete: deleted"],
    [
      "what is held",
      { owner: "a", op: "install", status: "rib_programmed", winner: "b", attributes: via("10.0.0.3") },
      "a: install via 10.0.0.3 dev v0: held, b's route is preferred",
    ],
    [
      "what is held, with another's route written meanwhile",
      {
        owner: "a",
        op: "install",
        status: "rib_programmed",
        winner: "b",
        change: "replace",
        attributes: via("10.0.0.3"),
      },
      "a: install: held, b's route via 10.0.0.3 dev v0 was programmed",
    ],
    [
      "a claim that is withdrawn",
      { owner: "a", op: "delete", status: "rib_programmed", winner: "b" },
      "a: delete: withdrawn, b's route stays",
    ],
    [
      "what waits for its group",
      { owner: "a", op: "install", status: "rib_programmed" },
      "a: install: held, waiting for its nexthop group",
    ],
    [
      "what was superseded",
      { owner: "a", op: "install", status: "superseded" },
      "a: install: superseded by a later update",
    ],
    ["a deletion by others", { event: "drift", drift: "missing", text: "ip[4711]" }, "drift: deleted by ip[4711]"],
    ["a loss by itself", { event: "drift", drift: "missing" }, "drift: gone from the kernel"],
    [
      "a replacement",
      { event: "drift", drift: "replaced", protocol: "bird", text: "bird[9]" },
      "drift: replaced by a route of protocol bird by bird[9]",
    ],
    ["a change", { event: "drift", drift: "changed", text: "ip[1]" }, "drift: changed by ip[1]"],
    [
      "a repair that is put off",
      { event: "repair_delayed", delayMs: 800, text: "bird[9]" },
      "repair put off for 800 ms: bird[9] keeps on changing the route",
    ],
    ["a promotion", { event: "promoted", owner: "b", other: "a" }, "b's route is selected: a's is gone"],
    [
      "a displacement",
      { event: "displaced", owner: "b", other: "a" },
      "b's route is no longer selected: a's is better",
    ],
    ["another try", { event: "retried", text: "v0 is up" }, "tried again: v0 is up"],
    ["a sweep", { event: "swept" }, "taken out of the kernel: nobody has claimed it"],
  ] as const satisfies readonly (readonly [string, Partial<HistoryEntryJson>, string])[]) {
    it(`writes ${name}`, () => {
      assert.equal(formatEntry({ status: "fib_programmed", ...entry }), text);
    });
  }
});
