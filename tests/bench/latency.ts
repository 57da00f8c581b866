/** How long a daemon takes to answer: one route when it is idle, and probes and another client's routes while it loads. */
import { Agent, request } from "node:http";
import { setTimeout } from "node:timers";
import { UPDATE_CONTENT_TYPES } from "../../core/northbound/api_types.ts";

/** Between two probes: a monitoring system asks less often, but the percentiles want many. */
const PROBE_PAUSE_MS = 2;

/** A client with one connection that it keeps. */
export class LatencyClient {
  readonly #socketPath: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  #count = 0;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** Milliseconds until `GET /healthz` was answered with 200. */
  async probe(): Promise<number> {
    const start = performance.now();
    await this.#exchange("GET", "/healthz", "");
    return performance.now() - start;
  }

  /** Milliseconds from the request for one route to its result; the routes differ. */
  async installOne(nexthop: string): Promise<number> {
    const index = this.#count++ & 0xffff;
    const prefix = `198.18.${index >> 8}.${index & 0xff}/32`;
    const body = `{"prefix":"${prefix}","nexthops":[{"via":"${nexthop}"}]}\n`;
    const start = performance.now();
    const answer = await this.#exchange("POST", "/v1/routes", body);
    const ms = performance.now() - start;
    if (!answer.includes('"status":"fib_programmed"')) throw new Error(`${prefix} was not programmed: ${answer}`);
    return ms;
  }

  close(): void {
    this.#agent.destroy();
  }

  #exchange(method: string, path: string, body: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          socketPath: this.#socketPath,
          agent: this.#agent,
          method,
          path,
          headers: { host: "localhost", "content-type": UPDATE_CONTENT_TYPES.ndjson },
        },
        (incoming) => {
          let text = "";
          incoming.setEncoding("utf8").on("data", (piece: string) => {
            text += piece;
          });
          incoming.once("end", () => {
            if (incoming.statusCode === 200) resolve(text);
            else reject(new Error(`${method} ${path} was answered with ${incoming.statusCode}: ${text}`));
          });
          incoming.once("error", reject);
        },
      );
      outgoing.once("error", reject);
      outgoing.end(body);
    });
  }
}

/** Repeats `measure`, with a pause, until `work` is over; returns its values and the work's result. */
export async function measureDuring<T>(
  work: Promise<T>,
  measures: readonly (() => Promise<number>)[],
): Promise<{ result: T; values: number[][] }> {
  let isOver = false;
  const watched = work.finally(() => {
    isOver = true;
  });
  const repeat = async (measure: () => Promise<number>): Promise<number[]> => {
    const values: number[] = [];
    while (!isOver) {
      values.push(await measure());
      await new Promise((wake) => setTimeout(wake, PROBE_PAUSE_MS));
    }
    return values;
  };
  const [result, ...values] = await Promise.all([watched, ...measures.map(repeat)]);
  return { result, values };
}
