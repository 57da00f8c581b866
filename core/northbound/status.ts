/** Health, readiness and counters as the API shows them. Main thread. */

import { now } from "../clock.ts";
import type { Dataplane, DataplaneState } from "../dataplane/dataplane.ts";
import type { Rib } from "../rib/rib.ts";
import type { DplaneJson, HealthJson, WorkerHealthJson } from "./api_types.ts";
import type { Plugins } from "./plugins.ts";
import type { ProviderJson } from "./provider_types.ts";

const STATES: Readonly<Record<DataplaneState, DplaneJson["state"]>> = {
  initialised: "starting",
  starting: "starting",
  running: "running",
  finishing: "stopping",
  stopped: "stopping",
  failed: "failed",
};

export function describeDplane(dataplane: Dataplane, rib: Rib): DplaneJson {
  const { state, poolSize, poolFree, ...snapshot } = dataplane.snapshot();
  const { results } = rib;
  return {
    routeUpdates: snapshot.routeUpdates,
    routeUpdateErrors: snapshot.routeUpdateErrors + results.fib_failed,
    queueLimit: snapshot.queueLimit,
    queueDepth: snapshot.queueDepth,
    queueMax: snapshot.queueMax,
    yields: snapshot.yields,
    cycles: snapshot.cycles,
    updatesSkipped: results.skipped,
    workLimit: snapshot.workLimit,
    pool: { size: poolSize, free: poolFree },
    results: {
      fibProgrammed: results.fib_programmed,
      fibFailed: results.fib_failed,
      ribProgrammed: results.rib_programmed,
      skipped: results.skipped,
      superseded: results.superseded,
      // What is refused before it gets a context is what is rejected.
      rejected: snapshot.routeUpdateErrors,
    },
    state: STATES[state],
    restarts: snapshot.restarts,
  };
}

export function describeProviders(dataplane: Dataplane, plugins?: Plugins): ProviderJson[] {
  return dataplane.providers().map(({ reason, ...provider }) => {
    const plugin = plugins?.describe(provider.id);
    return { ...provider, ...(reason === "" ? {} : { reason }), ...(plugin === undefined ? {} : { plugin }) };
  });
}

/** Why the daemon is not ready; empty if it is. `startup` are the reasons of whoever starts it. */
export function readinessReasons(dataplane: Dataplane, startup: readonly string[]): string[] {
  const { state } = dataplane;
  if (state === "finishing" || state === "stopped") return ["dplaned is shutting down"];
  const reasons = [...startup];
  if (state === "initialised" || state === "starting") reasons.push("the dataplane is starting");
  if (state === "failed") reasons.push(`the dataplane has failed: ${dataplane.failure}`);
  for (const { name, state: providerState, reason } of dataplane.providers()) {
    if (providerState === "starting") reasons.push(`provider ${name} is starting`);
    else if (providerState === "bypassed") reasons.push(`provider ${name} is bypassed: ${reason}`);
    else if (providerState !== "up") reasons.push(`provider ${name} is down: ${reason}`);
  }
  return reasons;
}

export function describeHealth(workers: readonly WorkerHealthJson[], version: string, startedAt: number): HealthJson {
  return {
    status: workers.every(({ alive }) => alive) ? "ok" : "failed",
    version,
    uptimeSeconds: Math.round(now() - startedAt) / 1000,
    workers: [...workers],
  };
}
