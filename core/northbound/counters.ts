/** What the HTTP side counts of itself; the metrics read it. Main thread. */
export class NorthboundCounters {
  /** `POST /v1/routes` since the start, those open now, and those whose client went away before the summary. */
  streamsOpened = 0;
  streamsOpen = 0;
  streamsAbandoned = 0;
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
