/**
 * The model kernel of tests/sim is asked the same as a real one, at random: it must answer the same, and hold the same, also after
 * links and addresses went and came.
 *
 *   SEED=n        that sequence alone
 *   SEQUENCES=n   as many
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Prng } from "../../core/prng.ts";
import { selectRuntime } from "../../ffi/runtime/select.ts";
import { ModelKernel } from "../sim/kernel/model_kernel.ts";
import { ModelNetlink } from "../sim/kernel/model_netlink.ts";
import { type Deed, RandomRequests, TEST_ADDRESSES } from "../sim/kernel/random_requests.ts";
import { KernelSide } from "../support/kernel_side.ts";
import { createNetns, type Netns, skipReason } from "../support/netns.ts";
import { until } from "../support/wait.ts";

const DEVICES = ["lo", "v0", "v1", "v2", "v3"];
const DEEDS = 150;
const SEED = process.env["SEED"];
const SEQUENCES = Number(process.env["SEQUENCES"] ?? (SEED === undefined ? 12 : 1));
const FIRST_SEED = Number(SEED ?? 1);
/** No interface has this number. */
const NO_INDEX = 9999;
/** The kernel tells interfaces of a carrier that their far end has lost a while later. */
const SETTLE_MS = 4000;

const libc = (await selectRuntime()).openLibc();

/** Both kernels, with two pairs of links and their addresses. */
class Pair {
  readonly ns: Netns = createNetns();
  readonly kernel = new ModelKernel();
  readonly real: KernelSide;
  readonly model: KernelSide;

  constructor() {
    this.ns.ipBatch([
      "link add v0 type veth peer name v1",
      "link add v2 type veth peer name v3",
      ...["v0", "v1", "v2", "v3"].map((name) => `link set ${name} up`),
      ...TEST_ADDRESSES.map(([device, address]) => addressLine(device, address, true)),
    ]);
    this.kernel.addLinks("v0", "v1");
    this.kernel.addLinks("v2", "v3");
    for (const [device, address] of TEST_ADDRESSES) this.kernel.addAddress(device, address);
    const indexes = new Map(this.ns.ipJson("link").map(({ ifname, ifindex }) => [ifname, ifindex]));
    this.real = new KernelSide(libc, this.ns.name, DEVICES, (name) => indexes.get(name) ?? NO_INDEX);
    const modelIndex = (name: string): number => this.kernel.links.named(name)?.ifindex ?? NO_INDEX;
    this.model = new KernelSide(new ModelNetlink(this.kernel).openLibc(), undefined, DEVICES, modelIndex);
  }

  /** What each of the two answers. */
  do(deed: Deed): [string, string] {
    if (deed.kind === "request") return [this.real.ask(deed.encode), this.model.ask(deed.encode)];
    if (deed.kind === "link") {
      this.ns.ip("link", "set", deed.device, deed.up ? "up" : "down");
      this.kernel.setLink(deed.device, deed.up);
      return ["", ""];
    }
    const { device, address, isAdded } = deed;
    this.ns.ipBatch([addressLine(device, address, isAdded)], { force: true });
    if (isAdded) this.kernel.addAddress(device, address);
    else this.kernel.removeAddress(device, address);
    return ["", ""];
  }

  async compare(): Promise<void> {
    const expected = this.model.held();
    let held: string[] = [];
    const isSame = (): boolean => {
      held = this.real.held();
      return held.join("\n") === expected.join("\n");
    };
    if (isSame()) return;
    await until("the kernel holds the same", isSame, SETTLE_MS).catch(() => assert.deepEqual(expected, held));
  }

  close(): void {
    this.real.close();
    this.ns.delete();
  }
}

function addressLine(device: string, address: string, isAdded: boolean): string {
  if (!isAdded) return `address del ${address} dev ${device}`;
  return `address replace ${address} dev ${device}${address.includes(":") ? " nodad" : ""}`;
}

async function play(seed: number): Promise<void> {
  const pair = new Pair();
  const requests = new RandomRequests(new Prng(seed));
  const done: string[] = [];
  try {
    for (let count = 0; count < DEEDS; count++) {
      const deed = requests.next();
      const [real, model] = pair.do(deed);
      done.push(`${deed.text}: ${real}`);
      assert.equal(model, real, "the answer");
      await pair.compare();
    }
  } catch (error) {
    throw new Error(`SEED=${seed}\n${done.slice(-12).join("\n")}\n${(error as Error).message}`);
  } finally {
    pair.close();
  }
}

describe("the model kernel", () => {
  const skip = skipReason();
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEQUENCES; seed++) {
    it(`answers as the kernel does, and holds the same: sequence ${seed}`, { skip }, () => play(seed));
  }
});
