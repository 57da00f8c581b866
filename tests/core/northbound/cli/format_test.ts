/** How answers of the API look as text. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { AuditStatusJson, DplaneJson, RouteJson, SummaryJson } from "../../../../core/northbound/api_types.ts";
import {
  formatAudit,
  formatCount,
  formatDplane,
  formatEvent,
  formatFailure,
  formatHealth,
  formatProviders,
  formatResult,
  formatRoute,
  formatSummary,
  formatUptime,
} from "../../../../core/northbound/cli/format.ts";
import type { ProviderJson } from "../../../../core/northbound/provider_types.ts";

const route: RouteJson = {
  prefix: "203.0.113.0/24",
  table: 254,
  metric: 20,
  type: "unicast",
  owner: "default",
  status: "fib_programmed",
  nexthops: [{ via: "10.0.0.2", dev: "v0", weight: 1 }],
};

const error = { code: "ENETUNREACH", message: "Nexthop has invalid gateway", hint: "is onlink meant?" };

describe("formatRoute", () => {
  it("writes a route of one nexthop on one line", () => {
    assert.equal(formatRoute(route), "203.0.113.0/24 via 10.0.0.2 dev v0 metric 20 [owner default, fib_programmed]\n");
  });

  it("writes each of several nexthops on a line of its own", () => {
    const nexthops = [
      { via: "10.0.0.2", dev: "v0" },
      { via: "fe80::1", dev: "v1", weight: 3, onlink: true },
    ];
    assert.equal(
      formatRoute({ ...route, nexthops }),
      "203.0.113.0/24 metric 20 [owner default, fib_programmed]\n" +
        "\tnexthop via 10.0.0.2 dev v0 weight 1\n\tnexthop via fe80::1 dev v1 onlink weight 3\n",
    );
  });

  it("writes what else a route may have in iproute2's words", () => {
    const full: RouteJson = {
      ...route,
      source: "2001:db8::/64",
      table: 100,
      protocol: "bgp",
      prefsrc: "10.0.0.1",
      mtu: 1400,
      tag: 7,
      distance: 200,
      nexthops: [{ via: "10.0.0.2", labels: [16, 17], seg6: { mode: "encap", segs: ["2001:db8::1", "2001:db8::2"] } }],
    };
    assert.equal(
      formatRoute(full),
      "203.0.113.0/24 from 2001:db8::/64 encap mpls 16/17 encap seg6 mode encap segs 2001:db8::1,2001:db8::2 via 10.0.0.2 " +
        "table 100 proto bgp src 10.0.0.1 metric 20 mtu 1400 [owner default, distance 200, tag 7, fib_programmed]\n",
    );
  });

  it("writes a type without nexthops, a group, and why a route is not programmed", () => {
    const { nexthops: _, ...bare } = route;
    assert.equal(
      formatRoute({ ...bare, type: "blackhole" }),
      "blackhole 203.0.113.0/24 metric 20 [owner default, fib_programmed]\n",
    );
    assert.equal(
      formatRoute({ ...bare, nexthopGroup: 7, status: "fib_failed", error }),
      "203.0.113.0/24 nhid 7 metric 20 [owner default, fib_failed: Nexthop has invalid gateway (ENETUNREACH)]\n",
    );
    assert.equal(
      formatRoute({ ...bare, status: "rib_programmed", winner: "bgp" }),
      "203.0.113.0/24 metric 20 [owner default, rib_programmed, winner bgp]\n",
    );
  });
});

describe("formatResult", () => {
  const result = { prefix: "203.0.113.0/24", table: 254, op: "install" } as const;

  it("says for each status what became of the update", () => {
    const texts = [
      formatResult({ ...result, status: "fib_programmed" }),
      formatResult({ ...result, op: "delete", table: 100, status: "fib_programmed" }),
      formatResult({ ...result, status: "fib_failed", provider: "kernel", error }),
      formatResult({ ...result, status: "rib_programmed", winner: "bgp" }),
      formatResult({ ...result, status: "rib_programmed", waitingFor: "link v0" }),
      formatResult({ ...result, status: "skipped" }),
      formatResult({ ...result, status: "fib_programmed", bypassed: ["filter", "export"] }),
      formatResult({ ...result, status: "superseded" }),
      formatResult({ op: "delete", prefix: "203.0.113.0/24", table: 254, status: "rib_programmed", winner: "bgp" }),
      formatResult({ op: "delete", prefix: "203.0.113.0/24", table: 254, status: "fib_programmed", winner: "bgp" }),
      formatResult({
        status: "rejected",
        error: { code: "UNKNOWN_DEVICE", message: 'No interface "v9"', field: "dev" },
      }),
    ];
    assert.deepEqual(texts, [
      "203.0.113.0/24 table main: programmed",
      "203.0.113.0/24 table 100: deleted",
      "203.0.113.0/24 table main: failed in provider kernel: Nexthop has invalid gateway (ENETUNREACH); is onlink meant?",
      "203.0.113.0/24 table main: held, not programmed: bgp has a better route",
      "203.0.113.0/24 table main: held, waiting for link v0",
      "203.0.113.0/24 table main: skipped: a provider asked to bypass the kernel",
      "203.0.113.0/24 table main: programmed (without the word of filter, export)",
      "203.0.113.0/24 table main: superseded by a later update of the same route",
      "203.0.113.0/24 table main: withdrawn; bgp's route stays",
      "203.0.113.0/24 table main: withdrawn; bgp's route took its place",
      'rejected, field dev: No interface "v9" (UNKNOWN_DEVICE)',
    ]);
  });
});

describe("formatFailure", () => {
  it("names file, line and prefix, as compilers do", () => {
    assert.equal(
      formatFailure("t.ndjson", { line: 17, prefix: "203.0.113.0/24", status: "fib_failed", error }),
      "t.ndjson:17: 203.0.113.0/24: Nexthop has invalid gateway (ENETUNREACH); is onlink meant?\n",
    );
    assert.equal(
      formatFailure("stdin", { line: 1, status: "rejected", error: { code: "INVALID_JSON", message: "Not JSON" } }),
      "stdin:1: Not JSON (INVALID_JSON)\n",
    );
  });
});

describe("formatSummary", () => {
  const none: SummaryJson = {
    received: 0,
    fibProgrammed: 0,
    fibFailed: 0,
    ribProgrammed: 0,
    skipped: 0,
    superseded: 0,
    rejected: 0,
    elapsedMs: 0,
  };

  it("counts what there is and leaves out what there is not", () => {
    assert.equal(formatSummary(none), "0 updates in 0.00 s\n");
    assert.equal(
      formatSummary({ ...none, received: 564_580, fibProgrammed: 564_578, fibFailed: 1, rejected: 1, elapsedMs: 1520 }),
      "564,580 updates in 1.52 s (371,434/s): 564,578 programmed, 1 failed, 1 rejected\n",
    );
    assert.match(formatSummary({ ...none, received: 1, ribProgrammed: 1, elapsedMs: 1 }), /^1 update in .*: 1 held\n$/);
  });
});

describe("formatCount", () => {
  it("groups digits by three", () => {
    assert.deepEqual([0, 999, 1000, 1_234_567].map(formatCount), ["0", "999", "1,000", "1,234,567"]);
  });
});

describe("formatDplane", () => {
  it("has the lines of FRR's show zebra dplane to the letter, before all others", () => {
    const dplane: DplaneJson = {
      routeUpdates: 1,
      routeUpdateErrors: 2,
      queueLimit: 3,
      queueDepth: 4,
      queueMax: 5,
      yields: 6,
      cycles: 7,
      updatesSkipped: 8,
      workLimit: 9,
      pool: { size: 11, free: 10 },
      results: { fibProgrammed: 12, fibFailed: 13, skipped: 14, superseded: 15, rejected: 16, ribProgrammed: 17 },
      state: "running",
      restarts: 18,
    };
    const seed = [
      "Dataplane:",
      "Route updates:            1",
      "Route update errors:      2",
      "Route update queue limit: 3",
      "Route update queue depth: 4",
      "Route update queue max:   5",
      "Route update yields:      6",
      "",
    ].join("\n");
    const text = formatDplane(dplane);
    assert.ok(text.startsWith(seed), text);
    assert.match(text, /^Contexts free: {12}10 of 11$/m);
    assert.match(text, /^State: {20}running$/m);
  });
});

describe("formatProviders", () => {
  const provider: ProviderJson = {
    id: 1,
    name: "Kernel",
    kind: "kernel",
    priority: "kernel",
    threaded: false,
    state: "up",
    in: 10,
    inQueued: 0,
    inMax: 3,
    out: 9,
    outQueued: 0,
    outMax: 2,
    errors: 0,
    undone: 0,
    yields: 0,
    exceptions: 0,
  };

  it("has FRR's line for each, and one more where something is wrong", () => {
    const mine = { id: 2, name: "mine", state: "failed", reason: "its thread ended", errors: 4, undone: 1 } as const;
    const providers = [provider, { ...provider, ...mine }];
    assert.equal(
      formatProviders({ providers }),
      "Kernel (1): in: 10, q_max: 3, out: 9, q_max: 2\n" +
        "mine (2): in: 10, q_max: 3, out: 9, q_max: 2\n  state: failed, errors: 4, undone: 1\n  its thread ended\n",
    );
  });
});

describe("formatHealth", () => {
  it("aligns what it says", () => {
    const workers = [{ name: "dataplane", alive: false, heartbeatAgeMs: 5000.4 }];
    assert.equal(
      formatHealth(
        { status: "failed", version: "1.2.3", uptimeSeconds: 3661, workers },
        { ready: false, reasons: ["dataplane is dead", "shutting down"] },
      ),
      [
        "Health:           failed",
        "Ready:            no: dataplane is dead; shutting down",
        "Version:          1.2.3",
        "Uptime:           1h 1m 1s",
        "Worker dataplane: dead, heartbeat 5000 ms ago",
        "",
      ].join("\n"),
    );
  });
});

describe("formatUptime", () => {
  it("begins with the largest unit there is", () => {
    assert.deepEqual([0, 59.9, 60, 86_400, 90_061].map(formatUptime), [
      "0s",
      "59s",
      "1m 0s",
      "1d 0h 0m 0s",
      "1d 1h 1m 1s",
    ]);
  });
});

describe("formatEvent", () => {
  const time = new Date(2026, 0, 1, 12, 34, 56, 789).getTime();

  it("writes each kind of event on a line", () => {
    const result = {
      time,
      prefix: "203.0.113.0/24",
      table: 254,
      op: "install",
      status: "fib_programmed",
      owner: "bgp",
    };
    assert.equal(
      formatEvent("result", result),
      "12:34:56.789 result 203.0.113.0/24 table main: programmed [owner bgp]\n",
    );
    const kernel = { time, object: "link", action: "new", text: "v0 state DOWN" };
    assert.equal(formatEvent("kernel", kernel), "12:34:56.789 kernel link new v0 state DOWN\n");
    assert.equal(
      formatEvent("health", { time, ready: false, reasons: ["a", "b"] }),
      "12:34:56.789 health not ready: a; b\n",
    );
    assert.equal(formatEvent("health", { time, ready: true, reasons: [] }), "12:34:56.789 health ready\n");
  });

  it("tells of nexthop objects what it tells of routes", () => {
    const route = { time, kind: "missing", prefix: "10.4.0.0/16", table: 254, by: "ip[11]", repairInMs: 0, times: 1 };
    const missing = "12:34:56.789 drift  10.4.0.0/16 table main missing, by ip[11]; repaired at once\n";
    assert.equal(formatEvent("drift", route), missing);
    const object = { time, kind: "changed", id: 250_000_003, nexthopGroups: [7, 9], repairInMs: 500, times: 3 };
    const of = "12:34:56.789 drift  nexthop object 250000003 of group 7, 9 changed";
    const fought = `${of}; repair in 0.5 s, because it is the 3rd time\n`;
    assert.equal(formatEvent("nexthop_drift", object), fought);
    const orphan = { ...object, kind: "unexpected", nexthopGroups: [], by: "ip[11]", repairInMs: 0 };
    const taken = "12:34:56.789 drift  nexthop object 250000003 unexpected, by ip[11]; repaired at once\n";
    assert.equal(formatEvent("nexthop_drift", orphan), taken);
  });

  it("says how many events were left out", () => {
    const line = "12:34:56.789 lost   1,234 events, because this reader did not keep up\n";
    assert.equal(formatEvent("lost", { time, count: 1234 }), line);
  });

  it("shows events of a newer daemon as they are", () => {
    assert.equal(formatEvent("sparkle", { a: 1 }), 'sparkle {"a":1}\n');
  });
});

describe("formatAudit", () => {
  const clean = { routes: 5, missing: 0, changed: 0, unexpected: 0, nexthops: 0, complete: true, elapsedMs: 12 };
  const status = (failed: number, delayed: number): AuditStatusJson => ({
    audits: 1,
    last: null,
    drift: { missing: 0, changed: 0, unexpected: 0 },
    nexthopDrift: { missing: 0, changed: 0, unexpected: 0 },
    repairs: { queued: 0, delayed },
    failed,
    contested: 0,
    retries: 0,
    overruns: 0,
  });

  it("says that all is well only where no wanted route is known to be absent", () => {
    assert.equal(formatAudit(clean, status(0, 0)), "5 routes compared in 12 ms: the kernel holds what it should\n");
    assert.equal(
      formatAudit(clean, status(2, 1)),
      "5 routes compared in 12 ms: the kernel holds what was confirmed; " +
        "2 refused by the kernel: dplaned route list status fib_failed; 1 put off, because somebody keeps on changing it\n",
    );
  });

  it("tells what differed, and that there may be more", () => {
    assert.equal(
      formatAudit({ ...clean, missing: 1, nexthops: 2, complete: false }, status(0, 0)),
      "5 routes compared in 12 ms: 1 missing and 0 changed are repaired, 0 unexpected removed, " +
        "2 nexthop objects put right; somebody changed routes all the while, so there may be more: run it again\n",
    );
  });
});
