/** BIRD in a network namespace, fed with a routing table as static routes which it announces over BGP. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Netns } from "./netns.ts";
import { until } from "./wait.ts";

const BIRD = "/usr/sbin/bird";
const BIRDC = "/usr/sbin/birdc";

/** Why BIRD cannot be started here. */
export function birdSkipReason(): string | false {
  for (const program of [BIRD, BIRDC]) if (!existsSync(program)) return `there is no ${program} (package bird2)`;
  return false;
}

export interface BgpFeedOptions {
  /** Of both ends: the session is internal, so that nexthops are announced as they are. */
  asNumber: number;
  address: string;
  neighbor: string;
}

/** A prefix and the gateway that is announced with it. */
export interface FeedRoute {
  family: 4 | 6;
  prefix: string;
  gateway: string;
}

/** The text of a configuration that announces these routes. */
export function birdConfig({ asNumber, address, neighbor }: BgpFeedOptions, routes: Iterable<FeedRoute>): string {
  const lines: Record<4 | 6, string[]> = { 4: [], 6: [] };
  for (const { family, prefix, gateway } of routes) lines[family].push(`route ${prefix} via ${gateway};`);
  const feed = (family: 4 | 6) => `protocol static feed${family} { ipv${family}; ${lines[family].join("\n")} }`;
  const channel = (family: 4 | 6) => `ipv${family} { import none; export where source = RTS_STATIC; next hop keep; };`;
  return [
    `router id ${address};`,
    "protocol device { }",
    "protocol direct { ipv4; ipv6; }",
    feed(4),
    feed(6),
    `protocol bgp peer { local ${address} as ${asNumber}; neighbor ${neighbor} as ${asNumber};`,
    "connect delay time 1; connect retry time 1; error wait time 1, 2;",
    `${channel(4)} ${channel(6)} }`,
    "",
  ].join("\n");
}

export class Bird {
  readonly directory = mkdtempSync(join(tmpdir(), "dplaned-bird-"));
  log = "";
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #hasEnded = false;

  constructor(ns: Netns, config: string) {
    writeFileSync(this.#path("bird.conf"), config);
    const paths = ["-c", this.#path("bird.conf"), "-s", this.#path("bird.ctl"), "-P", this.#path("bird.pid")];
    this.#child = spawn("ip", ["netns", "exec", ns.name, BIRD, "-f", ...paths], { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.log += text;
      });
    }
    this.#ended = new Promise((resolve) => {
      const end = () => {
        this.#hasEnded = true;
        resolve();
      };
      this.#child.once("close", end);
      this.#child.once("error", end);
    });
  }

  /** Starts it; it takes commands when this resolves. */
  static async start(ns: Netns, config: string): Promise<Bird> {
    const bird = new Bird(ns, config);
    try {
      await until("BIRD takes commands", () => {
        if (bird.#hasEnded) throw new Error(`BIRD did not come up:\n${bird.log}`);
        return existsSync(bird.#path("bird.ctl"));
      });
      return bird;
    } catch (error) {
      await bird.stop();
      throw error;
    }
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** What `birdc` prints for a command. */
  birdc(...words: string[]): string {
    return execFileSync(BIRDC, ["-s", this.#path("bird.ctl"), ...words], { encoding: "utf8" });
  }

  /** Has it take another configuration: what is not in it any more is withdrawn. */
  reconfigure(config: string): void {
    writeFileSync(this.#path("bird.conf"), config);
    const answer = this.birdc("configure");
    if (!/Reconfigur/.test(answer)) throw new Error(`BIRD takes not its configuration: ${answer}`);
  }

  async stop(): Promise<void> {
    if (!this.#hasEnded) this.#child.kill("SIGKILL");
    await this.#ended;
    rmSync(this.directory, { recursive: true, force: true });
  }

  #path(name: string): string {
    return join(this.directory, name);
  }
}
