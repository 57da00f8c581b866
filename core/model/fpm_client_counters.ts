/**
 * What an FPM client counts: one table of names, from which its shared memory, the API, the metrics and the documentation
 * follow. The provider's thread writes them, any thread reads (as core/dataplane/counters.ts). Pure; any thread.
 */

/** What the client is about; its number is the value of STATE. */
export const FPM_CLIENT_STATES = ["connecting", "replaying", "connected", "stopped"] as const;
export type FpmClientState = (typeof FPM_CLIENT_STATES)[number];

/** Name as a key of JSON, whether it only rises, and what it is. The first eleven are FRR's (`show fpm counters`). */
export const FPM_CLIENT_COUNTERS = [
  ["bytesRead", "counter", "Bytes read from the FPM server."],
  ["bytesSent", "counter", "Bytes given to the connection to the FPM server."],
  ["outputBytes", "gauge", "Bytes that wait for the FPM server to read."],
  ["outputBytesMax", "gauge", "Most bytes that have ever waited for the FPM server to read."],
  ["connectionCloses", "counter", "Connections to the FPM server that ended."],
  ["connectionErrors", "counter", "Attempts to connect, and connections, that ended with an error."],
  ["contexts", "counter", "Contexts that the FPM client has processed."],
  ["routesQueued", "gauge", "Routes that are to be told to the FPM server when it reads."],
  ["routesQueuedMax", "gauge", "Most routes that were to be told to the FPM server."],
  ["bufferFull", "counter", "How often updates came while the output buffer was full, and were put off."],
  ["replays", "counter", "How often everything was sent to the FPM server."],
  ["routesSent", "counter", "RTM_NEWROUTE messages sent."],
  ["routeDeletesSent", "counter", "RTM_DELROUTE messages sent."],
  ["nexthopsSent", "counter", "RTM_NEWNEXTHOP messages sent."],
  ["nexthopDeletesSent", "counter", "RTM_DELNEXTHOP messages sent."],
  ["repliesOffloaded", "counter", "Routes that the FPM server said it has offloaded."],
  ["repliesFailed", "counter", "Routes that the FPM server said it could not offload."],
  ["routesDropped", "counter", "Route updates not sent, because the FPM server's dialect cannot say them."],
  ["routesUnresolved", "gauge", "Routes not sent, because their nexthop object is not known."],
  ["routesHeld", "gauge", "Routes that the FPM server was told of and not told to delete."],
  ["state", "gauge", "State of the FPM client by number: connecting, replaying, connected, stopped."],
] as const satisfies readonly (readonly [string, "counter" | "gauge", string])[];

export type FpmClientCounterName = (typeof FPM_CLIENT_COUNTERS)[number][0];

/** Index of each counter in the shared memory. */
export const FPM_CLIENT_COUNTER = Object.fromEntries(
  FPM_CLIENT_COUNTERS.map(([name], index) => [name, index]),
) as Readonly<Record<FpmClientCounterName, number>>;

export function createFpmClientCounterStorage(): SharedArrayBuffer {
  return new SharedArrayBuffer(FPM_CLIENT_COUNTERS.length * Float64Array.BYTES_PER_ELEMENT);
}

/** All counters by name. */
export function readFpmClientCounters(storage: SharedArrayBuffer): Record<FpmClientCounterName, number> {
  const values = new Float64Array(storage);
  return Object.fromEntries(FPM_CLIENT_COUNTERS.map(([name], index) => [name, values[index]!])) as Record<
    FpmClientCounterName,
    number
  >;
}
