/** An FPM client whose server stops, goes and comes while everything changes: whatever happens, the tables agree at the end. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate } from "node:timers";
import { UpdateOp } from "../../core/model/route.ts";
import { Prng } from "../../core/prng.ts";
import { FpmBench } from "../support/fpm_export_bench.ts";
import { group, nexthop } from "../support/nexthop_bench.ts";
import { numberedUpdate } from "../support/updates.ts";

const SEEDS = [1, 2, 3, 4, 5, 6];
const STEPS = 120;
const ROUTES = 6000;
const GROUPS = [7, 8, 9];

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class World {
  readonly bench: FpmBench;
  readonly random: Prng;
  isListening = true;
  readonly downLinks = new Set<number>();

  constructor(bench: FpmBench, seed: number) {
    this.bench = bench;
    this.random = new Prng(seed);
  }

  async step(): Promise<void> {
    const { bench, random } = this;
    switch (random.below(10)) {
      case 0:
        return this.#setGroup(GROUPS[random.below(GROUPS.length)]!);
      case 1:
        return this.#switchLink(2 + random.below(3));
      case 2:
        if (random.below(2) === 0) bench.peer.pause();
        else bench.peer.resume();
        return;
      case 3:
        return random.below(3) === 0 ? this.#switchPeer() : undefined;
      case 4:
        bench.kernel.holdsRoutes = random.below(2) === 0;
        if (!bench.kernel.holdsRoutes) bench.kernel.release();
        return;
      case 5:
        return random.below(4) === 0 ? bench.export.replay() : undefined;
      default:
        return this.#updates(random.below(1500));
    }
  }

  async #updates(count: number): Promise<void> {
    const { bench, random } = this;
    const first = random.below(ROUTES);
    const kind = random.below(4);
    // Answers that are kept back would keep a full queue full.
    if (bench.kernel.holdsRoutes && count > 20) bench.kernel.release();
    await bench.harness.stream(count, (index) => {
      const number = (first + index) % ROUTES;
      if (kind === 0) return numberedUpdate(number, UpdateOp.DELETE);
      if (kind === 1) return bench.onGroup(number, GROUPS[number % GROUPS.length]!);
      return numberedUpdate(number, UpdateOp.INSTALL, random.below(250));
    });
    for (let pause = random.below(4); pause > 0; pause--) await turn();
  }

  async #setGroup(number: number): Promise<void> {
    const { bench, random } = this;
    if (bench.kernel.holdsRoutes) bench.kernel.release();
    const links = [2, 3, 4].filter(() => random.below(2) === 0);
    const members = (links.length === 0 ? [2] : links).map((link) => nexthop(link, 9, 1 + random.below(5)));
    void bench.groups.set(number, group(members));
    await turn();
  }

  #switchLink(link: number): void {
    const isDown = this.downLinks.delete(link);
    if (!isDown) this.downLinks.add(link);
    this.bench.setLink(link, isDown);
  }

  async #switchPeer(): Promise<void> {
    const { peer } = this.bench;
    if (this.isListening) {
      await peer.vanish();
      if (this.random.below(2) === 0) peer.forget();
    } else await peer.listen();
    this.isListening = !this.isListening;
  }

  /** Everything works again. */
  async end(): Promise<void> {
    const { bench } = this;
    bench.kernel.release();
    for (const link of [...this.downLinks]) this.#switchLink(link);
    bench.peer.resume();
    if (!this.isListening) await bench.peer.listen();
  }
}

describe("an FPM client", () => {
  for (const sonic of [false, true]) {
    for (const nexthopGroups of [true, false]) {
      it(`ends complete, whatever happens: ${sonic ? "sonic" : "frr"}, ${nexthopGroups ? "objects" : "inline"}`, async () => {
        for (const seed of SEEDS) {
          const bench = await FpmBench.start({ sonic, options: { nexthopGroups } });
          const world = new World(bench, seed);
          try {
            for (let step = 0; step < STEPS; step++) await world.step();
            await world.end();
            await bench.agreed();
          } catch (error) {
            assert.fail(`seed ${seed}: ${error instanceof Error ? error.stack : error}`);
          }
          await bench.close();
        }
      });
    }
  }
});
