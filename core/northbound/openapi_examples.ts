/**
 * How each call is made with curl: shown on the page of the API, in docs/api.md, and run as they stand by a test
 * (tests/binary/api_examples_test.ts). Pure.
 */
import { SOCKET_PATH_DEFAULT } from "../constants.ts";

export interface CurlExample {
  label: string;
  /** What stands behind `curl --unix-socket PATH`, and before it in the line. */
  command: string;
}

const example = (label: string, command: string): CurlExample => ({ label, command });

/** By `operationId`. In `command`, `curl` stands for itself with the socket. */
const EXAMPLES: Readonly<Record<string, readonly CurlExample[]>> = {
  updateRoutes: [
    example(
      "One route",
      `curl -d '{"prefix":"203.0.113.0/24","nexthops":[{"via":"10.0.0.2"}]}' http://localhost/v1/routes`,
    ),
    example(
      "A file, streamed, and only what went wrong",
      "curl -X POST -T table.ndjson 'http://localhost/v1/routes?owner=bgp&ack=errors'",
    ),
    example(
      "Lines of ip -batch, and what they would change",
      "curl -H 'Content-Type: text/x-iproute2' --data-binary @routes.batch 'http://localhost/v1/routes?dryRun=true'",
    ),
    example(
      "A stream that stays open: -T . reads and writes at the same time",
      "my-controller | curl -sN -X POST -T . 'http://localhost/v1/routes?owner=bgp'",
    ),
  ],
  listRoutes: [
    example("Everything below a prefix", "curl 'http://localhost/v1/routes?prefix=10.0.0.0/8&longer=true'"),
    example(
      "All failed routes, a line each",
      "curl -H 'Accept: application/x-ndjson' 'http://localhost/v1/routes?status=fib_failed'",
    ),
  ],
  showHistory: [
    example("Why a route is, or is not, in the FIB", "curl 'http://localhost/v1/routes/history?prefix=203.0.113.0/24'"),
  ],
  lookUp: [example("Which route an address takes", "curl 'http://localhost/v1/lookup?address=203.0.113.9'")],
  listOwners: [example("Who owns routes", "curl http://localhost/v1/owners")],
  syncRoutes: [
    example(
      "What it would change",
      "curl -X PUT -T table.ndjson 'http://localhost/v1/owners/bgp/routes?dryRun=true&ack=errors'",
    ),
    example("Exactly these routes", "curl -X PUT -T table.ndjson http://localhost/v1/owners/bgp/routes"),
    example(
      "As an owner that needs a token",
      `curl -X PUT -T table.ndjson -H "Authorization: Bearer $(cat fabric.token)" http://localhost/v1/owners/fabric/routes`,
    ),
  ],
  withdrawRoutes: [example("None any more", "curl -X DELETE http://localhost/v1/owners/bgp/routes")],
  setNexthopGroup: [
    example(
      "Two nexthops, one with three times the traffic",
      `curl -X PUT -d '{"members":[{"via":"10.0.0.2","dev":"v0"},{"via":"10.0.0.3","dev":"v0","weight":3}]}' http://localhost/v1/nexthop-groups/7`,
    ),
  ],
  listNexthopGroups: [example("All groups", "curl http://localhost/v1/nexthop-groups")],
  showNexthopGroup: [example("One group", "curl http://localhost/v1/nexthop-groups/7")],
  deleteNexthopGroup: [example("Gone", "curl -X DELETE http://localhost/v1/nexthop-groups/7")],
  showOverview: [example("Everything at a glance", "curl http://localhost/v1/overview")],
  showDplane: [example("Counters", "curl http://localhost/v1/dplane")],
  showProviders: [example("Providers", "curl http://localhost/v1/providers")],
  showFpm: [example("FPM, both ways", "curl http://localhost/v1/fpm")],
  replayFpm: [example("Everything again", "curl -X POST http://localhost/v1/fpm/clients/export/replay")],
  showAudits: [example("What audits have found", "curl http://localhost/v1/audit")],
  audit: [example("Compare now", "curl -X POST http://localhost/v1/audit")],
  streamEvents: [
    example("What others do to the kernel", "curl -N 'http://localhost/v1/events?types=kernel,drift,nexthop_drift'"),
    example("What fails", "curl -N 'http://localhost/v1/events?status=fib_failed'"),
  ],
  health: [example("Does it work?", "curl http://localhost/healthz")],
  readiness: [example("Is it ready?", "curl http://localhost/readyz")],
  metrics: [example("All metrics", "curl http://localhost/metrics")],
  document: [example("This document", "curl http://localhost/openapi.json")],
};

/** The examples of a call, as they are typed. */
export function curlExamples(operationId: string): CurlExample[] {
  return (EXAMPLES[operationId] ?? []).map(({ label, command }) => ({
    label,
    command: command.replace(/(^|\s)curl /, `$1curl --unix-socket ${SOCKET_PATH_DEFAULT} `),
  }));
}

/** The same without the socket, for where it was said once for all of them. */
export function shortExamples(operationId: string): readonly CurlExample[] {
  return EXAMPLES[operationId] ?? [];
}

/** Calls that have examples. */
export const EXAMPLE_OPERATIONS: readonly string[] = Object.keys(EXAMPLES);
