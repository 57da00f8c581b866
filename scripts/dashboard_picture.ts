/**
 * Takes the picture of the dashboard that docs/operations.md shows: the compiled daemon in a network namespace of its own,
 * while the real IPv4 table is loaded. Needs root and Debian's Chromium.
 *
 *   bun scripts/dashboard_picture.ts
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { DplaneJson } from "../core/northbound/api_types.ts";
import { startBrowser, WatchedPage } from "../tests/support/browser.ts";
import { sendUpdates } from "../tests/support/daemon_routes.ts";
import { createNetns } from "../tests/support/netns.ts";
import { until } from "../tests/support/wait.ts";
import { BINARY, DaemonProcess } from "./daemon_process.ts";
import { TABLE_DEVICE_COMMANDS, writeTable } from "./internet_table.ts";

const PICTURE = resolve(import.meta.dirname, "../docs/dashboard.png");

const folder = mkdtempSync(join(tmpdir(), "dplaned-picture-"));
const ns = createNetns();
ns.ipBatch([...TABLE_DEVICE_COMMANDS, "link add v2 type veth peer name v3", "link set v2 up", "link set v3 up"]);
ns.ipBatch(["address add 10.0.1.1/24 dev v2"]);
const config = `[[owner]]
name = "static"
distance = 5
[[provider]]
kind = "record"
name = "journal"
path = "${folder}/journal.ndjson"
threaded = true
`;
const daemon = await DaemonProcess.start({ netns: ns.name, config });
const browser = await startBrowser();
try {
  const file = join(folder, "table.ndjson");
  writeTable(file, "ndjson", { families: [4] });
  await daemon.client.request({
    method: "PUT",
    path: "/v1/nexthop-groups/7",
    headers: { "content-type": "application/json" },
    body: '{"members":[{"via":"10.64.0.100","dev":"veth0"},{"via":"10.0.1.2","dev":"v2","weight":3}]}',
  });
  const failing = Array.from({ length: 38 }, (_, index) => `route add 198.51.${index}.0/24 via 10.9.9.9 dev v2`);
  await sendUpdates(daemon, failing, { owner: "lab" });
  await sendUpdates(daemon, ["route add 203.0.113.0/24 via 10.0.1.2 dev v2"], { owner: "static" });
  ns.ip("route", "del", "203.0.113.0/24", "metric", "20");
  const { page } = await WatchedPage.open(browser, daemon.dashboard, { width: 1280, height: 1180 });
  const load = spawn(BINARY, ["route", "load", file, "--owner", "bgp", "--socket", daemon.socket], {
    stdio: "inherit",
  });
  await until(
    "a good part of it is there",
    async () => {
      const { results } = await daemon.client.getJson<DplaneJson>("/v1/dplane");
      return results.fibProgrammed > 300_000;
    },
    120_000,
  );
  await page.screenshot({ path: PICTURE });
  await new Promise((end) => load.once("close", end));
} finally {
  await browser.close();
  await daemon.stop();
  ns.delete();
  rmSync(folder, { recursive: true, force: true });
}
