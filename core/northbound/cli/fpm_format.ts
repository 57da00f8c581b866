/** How the FPM server and its peers look as text. Pure. */
import type { FpmJson, FpmPeerJson } from "../api_types.ts";
import { formatCount } from "./format.ts";

export function formatFpm({ server }: FpmJson): string {
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

function count(number: number, noun: string): string {
  return `${formatCount(number)} ${noun}${number === 1 ? "" : "s"}`;
}
