import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { encodeLine, lengthOf } from "../../../../core/northbound/cli/styled_text.ts";
import type { TopSample } from "../../../../core/northbound/cli/top_sample.ts";
import {
  formatMs,
  formatRate,
  formatSampleLine,
  formatScreen,
  formatSpark,
  type ScreenSize,
  type TopView,
} from "../../../../core/northbound/cli/top_screen.ts";
import type { TroubleJson } from "../../../../core/northbound/overview_types.ts";

const time = new Date(2026, 10, 28, 19, 35, 11).getTime();

const owner = (name: string, routes: number, routesPerSecond = 0) => {
  return { name, routes, held: 0, routesPerSecond, distance: 20, prefixLimit: 0, syncing: false, syncedAt: 0 };
};
const provider = (name: string, fields = {}) => ({
  name,
  kind: "kernel",
  priority: "kernel",
  state: "up",
  inPerSecond: 12_345,
  outPerSecond: 12_340,
  errorsPerSecond: 0,
  inQueued: 512,
  inMax: 2048,
  outQueued: 3,
  outMax: 5,
  errors: 0,
  ...fields,
});

const sample: TopSample = {
  time,
  seconds: 1,
  version: "0.1.0",
  uptimeSeconds: 3725,
  ready: true,
  reasons: [],
  rates: {
    updates: 151_260,
    programmed: 151_000,
    failed: 2.5,
    held: 0,
    superseded: 0,
    skipped: 0,
    rejected: 0,
    yields: 12,
  },
  queue: { depth: 1024, limit: 2048, max: 2048, results: 0 },
  routes: { ipv4: 564_579, ipv6: 167_903, adopted: 0, refused: 38, contested: 1 },
  latencyMs: {
    queue: { p50: 0.1, p99: 0.25 },
    pipeline: { p50: 1, p99: 2.4 },
    result: { p50: null, p99: null },
    total: { p50: 1.5, p99: 24 },
  },
  kernel: { drift: 1, repairs: 0, retries: 3, audits: 4, lastAudit: time - 12_000 },
  providers: [provider("guard"), provider("tape", { state: "failed", reason: "ENOENT", errors: 7 })],
  owners: [owner("bgp", 400_000), owner("flood", 256, 100), owner("", 3), owner("adam", 256)],
  nexthopGroups: { count: 2, failed: 1, waiting: 0 },
  process: { rssBytes: 152e6, cpuPercent: 83.4, loopLagMaxMs: 8, streamsOpen: 1 },
  troubles: [],
};

const failure = (prefix: string): TroubleJson => ({
  prefix,
  table: 254,
  metric: 20,
  time,
  event: "result",
  summary: "bgp: install: failed",
  error: { code: "ENETUNREACH", message: "Nexthop has invalid gateway", hint: "no route to 10.9.9.9 on v0" },
});

const view: TopView = {
  order: "routes",
  isPaused: false,
  showsHelp: false,
  intervalMs: 1000,
  loss: "",
  history: [0, 50, 100],
  troubles: [failure("198.51.1.0/24"), failure("198.51.2.0/24")],
  isUnicode: true,
};

function screen(size: ScreenSize, changes: Partial<TopView> = {}, changed: Partial<TopSample> = {}): string[] {
  const lines = formatScreen({ ...sample, ...changed }, { ...view, ...changes }, size);
  return lines.map((line) => stripVTControlCharacters(encodeLine(line, size.columns, true)).trimEnd());
}

describe("formatScreen", () => {
  it("tells all that matters on 80 by 24", () => {
    assert.deepEqual(screen({ columns: 80, rows: 24 }), [
      "dplaned 0.1.0  up 1h 2m 5s  ready                                       19:35:11",
      "Updates   151,260/s  programmed 151,000/s  failed 2.5/s  rejected 0/s",
      `Queue     1,024 of 2,048  most 2,048  yields 12/s  ${" ".repeat(27)}▅█`,
      "Routes    564,579 IPv4  167,903 IPv6  refused 38  contested 1  adopted 0",
      "Latency   p50 1.5 ms  p99 24 ms  p99 of queue 0.25 ms  providers 2.4 ms",
      "Kernel    drift 1  repairs 0  retried 3  audit 12 s ago  groups 2  failed 1",
      "Process   152 MB  cpu 83 %  streams 1  main thread late 8 ms",
      "PROVIDER  PRIORITY  STATE     IN/S  QUEUED   MOST   OUT/S  QUEUED  MOST  ERRORS",
      "guard     kernel    up      12,345     512  2,048  12,340       3     5       0",
      "tape      kernel    failed  12,345     512  2,048  12,340       3     5       7",
      "  ENOENT",
      "OWNER        ROUTES  CHANGE/S  HELD  DIST  LIMIT  SYNC",
      "bgp         400,000         0     0    20      -  never",
      "adam            256         0     0    20      -  never",
      "flood           256      +100     0    20      -  never",
      "[nobody's]        3         0     0    20      -  never",
      "FAILURES AND DRIFT, LATEST FIRST",
      "19:35:11 198.51.2.0/24 and 1 more: Nexthop has invalid gateway (ENETUNREACH)",
      "         no route to 10.9.9.9 on v0",
      "",
      "",
      "",
      "",
      "q quit  p pause  s sort (routes)  + - every 1 s  h help",
    ]);
  });

  it("fits any terminal, and always begins with who it is and how it is", () => {
    for (let columns = 20; columns <= 140; columns += 7) {
      for (let rows = 1; rows <= 40; rows += 3) {
        const lines = formatScreen(sample, view, { columns, rows });
        assert.ok(lines.length <= rows, `${columns}x${rows}: ${lines.length} lines`);
        for (const line of lines) {
          assert.ok(lengthOf([{ text: stripVTControlCharacters(encodeLine(line, columns, true)) }]) <= columns);
        }
        assert.match(lines[0]!.map(({ text }) => text).join(""), /^dplaned 0\.1\.0/);
      }
    }
  });

  it("keeps the providers where there are few rows", () => {
    const lines = screen({ columns: 60, rows: 8 });
    assert.equal(lines.length, 8);
    assert.ok(lines.some((line) => line.startsWith("guard")));
    assert.match(lines[1]!, /^Updates/);
    assert.match(lines.at(-1)!, /^q quit/);
  });

  it("says that it is paused, disconnected, not ready", () => {
    const size = { columns: 100, rows: 24 };
    assert.match(screen(size, { isPaused: true })[0]!, /paused {2}ready/);
    assert.match(screen(size, { loss: "ENOENT" })[0]!, /disconnected: ENOENT/);
    assert.match(screen(size, {}, { ready: false, reasons: ["a", "b"] })[0]!, /not ready: a; b/);
    assert.match(screen(size, { isPaused: true }).at(-1)!, /p go on/);
  });

  it("sorts owners", () => {
    const names = (order: TopView["order"]): string[] =>
      screen({ columns: 80, rows: 24 }, { order })
        .filter((line) => /never$/.test(line))
        .map((line) => line.split(" ")[0]!);
    assert.deepEqual(names("routes"), ["bgp", "adam", "flood", "[nobody's]"]);
    assert.deepEqual(names("changes"), ["flood", "[nobody's]", "adam", "bgp"]);
    assert.deepEqual(names("name"), ["[nobody's]", "adam", "bgp", "flood"]);
  });

  it("lists its keys", () => {
    const lines = screen({ columns: 80, rows: 24 }, { showsHelp: true });
    for (const key of ["q", "p", "s", "h"])
      assert.ok(
        lines.some((line) => line.startsWith(`  ${key} `)),
        key,
      );
  });

  it("draws no bars on a terminal of ASCII", () => {
    assert.doesNotMatch(screen({ columns: 80, rows: 24 }, { isUnicode: false }).join(""), /[▁-█]/);
  });
});

describe("numbers and lines", () => {
  it("shows rates and times with as many digits as tell something", () => {
    assert.deepEqual([0, 0.44, 9.96, 12, 151_260, -3, -1500].map(formatRate), [
      "0",
      "0.4",
      "10.0",
      "12",
      "151,260",
      "-3.0",
      "-1,500",
    ]);
    assert.deepEqual([null, 0.312, 2.44, 24.4, 999, 1234].map(formatMs), [
      "-",
      "0.31 ms",
      "2.4 ms",
      "24 ms",
      "999 ms",
      "1.2 s",
    ]);
    assert.equal(formatSpark([1, 8, 0], 5), "  ▂█ ");
  });

  it("is one line in a pipe", () => {
    assert.equal(
      formatSampleLine(sample),
      "19:35:11 ready, updates 151,260/s, programmed 151,000/s, failed 2.5/s, rejected 0/s, queue 1,024 of 2,048, " +
        "routes 732,482, refused 38, drift 1, p50 1.5 ms, p99 24 ms, 152 MB, cpu 83 %\n",
    );
  });
});
