/** How the FPM server and its peers look as text. Pure. */
import type { FpmJson, FpmPeerJson } from "../api_types.ts";
import type { FpmClientJson } from "../fpm_client_json.ts";
import { formatCount } from "./format.ts";

export function formatFpm({ server, clients }: FpmJson): string {
  return formatServer(server) + clients.map(formatClient).join("");
}

function formatServer(server: FpmJson["server"]): string {
  if (server === null) return "The FPM server is off; [fpm] listen switches it on\n";
  const { listen, peers, refused } = server;
  const head = `FPM server on ${listen}: ${count(peers.length, "peer")}${refused > 0 ? `, ${count(refused, "stranger")} refused` : ""}\n`;
  return head + peers.map(formatPeer).join("");
}

function formatPeer(peer: FpmPeerJson): string {
  const { address, owner, state, since, held, errors, lastError } = peer;
  const lines = [
    `${address} (owner ${owner}): ${state} since ${new Date(since).toISOString()}, ${count(held, "route")}`,
    `  told:        ${count(peer.routes, "route")}, ${count(peer.deletes, "deletion")}, ${count(peer.nexthops, "nexthop")} in ${count(peer.frames, "frame")}, ${formatCount(peer.bytesRead)} bytes`,
    `  done:        ${formatCount(peer.programmed)} programmed, ${formatCount(peer.failed)} failed, ${formatCount(peer.unchanged)} unchanged, ${formatCount(peer.replaced)} replaced in place, ${formatCount(peer.swept)} swept`,
    `  nexthops:    ${formatCount(peer.nexthopObjects)} known, ${formatCount(peer.parkedNexthops)} waited for, in ${count(peer.nexthopGroups, "group")}`,
    `  connections: ${formatCount(peer.connects)} begun, ${formatCount(peer.closes)} ended`,
  ];
  const ignored = Object.entries(peer.ignored).filter(([, times]) => times > 0);
  if (ignored.length > 0)
    lines.push(`  left alone:  ${ignored.map(([reason, times]) => `${reason} ${formatCount(times)}`).join(", ")}`);
  if (errors > 0)
    lines.push(`  errors:      ${formatCount(errors)}${lastError === undefined ? "" : `, last: ${lastError}`}`);
  return `${lines.join("\n")}\n`;
}

/** What FRR's `show fpm counters` has, and more. */
function formatClient({ name, address, profile, state, counters }: FpmClientJson): string {
  const lines = [
    `Exporting to ${address} (provider ${name}, profile ${profile}): ${state}, ${count(counters.routesHeld, "route")}`,
    `  sent:        ${count(counters.routesSent, "route")}, ${count(counters.routeDeletesSent, "deletion")}, ${count(counters.nexthopsSent, "nexthop")}, ${formatCount(counters.bytesSent)} bytes; ${formatCount(counters.replays)} replays`,
    `  waiting:     ${count(counters.routesQueued, "route")} (at most ${formatCount(counters.routesQueuedMax)}), ${formatCount(counters.outputBytes)} bytes (at most ${formatCount(counters.outputBytesMax)}), buffer full ${formatCount(counters.bufferFull)} times`,
    `  connections: ${formatCount(counters.connectionCloses)} ended, ${formatCount(counters.connectionErrors)} errors`,
    `  replies:     ${formatCount(counters.repliesOffloaded)} offloaded, ${formatCount(counters.repliesFailed)} failed, ${formatCount(counters.bytesRead)} bytes`,
  ];
  const { routesDropped, routesUnresolved } = counters;
  if (routesDropped + routesUnresolved > 0)
    lines.push(
      `  left out:    ${formatCount(routesDropped)} that the profile cannot say, ${formatCount(routesUnresolved)} by unknown nexthops`,
    );
  return `${lines.join("\n")}\n`;
}

function count(number: number, noun: string): string {
  return `${formatCount(number)} ${noun}${number === 1 ? "" : "s"}`;
}
