/** What the dashboard says of a daemon that is away, or not well. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Browser } from "playwright-core";
import { DaemonProcess } from "../../scripts/daemon_process.ts";
import { browserSkipReason, startBrowser, WatchedPage } from "../support/browser.ts";
import { sendUpdates } from "../support/daemon_routes.ts";
import { addTestLinks } from "../support/kernel_harness.ts";
import { createNetns } from "../support/netns.ts";
import { until } from "../support/wait.ts";

const skip = browserSkipReason();
let browser: Browser;
before(async () => {
  if (!skip) browser = await startBrowser();
});
after(async () => await browser?.close());

describe("the dashboard of a daemon that comes and goes", () => {
  it("says that it is disconnected, and comes back by itself", { skip }, async () => {
    const own = createNetns();
    addTestLinks(own);
    let life = await DaemonProcess.start({ netns: own.name });
    const url = life.dashboard;
    const watched = await WatchedPage.open(browser, url);
    try {
      await sendUpdates(life, ["route add 203.0.113.0/24 via 10.0.0.2"], { owner: "bgp" });
      await watched.sees("#owners", "bgp");
      await life.stop();
      await watched.sees("#state", "disconnected");
      await watched.sees("#offline", /does not answer\. Trying again\. What is below is from \d+ s ago/);
      await watched.screenshot("disconnected");
      life = await DaemonProcess.start({ netns: own.name, http: new URL(url).host });
      await watched.sees("#state", "ready");
      await watched.page.locator("#offline").waitFor({ state: "hidden" });
      await watched.sees("#owners", /nobody: adopted, not claimed/);
      assert.deepEqual(
        watched.complaints.filter((text) => !/ERR_CONNECTION|Failed to load resource/.test(text)),
        [],
      );
    } finally {
      await watched.page.close();
      await life.stop();
      own.delete();
    }
  });

  it("draws a provider that is down as passed by, with the reason", { skip }, async () => {
    const own = createNetns();
    addTestLinks(own);
    const config = '[[provider]]\nkind = "record"\nname = "tape"\npath = "/nowhere/tape.ndjson"\n';
    const life = new DaemonProcess({ netns: own.name, config });
    let watched: WatchedPage | undefined;
    try {
      await until("it has begun", () => life.log.includes('"message":"Ready"'));
      watched = await WatchedPage.open(browser, life.dashboard);
      await watched.sees("#state", /provider tape is down: .*ENOENT/);
      await watched.sees("#pipeline .bad", /tape[\s\S]*bypassed/);
      await watched.sees("#pipeline-note", "tape is bypassed");
      const { summary } = await sendUpdates(life, ["route add 203.0.113.0/24 via 10.0.0.2"]);
      assert.equal(summary.fibProgrammed, 1);
      await watched.sees("#pipeline", /programmed\s*1/);
      await watched.screenshot("bypassed");
    } finally {
      await watched?.page.close();
      await life.stop();
      own.delete();
    }
  });
});
