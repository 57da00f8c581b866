import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ExportQuestion } from "../../../core/context/route_export.ts";
import { createFpmClientCounterStorage, readFpmClientCounters } from "../../../core/model/fpm_client_counters.ts";
import { LinkTable } from "../../../core/model/link_table.ts";
import { UpdateOp } from "../../../core/model/route.ts";
import { RouteExport } from "../../../core/rib/export.ts";
import { NexthopGroups } from "../../../core/rib/nexthop_groups.ts";
import { createFpmProvider, type FpmOptions } from "../../../providers/fpm/provider.ts";
import { testProviderContract } from "../../conformance/provider_cases.ts";
import { FpmPeer } from "../../support/fpm_peer.ts";
import { Harness, specOf } from "../../support/harness.ts";
import { POST_KERNEL } from "../../support/scripted_provider.ts";
import { createKillableSpawn } from "../../support/spawn.ts";
import { numberedUpdate } from "../../support/updates.ts";
import { keepAlive, until } from "../../support/wait.ts";

function fpmSpec(port: number, counters: SharedArrayBuffer) {
  const options: FpmOptions = {
    address: { host: "127.0.0.1", port },
    profile: "frr",
    nexthopGroups: true,
    exportFailed: false,
    protocol: 210,
    counters,
    retryMinMs: 10,
  };
  return {
    kind: "fpm",
    name: "export",
    priority: POST_KERNEL,
    threaded: true,
    options: options as unknown as Record<string, unknown>,
  };
}

describe("FPM provider, without a server", () => {
  // Nobody listens on the discard port of the loopback network's last address.
  const { options, ...spec } = fpmSpec(9, createFpmClientCounterStorage());
  const address = { host: "127.255.255.254", port: 9 };
  const retryMinMs = 30_000;
  testProviderContract({
    priority: POST_KERNEL,
    create: () => createFpmProvider({ ...spec, id: 1, options: { ...options, address, retryMinMs } }),
  });

  it("is not made with a profile that there is not", () => {
    const registered = { ...spec, id: 1, options: { ...options, profile: "toString" } };
    assert.throws(() => createFpmProvider(registered), /no profile "toString"/);
  });
});

describe("FPM provider, on a thread of its own", () => {
  it("sends everything again when its thread has died and another was started", async () => {
    const peer = await FpmPeer.start();
    const storage = createFpmClientCounterStorage();
    const { spawn, threads } = createKillableSpawn();
    const harness: Harness = new Harness({
      spawn,
      providers: [specOf({ name: "kernel" }), fpmSpec(peer.port, storage)],
      onProviderMessage: (id, body) => routeExport.onMessage(id, body as ExportQuestion),
    });
    const { rib, dataplane } = harness;
    const groups = new NexthopGroups(rib, dataplane, new LinkTable(), "off");
    const routeExport = new RouteExport(rib, groups, (id, answer, transfer) =>
      dataplane.tellProvider(id, answer, transfer),
    );
    routeExport.open();
    const isSent = (count: number) => () => {
      const { state, outputBytes, routesQueued } = readFpmClientCounters(storage);
      return state === 2 && outputBytes === 0 && routesQueued === 0 && peer.routes.size === count;
    };
    await harness.start();
    await harness.stream(5000);
    await harness.settled();
    await keepAlive(until("all routes are there", isSent(5000)));

    const thread = threads.findLast(({ role }) => role === "provider")!;
    await thread.handle.terminate();
    await keepAlive(until("its end is noticed", () => dataplane.providers()[1]!.state === "failed"));
    peer.forget();
    await harness.stream(1000, (index) => numberedUpdate(index, UpdateOp.DELETE));
    await harness.stream(500, (index) => numberedUpdate(10_000 + index));
    await harness.settled();
    await keepAlive(until("another connects, and all is there", isSent(4500)));
    assert.equal(peer.connections, 2);
    await harness.stream(500, (index) => numberedUpdate(20_000 + index));
    await harness.settled();
    await keepAlive(until("what comes later is there too", isSent(5000)));
    assert.deepEqual(peer.errors, []);

    // The same, with the thread that runs the pipeline.
    await threads.find(({ role }) => role === "dataplane")!.handle.terminate();
    await keepAlive(until("all is started again", () => peer.connections === 3));
    await harness.stream(500, (index) => numberedUpdate(20_000 + index, UpdateOp.DELETE));
    await harness.settled();
    await keepAlive(until("and exports go on", isSent(4500)));
    assert.deepEqual(peer.errors, []);
    harness.assertComplete();
    groups.stop();
    await harness.stop();
    assert.equal(readFpmClientCounters(storage).state, 3);
    await peer.vanish();
  });
});
