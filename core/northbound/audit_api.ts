/** `/v1/audit`: whether the kernel holds what was confirmed, checked on demand; and drift as events. Main thread. */
import { formatPrefix } from "../model/prefix.ts";
import type { Drift, DriftEvent, NexthopDriftEvent } from "../rib/drift.ts";
import type { Retrier } from "../rib/retry.ts";
import type { Rib } from "../rib/rib.ts";
import type { AuditJson, AuditStatusJson } from "./api_types.ts";
import type { DriftEventJson, NexthopDriftEventJson } from "./event_types.ts";

/** Who has the kernel read (core/daemon/kernel_watch.ts). */
export interface Auditor {
  /** Reads and compares now; throws if it cannot come to an end. */
  audit(): Promise<AuditJson>;
  readonly lastAudit: (AuditJson & { time: number }) | null;
  readonly audits: number;
  /** How often notifications of the kernel were lost. */
  readonly overruns: number;
}

export interface AuditParts {
  rib: Rib;
  auditor: Auditor;
  drift: Drift;
  retrier: Retrier;
}

/** What `GET /v1/audit` says. */
export function describeAudits({ rib, auditor, drift, retrier }: AuditParts): AuditStatusJson {
  return {
    audits: auditor.audits,
    last: auditor.lastAudit,
    drift: { ...drift.counts },
    nexthopDrift: { ...drift.nexthopCounts },
    repairs: { queued: rib.reconciler.queued, delayed: rib.reconciler.delayed },
    failed: rib.failedCount,
    contested: rib.claims.contested,
    retries: retrier.retries,
    overruns: auditor.overruns,
  };
}

/** A drift as the event `drift`. */
export function describeDrift({ kind, family, route, by, delayMs, times }: DriftEvent, rib: Rib): DriftEventJson {
  const store = rib.store(family);
  const { table, metric, source, sourceLength } = rib.keyClass(store, route);
  const address = new Uint8Array(16);
  store.address(route, address);
  return {
    time: Date.now(),
    kind,
    prefix: formatPrefix(family, address, 0, store.prefixLength(route)),
    ...(sourceLength === 0 ? {} : { source: formatPrefix(family, source, 0, sourceLength) }),
    table,
    metric,
    owner: rib.owners.nameOf(store.owner(route)),
    ...(by === "" ? {} : { by }),
    repairInMs: delayMs,
    times,
  };
}

/** The same of a nexthop object, as the event `nexthop_drift`. */
export function describeNexthopDrift(event: NexthopDriftEvent): NexthopDriftEventJson {
  const { kind, id, groups, by, delayMs, times } = event;
  return {
    time: Date.now(),
    kind,
    id,
    nexthopGroups: [...groups],
    ...(by === "" ? {} : { by }),
    repairInMs: delayMs,
    times,
  };
}
