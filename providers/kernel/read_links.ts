/** Reads the interfaces out of the kernel. Blocks the thread that calls it, which is the monitor thread. */
import type { Link } from "../../core/model/link_table.ts";
import * as c from "../../ffi/netlink/constants.ts";
import { type DumpOptions, type DumpResult, type DumpSocket, dump, type Steps } from "../../ffi/netlink/dump.ts";
import { createLinkMessage, decodeLink, encodeLink, type LinkMessage } from "../../ffi/netlink/link.ts";

const REQUEST_BYTES = 64;

/** Reads all interfaces. Uses up sequence numbers from `sequence` on, one for each try. */
export function* readLinks(
  socket: DumpSocket,
  sequence: number,
  options: DumpOptions = {},
): Steps<{ dump: DumpResult; links: Link[] }> {
  const request = createLinkMessage();
  request.type = c.RTM_GETLINK;
  request.flags = c.NLM_F_REQUEST | c.NLM_F_DUMP;
  request.sequence = sequence;
  const bytes = new Uint8Array(REQUEST_BYTES);
  const length = encodeLink(new DataView(bytes.buffer), 0, request);
  const message = createLinkMessage();
  let links: Link[] = [];
  const handlers = {
    onMessage: (view: DataView, offset: number, size: number) => {
      const decoded = decodeLink(view, offset, size, message);
      if (decoded?.type === c.RTM_NEWLINK) links.push(toLink(decoded));
    },
    onRestart: () => {
      links = [];
    },
  };
  const answer = yield* dump(socket, bytes.subarray(0, length), handlers, options);
  return { dump: answer, links };
}

/** An interface as a message tells of it. */
export function toLink(message: LinkMessage): Link {
  return {
    ifindex: message.ifindex,
    name: message.name,
    altNames: [...message.altNames],
    up: (message.linkFlags & c.IFF_UP) !== 0,
    carrier: (message.linkFlags & c.IFF_LOWER_UP) !== 0,
    kind: message.kind,
    mtu: message.mtu,
    master: message.master,
    vrfTable: message.vrfTable,
  };
}
