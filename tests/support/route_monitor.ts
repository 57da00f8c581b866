/** `ip monitor` in a namespace: what the kernel announces about routes and nexthop objects while a test runs. */
import { type ChildProcess, spawn } from "node:child_process";
import type { Netns } from "./netns.ts";
import { until } from "./wait.ts";

export class RouteMonitor {
  readonly #ns: Netns;
  readonly #child: ChildProcess;
  #text = "";

  constructor(ns: Netns) {
    this.#ns = ns;
    this.#child = spawn("ip", ["-n", ns.name, "-oneline", "monitor", "route", "nexthop"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.#text += text;
    });
  }

  /** Resolves when it listens. */
  static async start(ns: Netns): Promise<RouteMonitor> {
    const monitor = new RouteMonitor(ns);
    await monitor.#mark();
    monitor.#text = "";
    return monitor;
  }

  /** Everything that was announced since the last call, a line each, without what the test itself marks with. */
  async take(): Promise<string[]> {
    await this.#mark();
    const lines = this.#text.split("\n").filter((line) => line !== "" && !line.includes(MARK));
    this.#text = "";
    return lines;
  }

  stop(): void {
    this.#child.kill();
  }

  /** Puts a route of the test's own into the stream: when that is seen, everything before it is. */
  async #mark(): Promise<void> {
    const route = `${MARK}${counter++}`;
    await until("ip monitor sees a route go", () => {
      if (this.#text.includes(`Deleted throw ${route} `)) return true;
      this.#ns.ip("route", "add", "throw", route, "table", "4000000000");
      this.#ns.ip("route", "del", "throw", route, "table", "4000000000");
      return false;
    });
  }
}

/** Prefix of the routes that mark the stream. */
const MARK = "240.0.0.";
let counter = 1;
