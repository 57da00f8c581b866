/**
 * A real routing table on its way through three programs: BIRD announces it over BGP, FRR's bgpd takes it, zebra tells it
 * over FPM, and the receiver's kernel must hold it.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Bird, birdConfig, birdSkipReason } from "../support/bird.ts";
import { fibDifferences, readFib } from "../support/fib.ts";
import { FPM_PORT, type FpmReceiver, receiverSkipReason, startDaemon } from "../support/fpm_receiver.ts";
import { type TableOptions, tableFib, tableRoutes } from "../support/fpm_table.ts";
import { createFpmTopology, type FpmTopology, SERVER_ADDRESS } from "../support/fpm_topology.ts";
import { Frr } from "../support/frr.ts";
import { createNetns, type Netns } from "../support/netns.ts";
import { until } from "../support/wait.ts";

const LIMITS = { 4: 100_000, 6: 20_000 } as const;
const AS_NUMBER = 65_000;
const BIRD_ADDRESS = "10.8.0.2";
const BGPD_ADDRESS = "10.8.0.1";
const BGPD_CONFIG = [
  `router bgp ${AS_NUMBER}`,
  `bgp router-id ${BGPD_ADDRESS}`,
  `neighbor ${BIRD_ADDRESS} remote-as ${AS_NUMBER}`,
  "address-family ipv6 unicast",
  `neighbor ${BIRD_ADDRESS} activate`,
  "exit-address-family",
].join("\n");
const SETTLE_MS = 60_000;
/** Reading both tables takes a second: not more often than that. */
const LOOK_MS = 1500;

const skip = receiverSkipReason("dplaned") || birdSkipReason();

describe("a real table over BIRD, bgpd, zebra and dplaned", () => {
  let topology: FpmTopology;
  let feeder: Netns;
  let receiver: FpmReceiver;
  let frr: Frr;
  let bird: Bird | undefined;

  before(async () => {
    if (skip) return;
    topology = createFpmTopology();
    feeder = createNetns();
    addFeed(topology.a, feeder);
    receiver = await startDaemon(topology.b);
    const fpm = { name: "dplane_fpm_nl", address: SERVER_ADDRESS, port: FPM_PORT } as const;
    frr = await Frr.start(topology.a, { configs: { bgpd: BGPD_CONFIG }, fpm });
  });
  after(async () => {
    await bird?.stop();
    await frr?.stop();
    await receiver?.stop();
    topology?.delete();
    feeder?.delete();
  });

  /** Has BIRD announce exactly this, and resolves when FRR's kernel and the receiver hold it. */
  const announce = async (options: TableOptions) => {
    const wanted = tableFib(tableRoutes(options));
    const config = birdConfig(
      { asNumber: AS_NUMBER, address: BIRD_ADDRESS, neighbor: BGPD_ADDRESS },
      tableRoutes(options),
    );
    if (bird === undefined) bird = await Bird.start(feeder, config);
    else bird.reconfigure(config);
    await reaches("FRR's kernel", () => fibDifferences(wanted, readFib(topology.a)));
    await reaches("dplaned", () => fibDifferences(wanted, receiver.fib()));
    return wanted.size;
  };

  it("the whole of it arrives", { skip }, async () => {
    assert.ok((await announce({ limits: LIMITS })) >= 119_000);
  });

  it("half of it is withdrawn", { skip }, async () => {
    assert.ok((await announce({ limits: LIMITS, every: 2 })) >= 59_000);
  });

  it("every route moves to another nexthop", { skip }, async () => {
    await announce({ limits: LIMITS, every: 2, shift: 5 });
  });
});

/** Joins FRR's namespace to BIRD's, whose static routes need gateways that are links of its own. */
function addFeed(a: Netns, feeder: Netns): void {
  a.ip("link", "add", "feed", "type", "veth", "peer", "name", "feed", "netns", feeder.name);
  a.ipBatch([`address add ${BGPD_ADDRESS}/30 dev feed`, "link set feed up"]);
  feeder.ipBatch([
    `address add ${BIRD_ADDRESS}/30 dev feed`,
    "link set feed up",
    "link add gateways type veth peer name silent",
    "link set gateways up",
    "link set silent up",
    "address add 10.0.0.254/24 dev gateways",
    "address add 10.0.1.254/24 dev gateways",
    "address add 2001:db8::fe/64 dev gateways nodad",
    "address add 2001:db8:1::fe/64 dev gateways nodad",
  ]);
}

/** Looks now and then until nothing differs. Throws with the differences. */
async function reaches(who: string, look: () => string[]): Promise<void> {
  const deadline = performance.now() + SETTLE_MS;
  for (let differences = look(); differences.length > 0; differences = look()) {
    if (performance.now() > deadline) throw new Error(`${who} does not hold the table: ${differences.join("\n")}`);
    const next = performance.now() + LOOK_MS;
    await until(`it is time to look at ${who} again`, () => performance.now() > next);
  }
}
