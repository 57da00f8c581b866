import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ServiceManager } from "../../../core/daemon/systemd.ts";
import { createQuietLog } from "../../support/quiet_log.ts";
import { until } from "../../support/wait.ts";

/** Long enough for several periods of the watchdogs below, which are a millisecond each. */
async function severalPeriods(): Promise<void> {
  const end = performance.now() + 20;
  await until("several periods have passed", () => performance.now() > end);
}

function createManager(environment: Record<string, string>, errno = 0) {
  const sent: string[] = [];
  const log = createQuietLog();
  const send = (socketPath: string, text: string): number => {
    sent.push(`${socketPath} ${text.replaceAll("\n", " ")}`);
    return errno;
  };
  return { manager: new ServiceManager(send, environment, log), sent, log };
}

describe("ServiceManager", () => {
  it("says nothing where there is no service manager", () => {
    const { manager, sent } = createManager({});
    manager.ready("up");
    manager.reloading();
    manager.stopping();
    manager.startWatchdog(() => true);
    assert.deepEqual(sent, []);
  });

  it("tells of readiness, reload and stop in systemd's words", () => {
    const { manager, sent } = createManager({ NOTIFY_SOCKET: "@manager" });
    manager.ready("up");
    manager.reloading();
    manager.stopping();
    assert.equal(sent[0], "@manager READY=1 STATUS=up");
    assert.match(sent[1]!, /^@manager RELOADING=1 MONOTONIC_USEC=\d+$/);
    assert.match(sent[2]!, /^@manager STOPPING=1 /);
  });

  it("feeds the watchdog only while the daemon is well, and not after it has begun to stop", async () => {
    const { manager, sent } = createManager({ NOTIFY_SOCKET: "/s", WATCHDOG_USEC: "3000" });
    let isWell = false;
    let asked = 0;
    manager.startWatchdog(() => {
      asked += 1;
      return isWell;
    });
    await until("it was asked", () => asked > 3);
    assert.equal(sent.length, 0, "a sick daemon is silent");
    isWell = true;
    await until("it has fed the watchdog", () => sent.includes("/s WATCHDOG=1"));
    manager.stopping();
    const askedBefore = asked;
    const count = sent.length;
    await severalPeriods();
    assert.equal(asked, askedBefore);
    assert.equal(sent.length, count);
  });

  it("leaves the watchdog alone that is meant for another process", async () => {
    const { manager } = createManager({ NOTIFY_SOCKET: "/s", WATCHDOG_USEC: "3000", WATCHDOG_PID: "1" });
    let asked = 0;
    manager.startWatchdog(() => ++asked > 0);
    await severalPeriods();
    assert.equal(asked, 0);
  });

  it("warns when the socket does not take it", () => {
    const { manager, log } = createManager({ NOTIFY_SOCKET: "/gone" }, 2);
    manager.ready("up");
    assert.deepEqual(
      log.records.map(({ level, message }) => [level, message]),
      [["warn", "The service manager could not be told"]],
    );
  });
});
