/**
 * Several owners of one prefix, against the compiled daemon and a real kernel: one gives way to the other without a moment
 * in which there is no route, and what an owner may not do changes nothing.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, beforeEach, describe, it } from "node:test";
import type { ProblemJson } from "../../core/northbound/api_types.ts";
import { readAll } from "../../core/northbound/cli/client.ts";
import { DaemonProcess } from "../../scripts/daemon_process.ts";
import { daemonSkipReason } from "../support/binary.ts";
import { agreement, ribRoutes, sendUpdates } from "../support/daemon_routes.ts";
import { addTestLinks } from "../support/kernel_harness.ts";
import { createNetns, type Netns } from "../support/netns.ts";
import { RouteMonitor } from "../support/route_monitor.ts";
import { until } from "../support/wait.ts";

const skip = daemonSkipReason();
const TOKEN = "a-token-of-thirty-two-characters";
const PREFIXES = Array.from({ length: 200 }, (_, index) => [
  `198.18.${index}.0/24`,
  `2001:db8:${(0x1000 + index).toString(16)}::/48`,
]).flat();
/** By v0 for the better owner, by v2 for the other. */
const routesBy = (dev: "v0" | "v2"): string[] =>
  PREFIXES.map((prefix) => `route add ${prefix} via inet6 fe80::2 dev ${dev}`);

describe("owners of the same routes", () => {
  const folder = mkdtempSync(join(tmpdir(), "dplaned-owners-"));
  let ns: Netns;
  let daemon: DaemonProcess;
  let monitor: RouteMonitor;

  beforeEach(async () => {
    if (skip) return;
    ns = createNetns();
    addTestLinks(ns);
    const tokenFile = join(folder, "token");
    writeFileSync(tokenFile, `${TOKEN}\n`, { mode: 0o600 });
    const config = [
      '[kernel]\naudit-interval = "0s"',
      '[[owner]]\nname = "best"\ndistance = 10',
      '[[owner]]\nname = "backup"\ndistance = 200\nprefix-limit = 400\ntables = [254]',
      `[[owner]]\nname = "secret"\ntoken-file = "${tokenFile}"`,
    ];
    daemon = await DaemonProcess.start({ netns: ns.name, config: `${config.join("\n")}\n` });
    monitor = await RouteMonitor.start(ns);
  });
  afterEach(async () => {
    if (skip) return;
    monitor.stop();
    await daemon.stop();
    ns.delete();
  });
  after(() => rmSync(folder, { recursive: true }));

  const sync = (owner: string, lines: readonly string[]) =>
    sendUpdates(daemon, lines, { method: "PUT", path: `/v1/owners/${owner}/routes` });
  const kernel = (): string[] =>
    [...ns.ipJson("-4", "route", "show", "proto", "210"), ...ns.ipJson("-6", "route", "show", "proto", "210")]
      // IPv6 routes by a nexthop object are listed with a list of nexthops.
      .map(({ dst, dev, via, nexthops }) => `${dst} ${dev ?? via?.dev ?? nexthops?.[0]?.dev}`)
      .sort();
  const led = (dev: string): string[] => PREFIXES.map((prefix) => `${prefix} ${dev}`).sort();
  const deleted = async (): Promise<string[]> => (await monitor.take()).filter((line) => line.startsWith("Deleted"));

  it("give way to the better one and take over from it again, and no route is ever deleted", { skip }, async () => {
    const first = await sync("backup", routesBy("v2"));
    assert.equal(first.summary.fibProgrammed, PREFIXES.length);
    const second = await sync("best", routesBy("v0"));
    assert.equal(second.summary.fibProgrammed, PREFIXES.length);
    assert.deepEqual(kernel(), led("v0"));
    const held = (await ribRoutes(daemon)).filter(({ owner }) => owner === "backup");
    assert.deepEqual(
      new Set(held.map(({ status, winner }) => `${status} ${winner}`)),
      new Set(["rib_programmed best"]),
    );
    // One by one, and then all that are left.
    const half = PREFIXES.slice(0, 200).map((prefix) => `route del ${prefix}`);
    assert.equal((await sendUpdates(daemon, half, { owner: "best" })).summary.fibProgrammed, half.length);
    assert.equal((await sync("best", [])).summary.deleted, PREFIXES.length - half.length);
    assert.deepEqual(kernel(), led("v2"));
    assert.deepEqual(await agreement(daemon, ns), []);
    assert.deepEqual(await deleted(), []);
  });

  it("have the next one in place when the kernel drops the better one's routes", { skip }, async () => {
    await sync("best", routesBy("v0"));
    await sync("backup", routesBy("v2"));
    ns.ip("link", "set", "v0", "down");
    await until("the backup's are there", () => kernel().join() === led("v2").join());
    ns.ip("link", "set", "v0", "up");
    await until("the better ones are back", () => kernel().join() === led("v0").join());
    assert.deepEqual(await agreement(daemon, ns), []);
  });

  it("are refused what they may not do, and everything is as before", { skip }, async () => {
    await sync("backup", routesBy("v2"));
    const before = kernel();
    await monitor.take();
    const refused = async (owner: string, body: string, headers: Record<string, string> = {}): Promise<string> => {
      const path = `/v1/owners/${owner}/routes`;
      const accept = [401, 403, 409, 413, 422];
      const request = {
        method: "PUT",
        path,
        body,
        accept,
        headers: { "content-type": "text/x-iproute2", ...headers },
      } as const;
      const response = await daemon.client.request(request);
      const { errors, detail } = JSON.parse(await readAll(response)) as ProblemJson;
      return `${response.statusCode} ${errors?.[0]?.error.code ?? detail}`;
    };
    const line = "route add 192.0.2.0/24 via 10.0.0.2";
    const tooMany = [...routesBy("v2"), line].join("\n");
    assert.equal(await refused("backup", tooMany), "413 PREFIX_LIMIT");
    assert.equal(await refused("backup", `${line} table 100`), "422 TABLE_NOT_ALLOWED");
    assert.equal(await refused("backup", `${line}\n${line}`), "422 DUPLICATE_ROUTE");
    assert.match(await refused("secret", line), /^401 /);
    assert.match(await refused("secret", line, { authorization: "Bearer wrong" }), /^40[13] /);
    assert.deepEqual(kernel(), before);
    const told = (await monitor.take()).filter((line) => !/\bproto kernel\b/.test(line));
    assert.deepEqual(told, [], "the kernel was told nothing");
    const { summary } = await sync("backup", routesBy("v2"));
    assert.equal(summary.unchanged, PREFIXES.length);
  });
});
