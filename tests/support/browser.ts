/** A real Chromium for tests of the dashboard: cut off from every host but our own, and watched for what it complains of. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { daemonSkipReason } from "./binary.ts";

const CHROMIUM = "/usr/bin/chromium";
const SCREENSHOTS = fileURLToPath(new URL("../../dist/screenshots/", import.meta.url).href);

/** How long a page may take for one thing; the machine may have a lot to do. */
const TIMEOUT_MS = 120_000;

/** Why the dashboard cannot be tested here. */
export function browserSkipReason(): string | false {
  return daemonSkipReason() || (existsSync(CHROMIUM) ? false : `no ${CHROMIUM} (package chromium)`);
}

export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      // What is not on this machine cannot even be looked up.
      "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    ],
  });
}

export interface PageOptions {
  width?: number;
  height?: number;
  dark?: boolean;
  calm?: boolean;
}

/** A page with what it has asked for and complained of. */
export class WatchedPage {
  readonly page: Page;
  readonly requests: string[] = [];
  readonly complaints: string[] = [];

  constructor(page: Page) {
    this.page = page;
    page.on("request", (request) => this.requests.push(request.url()));
    page.on("console", (message) => {
      if (message.type() !== "log") this.complaints.push(`${message.type()}: ${message.text()}`);
    });
    page.on("pageerror", (error) => this.complaints.push(`exception: ${error.message}`));
  }

  static async open(browser: Browser, url: string, options: PageOptions = {}): Promise<WatchedPage> {
    const { width = 1440, height = 900, dark = false, calm = false } = options;
    const page = await browser.newPage({
      viewport: { width, height },
      colorScheme: dark ? "dark" : "light",
      reducedMotion: calm ? "reduce" : "no-preference",
      locale: "en-GB",
    });
    page.setDefaultTimeout(TIMEOUT_MS);
    const watched = new WatchedPage(page);
    await page.goto(url);
    return watched;
  }

  /** The text of an element, without the blanks around it. */
  async text(selector: string): Promise<string> {
    return ((await this.page.locator(selector).first().textContent()) ?? "").trim();
  }

  /** Waits until the text of an element is like this. */
  async sees(selector: string, pattern: RegExp | string): Promise<void> {
    await this.page.locator(selector).filter({ hasText: pattern }).first().waitFor();
  }

  /** How much wider than the window the page is. */
  overflow(): Promise<number> {
    return this.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
  }

  /** What axe finds wrong by the rules of WCAG 2 A and AA, in words. */
  async accessibilityProblems(): Promise<string[]> {
    const { source } = createRequire(import.meta.url)("axe-core") as { source: string };
    await this.page.evaluate(source);
    const { violations } = (await this.page.evaluate(
      'axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] })',
    )) as { violations: { id: string; help: string; nodes: { html: string; failureSummary: string }[] }[] };
    return violations.flatMap(({ id, help, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${help}: ${html.slice(0, 160)}: ${failureSummary}`),
    );
  }

  /** Keeps a picture in dist/screenshots/, for people. */
  async screenshot(name: string, { fullPage = true } = {}): Promise<void> {
    mkdirSync(dirname(`${SCREENSHOTS}${name}`), { recursive: true });
    await this.page.screenshot({ path: `${SCREENSHOTS}${name}.png`, fullPage });
  }

  /** Nothing was asked of others, and nothing went wrong on the page. */
  assertClean(origin: string): void {
    assert.deepEqual(
      this.requests.filter((url) => !url.startsWith(origin) && !url.startsWith("data:")),
      [],
    );
    assert.deepEqual(this.complaints, []);
  }
}
