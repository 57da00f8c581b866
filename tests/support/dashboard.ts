/** A daemon with something to show, and a browser that looks at it. */
import type { Browser } from "playwright-core";
import type { OverviewJson } from "../../core/northbound/overview_types.ts";
import { DaemonProcess } from "../../scripts/daemon_process.ts";
import { type PageOptions, startBrowser, WatchedPage } from "./browser.ts";
import { sendUpdates } from "./daemon_routes.ts";
import { addTestLinks } from "./kernel_harness.ts";
import { createNetns, type Netns } from "./netns.ts";

const CONFIG = `[kernel]
audit-interval = "0s"
[fpm]
listen = "127.0.0.1:0"
[[owner]]
name = "static"
distance = 5
[[provider]]
kind = "test"
name = "guard"
priority = "pre-kernel"
`;

/** Routes of owner bgp: 10.100.0.0/24 and on. */
export const BGP_ROUTES = 1234;

export class DashboardWorld {
  readonly ns: Netns;
  readonly daemon: DaemonProcess;
  readonly browser: Browser;
  #pages: WatchedPage[] = [];

  constructor(ns: Netns, daemon: DaemonProcess, browser: Browser) {
    this.ns = ns;
    this.daemon = daemon;
    this.browser = browser;
  }

  static async start(): Promise<DashboardWorld> {
    const ns = createNetns();
    addTestLinks(ns);
    // A name that would be markup, if it were taken for it.
    ns.ipBatch(["link add <i>x type veth peer name v9", "link set <i>x up", "link set v9 up"]);
    const daemon = await DaemonProcess.start({ netns: ns.name, config: CONFIG });
    const world = new DashboardWorld(ns, daemon, await startBrowser());
    const prefixes = Array.from({ length: BGP_ROUTES }, (_, index) => `10.${100 + (index >> 8)}.${index & 255}.0/24`);
    await world.send("bgp", ...prefixes.map((prefix) => `route add ${prefix} via 10.0.0.2 dev v0`));
    await world.send("static", "route add 203.0.113.0/24 via 10.0.0.3 dev v0", "route add nonsense");
    await world.send("bgp", "route add 203.0.113.0/24 via 10.0.1.2 dev v2", "route add 2001:db8:7::/48 dev <i>x");
    const members = [
      { via: "10.0.0.2", dev: "v0" },
      { via: "10.0.1.2", dev: "v2", weight: 3 },
    ];
    await daemon.client.request({
      method: "PUT",
      path: "/v1/nexthop-groups/7",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ members }),
    });
    return world;
  }

  async send(owner: string, ...lines: string[]): Promise<void> {
    await sendUpdates(this.daemon, lines, { owner });
  }

  overview(): Promise<OverviewJson> {
    return this.daemon.client.getJson<OverviewJson>("/v1/overview");
  }

  /** A page that has shown the daemon's state twice, so that there are rates. */
  async open(options: PageOptions = {}, path = ""): Promise<WatchedPage> {
    const watched = await WatchedPage.open(this.browser, `${this.daemon.dashboard}${path}`, options);
    this.#pages.push(watched);
    await watched.sees("#state", "ready");
    await watched.sees("#pipeline text.rate", /\d\/s/);
    return watched;
  }

  async closePages(): Promise<void> {
    for (const { page } of this.#pages.splice(0)) await page.close();
  }

  async stop(): Promise<void> {
    await this.browser.close();
    await this.daemon.stop();
    this.ns.delete();
  }
}
