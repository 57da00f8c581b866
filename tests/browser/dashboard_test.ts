/** The compiled binary's dashboard in a real Chromium: what it shows is what the daemon does. */
import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import type { LookupJson, RouteHistoryJson } from "../../core/northbound/api_types.ts";
import { browserSkipReason } from "../support/browser.ts";
import { BGP_ROUTES, DashboardWorld } from "../support/dashboard.ts";
import { until } from "../support/wait.ts";

const skip = browserSkipReason();
const count = (value: number): string => new Intl.NumberFormat("en").format(value);

let world: DashboardWorld;
before(async () => {
  if (!skip) world = await DashboardWorld.start();
});
after(async () => await world?.stop());
afterEach(async () => await world?.closePages());

describe("the dashboard", () => {
  it("shows what the API says", { skip }, async () => {
    const watched = await world.open();
    const { dplane, routes, owners, kernel, providers, fpm, version } = await world.overview();
    await watched.sees(".figure:nth-child(2) .value", count(routes.ipv4 + routes.ipv6));
    await watched.sees(".figure:nth-child(2) .note", `${count(routes.ipv4)} IPv4 · ${count(routes.ipv6)} IPv6`);
    assert.equal(routes.ipv4, BGP_ROUTES + 1);
    await watched.sees("#pipeline", count(dplane.results.fibProgrammed));
    await watched.sees("#pipeline", /1 rejected/);
    for (const { name } of providers) await watched.sees("#pipeline .title", name);
    for (const { name, routes: wanted } of owners) {
      await watched.sees(`#owners .row:has-text("${name}")`, `${count(wanted)} route`);
    }
    await watched.sees("#kernel", new RegExp(`Contested routes\\s*${kernel.contested}`));
    await watched.sees("#groups .row", /Group 7/);
    await watched.sees("#groups .members", /via 10\.0\.1\.2 dev v2 weight 3/);
    await watched.sees("#fpm-note", fpm.server!.listen);
    await watched.sees("#version", version);
    await watched.page.locator("#counters summary").click();
    for (const provider of providers) {
      const row = watched.page.locator("#providers tbody tr", { hasText: `${provider.name} (${provider.id})` });
      const cells = (await row.locator("td.number").allInnerTexts()).map((text) => text.trim());
      assert.deepEqual([cells[0], cells[3]], [count(provider.in), count(provider.out)]);
    }
    await watched.screenshot("light");
    watched.assertClean(world.daemon.dashboard);
  });

  it("draws what flows, as long as it flows", { skip }, async () => {
    const watched = await world.open();
    const running = (): Promise<number> =>
      watched.page.evaluate("document.getAnimations().filter((each) => each.playState === 'running').length");
    await until("nothing moves", async () => (await running()) === 0);
    let isFlowing = true;
    const flood = (async () => {
      for (let round = 0; isFlowing; round++) {
        const lines = Array.from(
          { length: 500 },
          (_, index) => `route add 172.16.${index & 255}.0/24 via 10.0.0.${2 + (round % 2)}`,
        );
        await world.send("flood", ...lines);
      }
    })();
    await until("the dots move", async () => (await running()) >= 5);
    await watched.sees('[data-plot="updates"] .legend li:has-text("taken") b', /[1-9]/);
    await watched.screenshot("flow");
    isFlowing = false;
    await flood;
    await until("nothing moves again", async () => (await running()) === 0);
    watched.assertClean(world.daemon.dashboard);
  });

  it("shows failures with their hint, drift with who did it, and their routes at a click", { skip }, async () => {
    const watched = await world.open();
    await world.send("bgp", "route add 198.51.100.0/24 via 10.9.9.9 dev v0");
    const failure = '#troubles li:has-text("198.51.100.0/24")';
    await watched.sees(failure, /failed/);
    await watched.sees(failure, "Nexthop has invalid gateway (ENETUNREACH), provider kernel");
    await watched.sees(`${failure} .hint`, /no route to 10\.9\.9\.9 on v0; is it a connected address/);
    world.ns.ip("route", "del", "203.0.113.0/24", "metric", "20");
    const drift = '#troubles li:has-text("203.0.113.0/24")';
    await watched.sees(drift, /drift/);
    await watched.sees(drift, /deleted by/);
    await watched.sees("#pipeline .errors", /\d errors?/);
    await watched.screenshot("failures");
    await watched.page.locator(`${failure} .prefix`).first().click();
    await watched.sees("#story-title", "198.51.100.0/24");
    await watched.sees("#story .tag", "failed");
    await watched.page.keyboard.press("Escape");
    await world.send("bgp", "route del 198.51.100.0/24");
    watched.assertClean(world.daemon.dashboard);
  });

  it("tells a route's story by the keyboard alone, in the words of the API", { skip }, async () => {
    const watched = await world.open();
    const { page } = watched;
    await page.keyboard.press("/");
    await page.keyboard.type("203.0.113.0/24");
    await page.keyboard.press("Enter");
    await watched.sees("#story-title", "203.0.113.0/24");
    await watched.sees("#story .timeline li", /./);
    const { routes } = await world.daemon.client.getJson<RouteHistoryJson>("/v1/routes/history", {
      prefix: "203.0.113.0/24",
    });
    const told = await page.locator("#story .timeline .why").allInnerTexts();
    assert.deepEqual(told, routes[0]!.entries.map(({ summary }) => summary).reverse());
    assert.ok(told.length >= 2);
    await watched.sees("#story table", /bgp\s*20\s*via 10\.0\.1\.2 dev v2\s*no: its distance is higher/);
    assert.equal(new URL(page.url()).hash, "#route=203.0.113.0/24");
    await watched.screenshot("story", { fullPage: false });
    await page.keyboard.press("Escape");
    await page.locator("#story").waitFor({ state: "hidden" });
    assert.equal(new URL(page.url()).hash, "");
    watched.assertClean(world.daemon.dashboard);
  });

  it("looks an address up, and answers a link to a route", { skip }, async () => {
    const watched = await world.open({}, "#route=10.100.7.9");
    await watched.sees("#story-body", /longest match for 10\.100\.7\.9 is 10\.100\.7\.0\/24/);
    const { route } = await world.daemon.client.getJson<LookupJson>("/v1/lookup", { address: "10.100.7.9" });
    await watched.sees("#story .route-line", `${route!.prefix} via 10.0.0.2 dev v0 metric 20`);
    await watched.page.keyboard.press("Escape");
    for (const [question, answer] of [
      ["192.0.2.1", /No programmed route in the main table leads to 192\.0\.2\.1/],
      ["192.0.2.0/24", /Nobody wants a route to 192\.0\.2\.0\/24/],
      ["10.0.0.1/8", /has host bits set[\s\S]*did you mean 10\.0\.0\.0\/8\?/],
      ["10.100.7.9 table red", /neither a table's number nor the name of a VRF/],
      ["<b>", /address/],
    ] as const) {
      await watched.page.fill("#query", question);
      await watched.page.keyboard.press("Enter");
      await watched.sees("#story-title", question);
      await watched.sees("#story-body", answer);
      await watched.page.keyboard.press("Escape");
    }
    // The browser itself notes that three questions were answered with an error.
    watched.complaints.splice(0).every((text) => assert.match(text, /status of 400/));
    watched.assertClean(world.daemon.dashboard);
  });

  it("takes names for text and nothing else", { skip }, async () => {
    const watched = await world.open({}, "#route=2001:db8:7::/48");
    await watched.sees("#story .route-line", "2001:db8:7::/48 dev <i>x metric 20");
    assert.equal(await watched.page.locator("#story i").count(), 0);
    watched.assertClean(world.daemon.dashboard);
  });

  it("lets nobody write from a browser", { skip }, async () => {
    const watched = await world.open();
    const statuses = await watched.page.evaluate(`Promise.all([
      fetch("/v1/routes", { method: "POST", body: "{}" }),
      fetch("/v1/owners/bgp/routes", { method: "DELETE" }),
      fetch("/v1/nexthop-groups/7", { method: "DELETE" }),
      fetch("/v1/audit", { method: "POST" }),
    ]).then((answers) => answers.map(({ status }) => status))`);
    assert.deepEqual(statuses, [403, 403, 403, 403]);
  });

  it("asks for little when there is little to tell", { skip }, async () => {
    const watched = await world.open();
    const answer = await watched.page.waitForResponse((response) => response.url().includes("/v1/overview?cursor="));
    const { length } = await answer.body();
    assert.ok(length < 16_000, `${length} bytes`);
    const before = watched.requests.length;
    await watched.page.waitForResponse((response) => response.url().includes("/v1/overview?cursor="));
    assert.ok(watched.requests.length - before <= 2, "one request a second");
  });
});
