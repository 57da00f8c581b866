/** The clients of a random schedule: they send updates, syncs and groups, and count that each update has one result. */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers";
import type {
  NexthopGroupJson,
  NexthopGroupsJson,
  NexthopGroupUpdateJson,
  OwnersJson,
  ResultJson,
  SyncSummaryJson,
  UpdateJson,
} from "../../core/northbound/api_types.ts";
import { ApiError, BrokenOffError, readAll, readLines, UnreachableError } from "../../core/northbound/cli/client.ts";
import type { DaemonProcess } from "../../scripts/daemon_process.ts";
import { until } from "./wait.ts";

const NDJSON = { "content-type": "application/x-ndjson" };

export class ScheduleClient {
  /** The daemon is going to be killed: answers may break off, or not come. */
  mayEnd = false;
  readonly #daemon: DaemonProcess;

  constructor(daemon: DaemonProcess) {
    this.#daemon = daemon;
  }

  /** Sends updates and checks their results; those that cannot be taken are given. */
  async post(owner: string, updates: readonly UpdateJson[]): Promise<void> {
    const answer = await this.#send("POST", "/v1/routes", { owner }, updates);
    if (answer === null) return;
    const { results, summary } = answer;
    for (const { status, op, error } of results) {
      const isDelete = op === "delete" && error?.code === "NOT_OWNER";
      assert.ok(status !== "rejected" || isDelete || this.mayEnd, `rejected: ${JSON.stringify(error)}`);
    }
    assert.equal(results.length, summary.received);
    const { fibProgrammed, fibFailed, ribProgrammed, skipped, superseded, rejected } = summary;
    assert.equal(fibProgrammed + fibFailed + ribProgrammed + skipped + superseded + rejected, summary.received);
    if (!this.mayEnd) assert.equal(summary.received, updates.length);
  }

  /** Makes these the owner's routes. */
  async sync(owner: string, updates: readonly UpdateJson[]): Promise<void> {
    const answer = await this.#send("PUT", `/v1/owners/${owner}/routes`, { ack: "all" }, updates);
    if (answer === null || this.mayEnd) return;
    const { results, summary } = answer;
    assert.equal(
      results.filter(({ line }) => line > 0).length,
      updates.length,
      "one result for each route of the body",
    );
    assert.equal(results.filter(({ line }) => line === 0).length, summary.deleted, "one for each that was deleted");
    assert.equal(summary.received, updates.length);
    assert.equal(summary.rejected, 0);
    assert.equal(summary.error, undefined);
  }

  /** A sync that must be refused. */
  async badSync(owner: string, updates: readonly UpdateJson[]): Promise<void> {
    const refused = this.#send("PUT", `/v1/owners/${owner}/routes`, {}, updates);
    await assert.rejects(refused, (error) => error instanceof ApiError && error.status === 422);
  }

  /** A sync whose client goes away in the middle of the body; resolves when the daemon has noticed. */
  async brokenSync(owner: string, updates: readonly UpdateJson[]): Promise<void> {
    const gone = new Error("the client of the test goes away");
    async function* pieces(): AsyncGenerator<Uint8Array> {
      yield new TextEncoder().encode(toLines(updates));
      await new Promise((resolve) => setImmediate(resolve));
      throw gone;
    }
    const path = `/v1/owners/${owner}/routes`;
    const answer = this.#daemon.client.request({ method: "PUT", path, headers: NDJSON, body: pieces() });
    await assert.rejects(answer.then(readAll), (error) => error === gone);
    await until(`the sync of ${owner} is over`, async () => {
      const { owners } = await this.#daemon.client.getJson<OwnersJson>("/v1/owners");
      return owners.every(({ syncing }) => !syncing);
    });
  }

  async setGroup(number: number, definition: NexthopGroupUpdateJson): Promise<void> {
    const path = `/v1/nexthop-groups/${number}`;
    const headers = { "content-type": "application/json" };
    await this.#ending(async () => {
      const response = await this.#daemon.client.request({
        method: "PUT",
        path,
        headers,
        body: JSON.stringify(definition),
      });
      assert.equal((JSON.parse(await readAll(response)) as NexthopGroupJson).id, number);
    });
  }

  /** Deletes a group, unless routes are on it or there is none. True if it is gone now. */
  async deleteGroup(number: number): Promise<boolean> {
    const request = { method: "DELETE", path: `/v1/nexthop-groups/${number}`, accept: [404, 409] } as const;
    const response = await this.#daemon.client.request(request);
    await readAll(response);
    return response.statusCode === 204;
  }

  async groups(): Promise<NexthopGroupJson[]> {
    return (await this.#daemon.client.getJson<NexthopGroupsJson>("/v1/nexthop-groups")).nexthopGroups;
  }

  /** Sends updates; null where the daemon ended before it had answered all of them. */
  async #send(method: "POST" | "PUT", path: string, query: Record<string, string>, updates: readonly UpdateJson[]) {
    return await this.#ending(async () => {
      const request = { method, path, query, headers: NDJSON, body: toLines(updates) };
      const response = await this.#daemon.client.request(request);
      const results: ResultJson[] = [];
      let summary: SyncSummaryJson | undefined;
      const seen = new Set<number>();
      for await (const line of readLines(response)) {
        const answer = JSON.parse(line);
        if ("summary" in answer) summary = answer.summary;
        else {
          assert.ok(answer.line === 0 || !seen.has(answer.line), `a second result: ${line}`);
          seen.add(answer.line);
          results.push(answer);
        }
      }
      assert.ok(summary !== undefined, "the answer has a summary");
      return { results, summary };
    });
  }

  async #ending<Value>(ask: () => Promise<Value>): Promise<Value | null> {
    try {
      return await ask();
    } catch (error) {
      const hasEnded = error instanceof BrokenOffError || error instanceof UnreachableError || !this.#daemon.running;
      const isRefused = error instanceof ApiError && error.status === 503;
      if (this.mayEnd && (hasEnded || isRefused || error instanceof SyntaxError)) return null;
      throw error;
    }
  }
}

function toLines(updates: readonly UpdateJson[]): string {
  return updates.map((update) => `${JSON.stringify(update)}\n`).join("");
}
