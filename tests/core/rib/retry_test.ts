import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Clock, SYSTEM_CLOCK } from "../../../core/clock.ts";
import { DplaneError, U32 } from "../../../core/context/layout.ts";
import { Family } from "../../../core/model/route.ts";
import { Cause, causeOf, Retrier, SLOW_RETRY_MS } from "../../../core/rib/retry.ts";
import { ERRNO } from "../../../ffi/libc/errno.ts";
import { Harness, specOf } from "../../support/harness.ts";
import { programs, ScriptedProvider } from "../../support/scripted_provider.ts";
import { createInlineSpawn } from "../../support/spawn.ts";
import { numberedUpdate } from "../../support/updates.ts";
import { until } from "../../support/wait.ts";

describe("causeOf", () => {
  const cases: [error: number, text: string, cause: Cause][] = [
    [ERRNO.ENODEV, "", Cause.LINK],
    [ERRNO.ENETDOWN, "Device for nexthop is not up", Cause.LINK],
    [ERRNO.ENETUNREACH, "Nexthop has invalid gateway", Cause.ADDRESS],
    [ERRNO.EINVAL, "Invalid prefsrc address", Cause.SOURCE],
    [ERRNO.EINVAL, "Invalid source address", Cause.SOURCE],
    [ERRNO.EACCES, "IPv6 is disabled on nexthop device", Cause.IPV6],
    [ERRNO.EINVAL, "Nexthop id does not exist", Cause.NEXTHOP],
    [ERRNO.ENOSPC, "", Cause.ROOM],
    [ERRNO.EEXIST, "a route of protocol bird (12) has this prefix", Cause.FOREIGN],
    [DplaneError.NO_ANSWER, "", Cause.DATAPLANE],
    [DplaneError.NO_VERDICT, "", Cause.PROVIDER],
    [DplaneError.PROVIDER_REFUSED, "cannot record", Cause.DATAPLANE],
    [DplaneError.PROVIDER_REFUSED, "GATEWAY\u001fNexthop has invalid gateway\u001f", Cause.PLUGIN],
    [ERRNO.EINVAL, "", Cause.NONE],
    [ERRNO.EOPNOTSUPP, "", Cause.NONE],
  ];
  for (const [error, text, cause] of cases) {
    it(`${error} ${text}: ${cause}`, () => assert.equal(causeOf(error, text), cause));
  }
});

describe("retrier", () => {
  it("tries again what waits for what has come, and only that", async () => {
    const errors = new Map([
      [1, ERRNO.ENETDOWN],
      [2, ERRNO.ENETUNREACH],
      [3, ERRNO.EINVAL],
    ]);
    const tries: number[] = [];
    const provider = new ScriptedProvider((io, slot) => {
      const number = io.contexts.u8[slot * 256 + 64 + 3]!;
      tries.push(number);
      const error = errors.get(number);
      if (error === undefined) programs(io, slot);
      else io.contexts.fail(slot, error);
    });
    const harness = new Harness({ spawn: createInlineSpawn(() => provider), providers: [specOf({ name: "kernel" })] });
    const retrier = new Retrier(harness.rib);
    await harness.start();
    for (const number of [1, 2, 3, 4]) harness.install(number);
    harness.rib.flush();
    await harness.settled();
    assert.equal(harness.rib.failedCount, 3);
    tries.length = 0;
    retrier.wake(Cause.LINK);
    await until("the route is tried", () => tries.length === 1);
    errors.delete(2);
    retrier.wake(Cause.ADDRESS);
    await until("the other one is tried", () => harness.rib.failedCount === 2);
    assert.deepEqual(tries, [1, 2]);
    assert.equal(retrier.retries, 2);
    errors.delete(1);
    retrier.wake(Cause.LINK, Cause.ADDRESS);
    await until("it is programmed", () => harness.rib.failedCount === 1);
    assert.deepEqual(tries, [1, 2, 1], "what is programmed is not tried");
    retrier.stop();
    await harness.stop();
  });

  it("tries that route again which somebody else's has made way for, and no other", async () => {
    const taken = new Set([1, 2, 3]);
    const tries: number[] = [];
    const provider = new ScriptedProvider((io, slot) => {
      const number = io.contexts.u8[slot * 256 + 64 + 3]!;
      tries.push(number);
      if (taken.has(number)) io.contexts.fail(slot, ERRNO.EEXIST);
      else programs(io, slot);
    });
    const harness = new Harness({ spawn: createInlineSpawn(() => provider), providers: [specOf({ name: "kernel" })] });
    const { rib } = harness;
    const retrier = new Retrier(rib);
    await harness.start();
    for (const number of [1, 2, 3]) harness.install(number);
    rib.flush();
    await harness.settled();
    assert.equal(rib.failedCount, 3);
    tries.length = 0;
    taken.delete(2);
    const route = rib.findRoute(numberedUpdate(2));
    retrier.makeWay(Family.IPV4, route);
    await until("it is programmed", () => rib.failedCount === 2);
    assert.deepEqual(tries, [2]);
    retrier.makeWay(Family.IPV4, route);
    // One that is being written may be refused because of what was there before.
    taken.delete(3);
    harness.install(1);
    retrier.makeWay(Family.IPV4, rib.findRoute(numberedUpdate(1)));
    rib.flush();
    await until("the third is tried as well", () => tries.includes(3));
    await harness.settled();
    await rib.reconciler.idle();
    assert.equal(tries.filter((number) => number === 2).length, 1, "what is programmed is not tried");
    retrier.stop();
    await harness.stop();
  });

  it("tries a few again at the next turn of the slow timer, however long the kernel took to answer before", async () => {
    let aheadMs = 0;
    const slow: (() => void)[] = [];
    const clock: Clock = {
      ...SYSTEM_CLOCK,
      now: () => SYSTEM_CLOCK.now() + aheadMs,
      setTimeout: (callback, delayMs) => {
        if (delayMs !== SLOW_RETRY_MS) return SYSTEM_CLOCK.setTimeout(callback, delayMs);
        slow.push(callback);
        return SYSTEM_CLOCK.setTimeout(() => {}, 0);
      },
    };
    let tries = 0;
    const provider = new ScriptedProvider((io, slot) => {
      tries += 1;
      aheadMs += 6000;
      io.contexts.fail(slot, ERRNO.ENETDOWN);
    });
    const spawn = createInlineSpawn(() => provider);
    const harness = new Harness({ spawn, providers: [specOf({ name: "kernel" })], clock });
    const retrier = new Retrier(harness.rib);
    await harness.start();
    harness.install(1);
    harness.rib.flush();
    await harness.settled();
    retrier.start();
    for (const expected of [2, 3, 4]) {
      aheadMs += SLOW_RETRY_MS;
      slow.pop()!();
      await until("the route is tried", () => tries === expected);
      await harness.rib.reconciler.idle();
    }
    retrier.stop();
    await harness.stop();
  });

  it("tries a better claim again that somebody else's route kept out, when a claim of ours has taken its place", async () => {
    let isTaken = false;
    let gateway = 0;
    // A forwarding plane with another's route in it, which only the route by gateway 2 may take over.
    const provider = new ScriptedProvider((io, slot) => {
      const wanted = io.attrs.nexthop(io.contexts.getU32(slot, U32.ATTRS), 0).via[3]!;
      isTaken ||= wanted === 2;
      if (!isTaken) return io.contexts.fail(slot, ERRNO.EEXIST);
      gateway = wanted;
      programs(io, slot);
    });
    const harness = new Harness({ spawn: createInlineSpawn(() => provider), providers: [specOf({ name: "kernel" })] });
    const retrier = new Retrier(harness.rib);
    await harness.start();
    harness.admit({ ...numberedUpdate(1, 1, 9), distance: 5 }, harness.rib.owners.intern("better")!);
    harness.admit({ ...numberedUpdate(1, 1, 2), distance: 20 }, harness.rib.owners.intern("worse")!);
    harness.rib.flush();
    await until("the better one has it", () => gateway === 9);
    retrier.stop();
    await harness.settled();
    await harness.rib.reconciler.idle();
    await harness.stop();
  });
});
