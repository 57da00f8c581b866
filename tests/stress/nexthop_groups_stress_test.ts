/**
 * Random runs of nexthop groups: whatever clients, links and others do, in the end the kernel holds what is wanted, and
 * nothing else. `SEED` and `SEEDS` in the environment choose the runs.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { describe, it } from "node:test";
import { setImmediate } from "node:timers";
import { type Nexthop, UpdateOp } from "../../core/model/route.ts";
import { Prng } from "../../core/prng.ts";
import { group, LINKS, NexthopBench, nexthop, RESILIENT } from "../support/nexthop_bench.ts";
import { numberedUpdate } from "../support/updates.ts";
import { until } from "../support/wait.ts";

/** A random run: clients, links and others do what they like. In the end the kernel holds just what is wanted. */
async function runSchedule(seed: number): Promise<void> {
  const prng = new Prng(seed);
  const bench = await NexthopBench.start();
  const { kernel, groups, harness } = bench;
  const [groupCount, routeCount] = [5, 40];
  const routes = new Map<number, number>();
  let deletions = 0;
  /** What the kernel has to tell, in order, and has not told yet. */
  const notices: (() => void)[] = [];
  const randomMembers = (max: number): Nexthop[] => {
    const made = new Map<string, Nexthop>();
    for (let count = prng.below(max); count >= 0; count--) {
      const one = nexthop(LINKS[prng.below(LINKS.length)]!, 1 + prng.below(3), 1 + prng.below(3));
      made.set(`${one.ifindex} ${one.via[3]}`, one);
    }
    return [...made.values()];
  };
  const setLink = (ifindex: number, up: boolean): void => {
    kernel.setLink(ifindex, up);
    notices.push(() => bench.notice(ifindex, up));
  };
  const drop = (id: number): void => {
    const before = new Set(kernel.objects.keys());
    kernel.drop(id);
    const by = { kind: "nexthop", action: "delete", protocol: 210, portId: 5, by: "ip[5]" } as const;
    for (const gone of before) {
      if (!kernel.objects.has(gone)) notices.push(() => bench.readings.onChange({ ...by, id: gone }));
    }
  };
  const steps: (() => void)[] = [
    () => {
      const backup = prng.chance(0.3) ? randomMembers(2) : [];
      const resilient = prng.chance(0.3) ? { ...RESILIENT, buckets: 8 << prng.below(2) } : null;
      void groups.set(1 + prng.below(groupCount), group(randomMembers(4), { backup, resilient }));
    },
    () => {
      deletions += 1;
      void groups.delete(1 + prng.below(groupCount)).then(() => {
        deletions -= 1;
      });
    },
    () => setLink(LINKS[prng.below(LINKS.length)]!, prng.chance(0.6)),
    () => {
      const ids = [...kernel.objects.keys()];
      if (ids.length > 0) drop(ids[prng.below(ids.length)]!);
    },
    () => {
      if (prng.chance(0.1)) for (const id of [...kernel.objects.keys()]) drop(id);
    },
    () => {
      for (const tell of notices.splice(0, 1 + prng.below(4))) tell();
    },
  ];
  // A link may also go between two messages, and be noticed before they are answered.
  const flap = (): void => {
    if (!prng.chance(0.02)) return;
    setLink(LINKS[prng.below(LINKS.length)]!, prng.chance(0.6));
    if (prng.chance(0.5)) for (const tell of notices.splice(0)) tell();
  };
  kernel.beforeWrite = flap;
  kernel.afterWrite = flap;
  for (let step = 0; step < 400; step++) {
    if (prng.chance(0.5) && harness.dataplane.hasRoom()) {
      const number = prng.below(routeCount);
      const chosen = prng.chance(0.2) ? 0 : 1 + prng.below(groupCount);
      if (chosen === 0) harness.admit(numberedUpdate(number, UpdateOp.DELETE));
      else bench.route(number, chosen);
      routes.set(number, chosen);
      harness.rib.flush();
    } else steps[prng.below(steps.length)]!();
    if (prng.chance(0.3)) await new Promise((resolve) => setImmediate(resolve));
  }
  kernel.beforeWrite = () => {};
  kernel.afterWrite = () => {};
  // Routes on a group that is gone would keep what they had.
  await until("deletions are through", () => deletions === 0);
  for (let number = 1; number <= groupCount; number++) {
    if (groups.get(number) === undefined) void groups.set(number, group(randomMembers(4)));
  }
  for (const ifindex of LINKS) setLink(ifindex, true);
  for (const tell of notices.splice(0)) tell();
  await bench.settled();
  bench.readings.begin();
  bench.readings.end(kernel.reading());
  await bench.settled();
  for (const { number, wanted } of groups.list()) {
    const want = wanted.members.map(({ ifindex, via, weight }) => `${ifindex}.${via[3]}*${weight}`);
    if (wanted.resilient !== null) want.push(`buckets ${wanted.resilient.buckets}`);
    assert.equal(bench.held(number), want.join(" "), `group ${number}`);
  }
  for (const [number, chosen] of routes) {
    const object = groups.get(chosen)?.object;
    const expected = object === undefined || object === null ? undefined : { object: object.id };
    assert.deepEqual(kernel.routes.get(number), expected, `route ${number} on group ${chosen}`);
  }
  // Objects that routes have left go when that is noticed.
  await until("no object is an orphan", () => {
    const used = new Set<number>();
    for (const { object } of groups.list()) {
      used.add(object!.id);
      for (const { single } of object!.members) used.add(single.id);
    }
    return used.size === kernel.objects.size && used.size === groups.objects.count;
  });
  harness.assertComplete();
  await bench.close();
}

describe("nexthop groups, whatever happens", () => {
  const first = Number(process.env["SEED"] ?? 1);
  for (let seed = first; seed < first + Number(process.env["SEEDS"] ?? 25); seed++) {
    it(`ends with what is wanted, seed ${seed}`, () => runSchedule(seed));
  }
});
