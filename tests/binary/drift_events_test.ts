/**
 * What the compiled daemon tells of routes and nexthop objects that others take away or change: as events, with who did
 * it, as counters, and in the history of each route.
 */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { AuditStatusJson, RouteHistoryJson } from "../../core/northbound/api_types.ts";
import { readAll, readLines } from "../../core/northbound/cli/client.ts";
import type { DriftEventJson, NexthopDriftEventJson } from "../../core/northbound/event_types.ts";
import { DaemonProcess } from "../../scripts/daemon_process.ts";
import { daemonSkipReason } from "../support/binary.ts";
import { agreement, sendUpdates } from "../support/daemon_routes.ts";
import { addTestLinks } from "../support/kernel_harness.ts";
import { createNetns, type Netns } from "../support/netns.ts";
import { until } from "../support/wait.ts";

const skip = daemonSkipReason();
const CONFIG = '[kernel]\naudit-interval = "0s"\n';
const BOTH = new Map([[7, "10.0.0.2@v0 10.0.1.2@v2"]]);

describe("a daemon that tells of drift", () => {
  let ns: Netns;
  let daemon: DaemonProcess;
  /** Events as lines: what differs, how, and by whom. */
  let events: string[];

  beforeEach(async () => {
    if (skip) return;
    ns = createNetns();
    addTestLinks(ns);
    daemon = await DaemonProcess.start({ netns: ns.name, config: CONFIG });
    events = [];
    const query = { types: "drift,nexthop_drift,health" };
    const stream = readLines(await daemon.client.request({ path: "/v1/events", query }));
    await new Promise<void>((resolve) => void collect(stream, events, resolve));
    const members = [
      { via: "10.0.0.2", dev: "v0" },
      { via: "10.0.1.2", dev: "v2" },
    ];
    const headers = { "content-type": "application/json" };
    const request = {
      method: "PUT",
      path: "/v1/nexthop-groups/7",
      headers,
      body: JSON.stringify({ members }),
    } as const;
    await readAll(await daemon.client.request(request));
    const { summary } = await sendUpdates(daemon, [
      "route add 198.51.100.0/24 nhid 7",
      "route add 203.0.113.0/24 via 10.0.0.2 dev v0",
      "route add 2001:db8:99::/48 via fe80::2 dev v0",
    ]);
    assert.equal(summary.fibProgrammed, 3);
  });
  afterEach(async () => {
    if (skip) return;
    await daemon.stop();
    ns.delete();
  });

  const agreed = () => until("kernel and RIB agree", async () => (await agreement(daemon, ns, BOTH)).length === 0);
  const told = (...patterns: RegExp[]) =>
    until(`these are told: ${patterns}; not ${events}`, () =>
      patterns.every((pattern) => events.some((event) => pattern.test(event))),
    );
  const storyOf = async (prefix: string): Promise<string[]> => {
    const { routes } = await daemon.client.getJson<RouteHistoryJson>("/v1/routes/history", { prefix });
    return routes.flatMap(({ entries }) => entries).map(({ event, drift, text }) => `${event} ${drift} ${text}`);
  };
  const metric = async (line: string): Promise<boolean> =>
    (await readAll(await daemon.client.request({ path: "/metrics" }))).split("\n").includes(line);

  it("names who deletes and who changes a route", { skip }, async () => {
    ns.ip("route", "del", "203.0.113.0/24", "metric", "20");
    ns.ip("-6", "route", "change", "2001:db8:99::/48", "via", "fe80::9", "dev", "v0", "metric", "20", "proto", "210");
    await told(/^203\.0\.113\.0\/24 missing by (ip\[|netlink port )\d+\]?$/, /^2001:db8:99::\/48 changed by /);
    await agreed();
    assert.equal(await metric('dplaned_drift_total{kind="missing"} 1'), true);
    assert.equal(await metric('dplaned_drift_total{kind="changed"} 1'), true);
    const story = await storyOf("203.0.113.0/24");
    assert.match(
      story.join("\n"),
      /^result undefined undefined\ndrift missing (ip|netlink).*\nresult undefined undefined$/,
    );
  });

  it("names who flushes nexthop objects, and the routes that went with them", { skip }, async () => {
    ns.ip("nexthop", "flush");
    const by = String.raw`by (ip\[|netlink port )\d+\]?`;
    await told(new RegExp(`^object \\d+ of 7 missing ${by}$`), new RegExp(`^198\\.51\\.100\\.0/24 missing ${by}$`));
    await agreed();
    assert.match((await storyOf("198.51.100.0/24")).join("\n"), /^drift missing (ip|netlink)/m);
    const { drift, nexthopDrift } = await daemon.client.getJson<AuditStatusJson>("/v1/audit");
    // What is repaired while the flush goes on is lost again.
    assert.ok(drift.missing >= 1);
    assert.ok(nexthopDrift.missing >= 1, "its members may be heard of later");
    assert.equal(await metric('dplaned_nexthop_drift_total{kind="missing"} 0'), false);
    assert.equal(await metric('dplaned_nexthop_drift_total{kind="unexpected"} 0'), true);
  });

  it("names who deletes an object of the daemon's own, and the routes that went with it", { skip }, async () => {
    const lines = (from: number): string[] =>
      Array.from({ length: 100 }, (_, index) => `route add 192.0.2.${from + index}/32 via 10.0.1.9 dev v2`);
    await sendUpdates(daemon, lines(0));
    const single = () => ns.ipJson("nexthop").find(({ gateway }) => gateway === "10.0.1.9");
    await until("the object is there", () => single() !== undefined);
    await sendUpdates(daemon, lines(100));
    assert.match(ns.ip("route", "show", "192.0.2.199"), /nhid/);
    ns.ip("nexthop", "del", "id", String(single()!.id));
    await told(
      /^object \d+ of {2}missing by (ip\[|netlink port )/,
      /^192\.0\.2\.199\/32 missing by the kernel with nexthop object \d+ \((ip\[|netlink port )\d+/,
    );
    await agreed();
  });

  it("names the link that a group has lost a member with, and the one that took its routes", { skip }, async () => {
    ns.ip("link", "set", "v0", "down");
    await told(
      /^object \d+ of 7 missing by the kernel with link v0$/,
      /^203\.0\.113\.0\/24 missing by the kernel with/,
    );
    assert.equal(events.filter((event) => event.startsWith("198.51.100.0/24")).length, 0, "the group's stay");
    ns.ip("link", "set", "v2", "down");
    await told(/^198\.51\.100\.0\/24 missing by the kernel with link v2$/);
  });
});

async function collect(stream: AsyncIterable<string>, events: string[], onOpen: () => void): Promise<void> {
  let name = "";
  try {
    for await (const line of stream) {
      if (line.startsWith("event: ")) name = line.slice("event: ".length);
      if (!line.startsWith("data: ")) continue;
      const data = JSON.parse(line.slice("data: ".length));
      // The stream begins with the health.
      if (name === "health") onOpen();
      else events.push(name === "drift" ? describeRoute(data) : describeObject(data));
    }
  } catch {
    // The daemon has ended.
  }
}

function describeRoute({ prefix, kind, by }: DriftEventJson): string {
  return `${prefix} ${kind} by ${by}`;
}

function describeObject({ id, nexthopGroups, kind, by }: NexthopDriftEventJson): string {
  return `object ${id} of ${nexthopGroups} ${kind} by ${by}`;
}
