/** Whom the dashboard reaches: in the dark, on a phone, by the keyboard, without motion, through a screen reader. */
import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { browserSkipReason, type WatchedPage } from "../support/browser.ts";
import { DashboardWorld } from "../support/dashboard.ts";
import { until } from "../support/wait.ts";

const skip = browserSkipReason();

let world: DashboardWorld;
before(async () => {
  if (!skip) world = await DashboardWorld.start();
});
after(async () => await world?.stop());
afterEach(async () => await world?.closePages());

describe("the dashboard", () => {
  it("does not move for who wants it calm", { skip }, async () => {
    const watched = await world.open({ calm: true });
    await world.send("flood", "route add 172.17.0.0/24 via 10.0.0.2");
    await watched.sees("#pipeline .rate", /[1-9]\d*(\.\d)?\/s/);
    const running = await watched.page.evaluate("document.getAnimations().length");
    assert.equal(running, 0);
  });

  it("is dark where the reader's system is, and as the reader says", { skip }, async () => {
    const ground = (watched: WatchedPage): Promise<string> =>
      watched.page.evaluate("getComputedStyle(document.body).backgroundColor");
    const light = await world.open();
    const dark = await world.open({ dark: true });
    const [bright, dim] = [await ground(light), await ground(dark)];
    assert.notEqual(bright, dim);
    await dark.screenshot("dark");
    await dark.page.keyboard.press("t");
    assert.equal(await ground(dark), bright);
    assert.equal(await dark.page.locator("#theme").getAttribute("aria-label"), "Colours: light");
    await dark.page.reload();
    await dark.sees("#state", "ready");
    assert.equal(await ground(dark), bright, "the choice is kept");
    await dark.page.locator("#theme").click();
    assert.equal(await ground(dark), dim);
    light.assertClean(world.daemon.dashboard);
    dark.assertClean(world.daemon.dashboard);
  });

  it("fits a phone, and so does a route's story", { skip }, async () => {
    const watched = await world.open({ width: 360, height: 740 });
    assert.equal(await watched.overflow(), 0);
    await watched.page.locator("#counters summary").click();
    await watched.sees("#providers tbody", /kernel/);
    assert.equal(await watched.overflow(), 0);
    await watched.screenshot("phone");
    await watched.page.fill("#query", "203.0.113.0/24");
    await watched.page.keyboard.press("Enter");
    await watched.sees("#story .timeline", /./);
    assert.equal(await watched.overflow(), 0);
    const { width } = (await watched.page.locator("#story").boundingBox())!;
    assert.equal(width, 360);
    await watched.screenshot("phone-story", { fullPage: false });
    for (const size of [320, 480, 700, 900, 1100]) {
      await watched.page.setViewportSize({ width: size, height: 740 });
      // Plots are drawn anew when the page has its new width.
      await until(`nothing is wider than ${size} px`, async () => (await watched.overflow()) === 0);
    }
    watched.assertClean(world.daemon.dashboard);
  });

  it("can be gone through by the keyboard", { skip }, async () => {
    const watched = await world.open();
    const { page } = watched;
    const focused = (): Promise<string> =>
      page.evaluate(
        "document.activeElement.id || document.activeElement.getAttribute('aria-label') || document.activeElement.textContent",
      );
    await page.keyboard.press("Tab");
    assert.equal(await focused(), "Skip to the dataplane");
    const seen: string[] = [];
    for (let step = 0; step < 40 && !(seen.at(-1) ?? "").startsWith("Pressure"); step++) {
      await page.keyboard.press("Tab");
      seen.push(await focused());
    }
    const wanted = [
      /^query$/,
      /^theme$/,
      /^Clients: /,
      /^Incoming queue: /,
      /^Provider kernel \(.*\), up: /,
      /^Results: /,
    ];
    for (const pattern of [
      ...wanted,
      /^All counters$/,
      /^Updates per second over 5 minutes\. taken: now/,
      /^Pressure/,
    ]) {
      assert.ok(
        seen.some((name) => pattern.test(name)),
        `${pattern} among ${seen.join(" | ")}`,
      );
    }
    // The time shown, by arrow keys as any choice of one; and the values of one moment.
    await page.locator('#span input[value="300"]').focus();
    await page.keyboard.press("ArrowRight");
    await page.locator('[data-plot="updates"] .canvas[aria-label*="over 10 minutes"]').waitFor();
    await page.locator('[data-plot="updates"] .canvas').focus();
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    const hasCursor = "[...document.querySelectorAll('.u-cursor-x')].some((line) => !line.classList.contains('u-off'))";
    await until("the plot shows the moment", () => page.evaluate(hasCursor));
    watched.assertClean(world.daemon.dashboard);
  });

  it("is found fault with by no rule of accessibility, light or dark", { skip }, async () => {
    for (const options of [{}, { dark: true }, { width: 360, height: 740 }]) {
      const watched = await world.open(options);
      await watched.page.locator("#counters summary").click();
      assert.deepEqual(await watched.accessibilityProblems(), []);
      await watched.page.fill("#query", "203.0.113.0/24");
      await watched.page.keyboard.press("Enter");
      await watched.sees("#story .timeline", /./);
      assert.deepEqual(await watched.accessibilityProblems(), []);
    }
  });
});
