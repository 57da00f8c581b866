/**
 * A webhook exporter: posts what the forwarding plane holds, and each change of it, to a URL as JSON. It stands beside the way
 * of the updates, so none waits for the receiver. What changes while it is slow or away is told as it is then, once; what it
 * did not take (an answer other than 2xx, or none) comes again after 1 s, then later and later, up to 30 s.
 *
 *     [[provider]]
 *     kind = "plugin"
 *     name = "webhook"
 *     path = "providers/webhook.ts"
 *
 *     [provider.options]
 *     url = "https://collector.example/fib"
 *     token-file = "/etc/dplaned/webhook.token"   # sent as Authorization: Bearer …
 *     timeout-ms = 5000
 *
 * A body has at most some 1,000 changes, each an update as dplaned's own API takes it:
 *
 *     {"sequence":3,"first":false,"last":false,"changes":[
 *       {"op":"install","prefix":"203.0.113.0/24","table":254,"metric":20,"nexthops":[{"via":"10.0.0.2","dev":"v0","weight":1}]},
 *       {"op":"delete","prefix":"198.51.100.0/24","table":254,"metric":20}]}
 *
 * `first` and `last` bracket the whole table, which comes at the start: with `first` the receiver forgets what it knew.
 */
import { readFileSync } from "node:fs";
import type { Dplaned, ExportBatch, Provider } from "./dplaned.d.ts";

interface Options {
  url: string;
  headers: Record<string, string>;
  timeoutMs: number;
}

function parseOptions(table: Record<string, unknown>): Options {
  const { url, "token-file": tokenFile, "timeout-ms": timeoutMs = 5000, ...rest } = table;
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) throw new Error(`there is no option ${unknown}; there are url, token-file and timeout-ms`);
  if (typeof url !== "string" || !/^https?:\/\//.test(url) || !URL.canParse(url)) {
    throw new Error(`url is to be one of http or https, and not ${JSON.stringify(url)}`);
  }
  if (typeof timeoutMs !== "number" || !(timeoutMs > 0))
    throw new Error("timeout-ms is to be a number of milliseconds");
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (tokenFile !== undefined) headers["authorization"] = `Bearer ${readFileSync(String(tokenFile), "utf8").trim()}`;
  return { url, headers, timeoutMs };
}

let sequence = 0;

export default {
  apiVersion: 1,
  options: parseOptions,
  metrics: {
    posts: { type: "counter", help: "Bodies that the receiver has taken." },
    changes: { type: "counter", help: "Changes that the receiver has taken." },
    failures: { type: "counter", help: "Bodies that the receiver has not taken, and that come again." },
    failing: { type: "gauge", help: "1 while the receiver does not take what it is sent." },
  },

  async export({ changes, isFirst, isLast }: ExportBatch, dplaned: Dplaned<Options>) {
    const { url, headers, timeoutMs } = dplaned.options;
    const body = JSON.stringify({ sequence, first: isFirst, last: isLast, changes });
    try {
      const signal = AbortSignal.any([dplaned.signal, AbortSignal.timeout(timeoutMs)]);
      const response = await fetch(url, { method: "POST", headers, body, signal });
      await response.body?.cancel();
      if (!response.ok) throw new Error(`${url} answers ${response.status}`);
    } catch (error) {
      dplaned.count("failures");
      dplaned.set("failing", 1);
      // dplaned logs it, and brings the same changes again.
      throw error;
    }
    sequence += 1;
    dplaned.count("posts");
    dplaned.count("changes", changes.length);
    dplaned.set("failing", 0);
  },
} satisfies Provider<Options>;
