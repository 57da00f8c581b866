/** The page of the API in a real Chromium: everything that /openapi.json describes, and calls made from it. */
import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { browserSkipReason, type PageOptions, WatchedPage } from "../support/browser.ts";
import { DashboardWorld } from "../support/dashboard.ts";
import { CALLS, DOCUMENT } from "../support/openapi_check.ts";
import { until } from "../support/wait.ts";

const skip = browserSkipReason();

let world: DashboardWorld;
let pages: WatchedPage[] = [];
before(async () => {
  if (!skip) world = await DashboardWorld.start();
});
after(async () => await world?.stop());
afterEach(async () => {
  for (const { page } of pages) await page.close();
  pages = [];
});

async function open(options: PageOptions = {}, hash = ""): Promise<WatchedPage> {
  const watched = await WatchedPage.open(world.browser, `${world.daemon.dashboard}docs${hash}`, options);
  pages.push(watched);
  await watched.sees("#about", /HTTP API of dplaned/);
  return watched;
}

describe("the page of the API", () => {
  it("shows every call with its parameters, answers and commands, and every schema", { skip }, async () => {
    const watched = await open();
    for (const { method, path, operation } of CALLS) {
      const call = watched.page.locator(`#${operation.operationId}`);
      const text = (await call.textContent()) ?? "";
      assert.ok(text.startsWith(`${method}${path}`), `${operation.operationId}: ${text.slice(0, 80)}`);
      for (const { name } of (operation.parameters ?? []) as { name: string }[]) assert.ok(text.includes(name), name);
      for (const status of Object.keys(operation.responses)) assert.ok(text.includes(status), status);
      for (const { source } of operation["x-codeSamples"] ?? []) assert.ok(text.includes(source), source);
    }
    assert.equal(
      await watched.page.locator("#schemas details").count(),
      Object.keys(DOCUMENT.components.schemas).length,
    );
    assert.equal(await watched.page.locator("#contents a").count(), CALLS.length);
    await watched.screenshot("docs", { fullPage: false });
    watched.assertClean(world.daemon.dashboard);
  });

  it("makes calls that read, and shows what came", { skip }, async () => {
    const watched = await open();
    const form = watched.page.locator("#lookUp .try");
    await form.locator('input[name="address"]').fill("10.100.7.9");
    await form.locator("button").click();
    await watched.sees(
      "#lookUp .answer .note",
      /GET \/v1\/lookup\?address=10\.100\.7\.9: 200, application\/json, after/,
    );
    await watched.sees("#lookUp .answer pre", /"prefix": "10\.100\.7\.0\/24"/);
    // A stream without an end is listened to for a while.
    await watched.page.locator("#streamEvents .try button").click();
    await watched.sees("#streamEvents .answer pre", /event: health/);
    await watched.sees("#streamEvents .answer .note", /listened for 5 s/);
    // Calls that write have no form.
    assert.equal(await watched.page.locator("#updateRoutes .try, #deleteNexthopGroup .try").count(), 0);
    watched.assertClean(world.daemon.dashboard);
  });

  it("finds calls by a word, goes to a schema, and to a call by its address", { skip }, async () => {
    const watched = await open({}, "#syncRoutes");
    const isThere = "Math.abs(document.querySelector('#syncRoutes').getBoundingClientRect().top) < 200";
    await until("the call is in sight", () => watched.page.evaluate(isThere));
    await watched.page.keyboard.press("/");
    await watched.page.keyboard.type("longest-prefix");
    await until("one call is left", async () => (await watched.page.locator(".call:visible").count()) === 1);
    await watched.page.fill("#query", "no such word");
    await watched.sees("#nothing", "No call has this word.");
    await watched.page.fill("#query", "");
    await watched.page.locator('#listRoutes a[href="#schema-RouteList"]').first().click();
    await watched.page.locator("#schema-RouteList[open]").waitFor();
    watched.assertClean(world.daemon.dashboard);
  });

  it("fits a phone, and is found fault with by no rule of accessibility, light or dark", { skip }, async () => {
    for (const options of [{ width: 360, height: 740 }, { dark: true }]) {
      const watched = await open(options);
      assert.equal(await watched.overflow(), 0);
      assert.deepEqual(await watched.accessibilityProblems(), []);
      await watched.screenshot(`docs-${options.dark ? "dark" : "phone"}`, { fullPage: false });
      watched.assertClean(world.daemon.dashboard);
    }
  });
});
