/**
 * One compiled daemon exports to another over FPM: the whole real table, changes, and a connection that breaks. What the
 * second one's kernel holds is compared with the table, and with the first one's kernel.
 */
import assert from "node:assert/strict";
import { createReadStream, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { FpmJson } from "../../core/northbound/api_types.ts";
import { readAll } from "../../core/northbound/cli/client.ts";
import { DaemonProcess } from "../../scripts/daemon_process.ts";
import {
  prefixOf,
  readTable,
  TABLE_DEVICE,
  TABLE_DEVICE_COMMANDS,
  TABLE_PREFIXES,
  writeTable,
} from "../../scripts/internet_table.ts";
import { digestKernel } from "../../scripts/table_digest.ts";
import { daemonSkipReason } from "../support/binary.ts";
import { sendUpdates } from "../support/daemon_routes.ts";
import { createNetns, type Netns } from "../support/netns.ts";
import { RouteMonitor } from "../support/route_monitor.ts";
import { until } from "../support/wait.ts";

const skip = daemonSkipReason();
/** The whole table takes a while on a slow machine, twice over. */
const DEADLINE_MS = 120_000;

function firstPrefix(): string {
  const [route] = readTable(4, 1);
  return prefixOf(route!);
}

describe("a daemon that exports to another one", () => {
  let from: Netns;
  let to: Netns;
  let first: DaemonProcess;
  let second: DaemonProcess;
  let listen = "127.0.0.1:0";
  const directory = mkdtempSync(join(tmpdir(), "dplaned-pair-"));
  const table = join(directory, "table.ndjson");

  const startSecond = async (): Promise<void> => {
    const config = `[fpm]\nlisten = "${listen}"\nquiet-time = "500ms"\nhold-time = "5s"\n[kernel]\nstale-time = "1h"\n`;
    second = await DaemonProcess.start({ netns: to.name, config });
    const { server } = await second.client.getJson<FpmJson>("/v1/fpm");
    listen = server!.listen;
  };
  const startFirst = async (): Promise<void> => {
    const config = `[[provider]]\nkind = "fpm"\nname = "export"\naddress = "${listen}"\n[kernel]\nstale-time = "1h"\n`;
    first = await DaemonProcess.start({ netns: from.name, config });
  };
  const load = async (family: 4 | 6, owner: string, op: "install" | "delete" = "install"): Promise<void> => {
    writeTable(table, "ndjson", { families: [family], op });
    const request = { method: "POST", path: "/v1/routes", query: { owner, ack: "none" } } as const;
    const headers = { "content-type": "application/x-ndjson" };
    const answer = await first.client.request({ ...request, headers, body: createReadStream(table) });
    assert.match(await readAll(answer), /"fibFailed":0/);
  };
  const kernelsAgree = async (ipv4: number, ipv6: number): Promise<void> => {
    const digest = async (ns: Netns) => `${await digestKernel(ns.name, 4)}, ${await digestKernel(ns.name, 6)}`;
    const wanted = await digest(from);
    assert.match(wanted, new RegExp(`^${ipv4} routes .*, ${ipv6} routes`));
    let held = "";
    const isSame = async (): Promise<boolean> => {
      held = await digest(to);
      return held === wanted;
    };
    await until("both kernels hold the same", isSame, DEADLINE_MS).catch((error) => {
      assert.fail(`${error}: ${held} instead of ${wanted}`);
    });
  };

  before(async () => {
    if (skip) return;
    from = createNetns();
    to = createNetns();
    // In this order, so that the interfaces have the same numbers.
    for (const ns of [from, to]) ns.ipBatch([...TABLE_DEVICE_COMMANDS]);
    await startSecond();
    await startFirst();
  });
  after(async () => {
    rmSync(directory, { recursive: true });
    if (skip) return;
    await first?.stop();
    await second?.stop();
    from.delete();
    to.delete();
  });

  it("reproduces the whole table of both families", { skip }, async () => {
    await load(4, "four");
    await load(6, "six");
    await kernelsAgree(TABLE_PREFIXES[4], TABLE_PREFIXES[6]);
  });

  it("sends all of it again when asked", { skip }, async () => {
    const replays = async () => (await first.client.getJson<FpmJson>("/v1/fpm")).clients[0]!;
    const before = (await replays()).counters;
    await readAll(await first.client.request({ method: "POST", path: "/v1/fpm/clients/export/replay" }));
    const all = before.routesSent + TABLE_PREFIXES[4] + TABLE_PREFIXES[6];
    await until("it was sent", async () => (await replays()).counters.routesSent >= all, DEADLINE_MS);
    assert.equal((await replays()).counters.replays, before.replays + 1);
    await kernelsAgree(TABLE_PREFIXES[4], TABLE_PREFIXES[6]);
  });

  it("follows a withdrawal, and routes on a nexthop group that changes", { skip }, async () => {
    await load(6, "six", "delete");
    await kernelsAgree(TABLE_PREFIXES[4], 0);
    const setGroup = async (members: readonly string[]): Promise<void> => {
      const body = JSON.stringify({ members: members.map((via) => ({ via, dev: TABLE_DEVICE })) });
      const headers = { "content-type": "application/json" };
      await readAll(await first.client.request({ method: "PUT", path: "/v1/nexthop-groups/7", headers, body }));
    };
    await setGroup(["10.64.0.100", "10.64.0.101"]);
    const routes = ["198.18.0.0/24", "198.18.1.0/24"].map((prefix) => `route add ${prefix} nhid 7`);
    await sendUpdates(first, routes, { owner: "group" });
    const hopsOf = (): string =>
      to
        .ip("route", "show", "198.18.1.0/24")
        .match(/via [\d.]+/g)
        ?.join(" ") ?? "";
    await until("it is on both", () => hopsOf() === "via 10.64.0.100 via 10.64.0.101");
    await setGroup(["10.64.0.102"]);
    await until("it has moved", () => hopsOf() === "via 10.64.0.102");
    await sendUpdates(first, ["route del 198.18.0.0/24", "route del 198.18.1.0/24"], { owner: "group" });
    await kernelsAgree(TABLE_PREFIXES[4], 0);
  });

  it("loses nothing when the receiver dies and comes back, and deletes what went meanwhile", { skip }, async () => {
    second.signal("SIGKILL");
    await second.ended;
    await second.stop();
    await sendUpdates(first, [`route del ${firstPrefix()}`], { owner: "four" });
    await startSecond();
    await kernelsAgree(TABLE_PREFIXES[4] - 1, 0);
  });

  it("loses nothing when the exporter dies and comes back", { skip }, async () => {
    const monitor = await RouteMonitor.start(to);
    first.signal("SIGKILL");
    await first.ended;
    await first.stop();
    await startFirst();
    await until(
      "the replay is over",
      async () => {
        const { server } = await second.client.getJson<FpmJson>("/v1/fpm");
        return server!.peers[0]!.connects > 1 && server!.peers[0]!.state === "settled";
      },
      DEADLINE_MS,
    );
    await kernelsAgree(TABLE_PREFIXES[4] - 1, 0);
    assert.deepEqual(
      (await monitor.take()).filter((line) => line.startsWith("Deleted")),
      [],
    );
    monitor.stop();
  });
});
