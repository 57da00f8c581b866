/**
 * Records the golden bytes of tests/golden/fpm again: what FRR's zebra sends to a FPM server, with either of its modules.
 * Everything runs in network namespaces of its own; the host's is never touched.
 *
 *     bun tests/golden/capture_fpm.ts      (as root; needs frr and iproute2)
 *
 * A topic becomes `<module>_<topic>.hex`, a FPM frame with its header a line; `.list`, the messages of these frames as
 * iproute2 reads them (`ip monitor file`), which is what the test compares our decoders with; and `.txt`, which says how
 * the bytes came to be. Run by hand; nothing imports this file.
 */
import { Buffer } from "node:buffer";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { NLA_F_NESTED, NLMSG_HDRLEN, RTM_NEWNEXTHOP } from "../../ffi/netlink/constants.ts";
import { align4 } from "../../ffi/netlink/message.ts";
import { FPM_HEADER_LENGTH } from "../../ffi/fpm/frame.ts";
import { FpmRecorder } from "../support/fpm_recorder.ts";
import { createFpmTopology, type FpmTopology, SERVER_ADDRESS } from "../support/fpm_topology.ts";
import { Frr, type FpmModule, frrVersion } from "../support/frr.ts";
import { createNetns } from "../support/netns.ts";
import { until } from "../support/wait.ts";

const HERE = fileURLToPath(new URL("fpm/", import.meta.url).href);
const PORT = 2620;
/** So long without a byte a step is over: nothing in the protocol says so. */
const QUIET_MS = 2000;

interface Step {
  topic: string;
  /** Lines of configuration, entered at once. */
  configure?: readonly string[];
  /** Words for `ip` in the namespace of FRR. */
  ip?: readonly string[];
  /** Ends the daemons in this order, one after the other. */
  stop?: readonly ("staticd" | "zebra")[];
  /** Has zebra forget its FPM server and connect again. */
  reconnect?: boolean;
}

const STEPS: readonly Step[] = [
  { topic: "replay_empty" },
  { topic: "static", configure: ["ip route 198.51.100.0/24 10.0.0.2"] },
  { topic: "ecmp", configure: ["ip route 203.0.113.0/24 10.0.0.2", "ip route 203.0.113.0/24 10.0.1.2"] },
  { topic: "blackhole", configure: ["ip route 192.0.2.0/25 blackhole", "ip route 192.0.2.128/25 reject"] },
  { topic: "device", configure: ["ip route 100.64.0.0/11 v0"] },
  { topic: "table", configure: ["ip route 100.64.0.0/10 10.0.0.2 table 100"] },
  {
    topic: "ipv6",
    configure: [
      "ipv6 route 2001:db8:f::/48 2001:db8::2",
      "ipv6 route 2001:db8:e::/48 2001:db8::2",
      "ipv6 route 2001:db8:e::/48 2001:db8:1::2",
      "ipv6 route 2001:db8:d::/48 blackhole",
    ],
  },
  { topic: "change", configure: ["ip route 198.51.100.0/24 10.0.0.3", "no ip route 198.51.100.0/24 10.0.0.2"] },
  { topic: "ecmp_change", configure: ["no ip route 203.0.113.0/24 10.0.1.2", "ip route 203.0.113.0/24 10.0.1.3"] },
  { topic: "link_down", ip: ["link", "set", "v2", "down"] },
  { topic: "link_up", ip: ["link", "set", "v2", "up"] },
  { topic: "replay", reconnect: true },
  { topic: "delete", configure: ["no ip route 198.51.100.0/24 10.0.0.3", "no ipv6 route 2001:db8:f::/48 2001:db8::2"] },
];
/** The two ways to end it: the routing protocols first, as FRR's own scripts do; or zebra alone. */
const STOPS: readonly Step[] = [
  { topic: "stop", stop: ["staticd", "zebra"] },
  { topic: "stop_zebra", stop: ["zebra"] },
];
/** What is configured before a stop. */
const BEFORE_STOP = ["ip route 198.51.100.0/24 10.0.0.2", "ipv6 route 2001:db8:f::/48 2001:db8::2"];

/**
 * The messages of a frame, as a kernel would write them: iproute2 does not see a multipath that says that it is nested.
 * The attributes begin behind the header and struct rtmsg (12 bytes) or struct nhmsg (8).
 */
function withoutNestedFlag(frame: Uint8Array): Buffer {
  const bytes = Buffer.from(frame.subarray(FPM_HEADER_LENGTH));
  for (let at = 0; at < bytes.length; at += align4(bytes.readUInt32LE(at))) {
    const end = at + bytes.readUInt32LE(at);
    const head = bytes.readUInt16LE(at + 4) < RTM_NEWNEXTHOP ? 12 : 8;
    for (let attribute = at + NLMSG_HDRLEN + head; attribute < end; ) {
      bytes[attribute + 3]! &= ~(NLA_F_NESTED >> 8);
      attribute += align4(bytes.readUInt16LE(attribute));
    }
  }
  return bytes;
}

/** What iproute2 makes of netlink messages, in a namespace where no interface has a name: `if10` is number 10. */
function listing(frames: readonly Uint8Array[]): string {
  const ns = createNetns();
  const folder = mkdtempSync(join(tmpdir(), "dplaned-capture-"));
  try {
    const file = join(folder, "messages");
    writeFileSync(file, Buffer.concat(frames.map(withoutNestedFlag)));
    const text = ns.exec("ip", ["-N", "-d", "monitor", "file", file]);
    // A multipath's nexthops are lines of their own; `nh_info` repeats the nexthop objects that iproute2 remembers.
    return text.replace(/^\tnh_info .*\n/gm, "").replace(/\n\tnexthop/g, "nexthop").replace(/ +$/gm, "");
  } finally {
    ns.delete();
    rmSync(folder, { recursive: true, force: true });
  }
}

class Capture {
  readonly #topology: FpmTopology;
  readonly #recorder: FpmRecorder;
  readonly #frr: Frr;
  readonly #module: FpmModule["name"];
  #taken = 0;
  #connections = 0;

  constructor(topology: FpmTopology, recorder: FpmRecorder, frr: Frr, module: FpmModule["name"]) {
    this.#topology = topology;
    this.#recorder = recorder;
    this.#frr = frr;
    this.#module = module;
  }

  async run(step: Step, record = true): Promise<void> {
    if (step.reconnect) this.#recorder.dropConnections();
    if (step.reconnect || this.#connections === 0) await this.#connected();
    if (step.configure) this.#frr.configure(...step.configure);
    if (step.ip) this.#topology.a.ip(...step.ip);
    for (const daemon of step.stop ?? []) {
      await this.#frr.kill(daemon, "SIGTERM");
      await this.#quiet();
    }
    const frames = await this.#quiet();
    const fresh = frames.slice(this.#taken);
    this.#taken = frames.length;
    if (record) this.#write(step, fresh);
  }

  /** Waits for a connection that was not there before. */
  async #connected(): Promise<void> {
    this.#connections += 1;
    await until("zebra connects", () => {
      return this.#recorder.connections.length >= this.#connections && this.#recorder.last!.frames.length > 0;
    });
  }

  /** All frames of all connections, once no more come. */
  async #quiet(): Promise<Uint8Array[]> {
    let count = -1;
    let since = 0;
    const all = () => this.#recorder.connections.flatMap((each) => each.frames);
    await until("FRR is quiet", () => {
      const now = all().length;
      if (now !== count) [count, since] = [now, performance.now()];
      return performance.now() - since > QUIET_MS;
    });
    return all();
  }

  #write(step: Step, frames: readonly Uint8Array[]): void {
    const base = join(HERE, `${this.#module}_${step.topic}`);
    writeFileSync(`${base}.hex`, frames.map((frame) => `${Buffer.from(frame).toString("hex")}\n`).join(""));
    writeFileSync(`${base}.list`, frames.length === 0 ? "" : listing(frames));
    writeFileSync(`${base}.txt`, describe(this.#module, step));
    console.log(`${base}: ${frames.length} frames`);
  }
}

function describe(module: string, { configure, ip, stop, reconnect }: Step): string {
  const did = [
    ...(configure ?? []).map((line) => `configure: ${line}`),
    ...(ip ? [`command:   ip ${ip.join(" ")}`] : []),
    ...(stop ?? []).map((daemon) => `signal:    SIGTERM to ${daemon}`),
    ...(reconnect ? ["then:      the server closes the connection, and zebra connects again"] : []),
  ];
  const about = [
    ...(did.length > 0 ? did : ["then:      zebra connects"]),
    `sender:    zebra of FRR ${frrVersion()} with the module ${module}`,
    "links:     tests/support/fpm_topology.ts; the topics follow each other as in capture_fpm.ts",
    `kernel:    Linux ${/^[\d.]+/.exec(release())}`,
    `date:      ${new Date().toISOString().slice(0, 10)}`,
  ];
  return `${about.join("\n")}\n`;
}

async function session(module: FpmModule["name"], work: (capture: Capture) => Promise<void>): Promise<void> {
  const topology = createFpmTopology();
  const recorder = await FpmRecorder.start(topology.b, SERVER_ADDRESS, PORT);
  const fpm = { name: module, address: SERVER_ADDRESS, port: PORT };
  const frr = await Frr.start(topology.a, { configs: { staticd: "" }, fpm });
  try {
    await work(new Capture(topology, recorder, frr, module));
  } finally {
    await frr.stop();
    await recorder.stop();
    topology.delete();
  }
}

async function main(): Promise<void> {
  mkdirSync(HERE, { recursive: true });
  for (const module of ["dplane_fpm_nl", "fpm"] as const) {
    await session(module, async (capture) => {
      for (const step of STEPS) await capture.run(step);
    });
    for (const stop of STOPS) {
      await session(module, async (capture) => {
        await capture.run({ topic: "before", configure: BEFORE_STOP }, false);
        await capture.run(stop);
      });
    }
  }
}

await main();
process.exit(0);
