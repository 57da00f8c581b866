/** What the HTTP side counts of itself; the metrics read it. Main thread. */
import type { Listener } from "./endpoint.ts";
import type { GateReason } from "./request_gate.ts";

/**
 * How a full-state sync ended: as it should; with a body that was wrong; with one that never came to its end; or with the
 * daemon, after it had begun to write.
 */
export type SyncEnd = "complete" | "refused" | "broken_off" | "ended_early";

/** Why a request or a connection was turned away before anybody looked at what it wanted, or what it had to show was wrong. */
export type RefusalReason = GateReason | "rate" | "connections" | "timeout" | "tls" | "credentials";

export class NorthboundCounters {
  readonly refused: Record<RefusalReason, number> = {
    malformed: 0,
    too_large: 0,
    host: 0,
    cross_site: 0,
    rate: 0,
    connections: 0,
    timeout: 0,
    tls: 0,
    credentials: 0,
  };
  /** Connections open now. */
  readonly connections: Record<Listener, () => number> = { unix: () => 0, tcp: () => 0 };
  /** `POST /v1/routes` since the start, those open now, and those whose client went away before the summary. */
  streamsOpened = 0;
  streamsOpen = 0;
  streamsAbandoned = 0;
  /** Full-state syncs that have ended, by how. */
  readonly syncs: Record<SyncEnd, number> = { complete: 0, refused: 0, broken_off: 0, ended_early: 0 };
  /** Bytes read of bodies of updates. */
  bodyBytes = 0;
  /** Answers begun, by route of the API, method and status: `GET /healthz 200`. */
  readonly requests = new Map<string, { route: string; method: string; status: number; count: number }>();

  countRequest(route: string, method: string, status: number): void {
    const key = `${method} ${route} ${status}`;
    const known = this.requests.get(key);
    if (known === undefined) this.requests.set(key, { route, method, status, count: 1 });
    else known.count += 1;
  }
}
