/**
 * Any kind of route changed into any other in a real kernel: in one step, without a moment in which there is none, and
 * with the same outcome as if the new one had been installed at once.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Family } from "../../core/model/route.ts";
import * as c from "../../ffi/netlink/constants.ts";
import { align4, messageLength } from "../../ffi/netlink/message.ts";
import { decodeRoute } from "../../ffi/netlink/route_decode.ts";
import { openNetlinkSocket } from "../../ffi/netlink/socket.ts";
import { selectRuntime } from "../../ffi/runtime/select.ts";
import { addTestLinks, KernelHarness, routesOf } from "../support/kernel_harness.ts";
import { createNetns, type Netns, skipReason } from "../support/netns.ts";

/** P stands for the prefix. */
const SHAPES: Readonly<Record<"IPv4" | "IPv6", readonly string[]>> = {
  IPv4: [
    "P via 10.0.0.2 dev v0",
    "P via 10.0.1.2 dev v2 mtu 1400 src 10.0.1.1",
    "P via 192.0.2.1 dev v0 onlink",
    "P dev v0",
    "P via inet6 2001:db8::2 dev v0",
    "P encap seg6 mode encap segs 2001:db8:a::1 dev v0",
    "P nexthop via 10.0.0.2 dev v0 weight 1 nexthop via 10.0.1.2 dev v2 weight 9",
    "P nexthop via 10.0.0.2 dev v0 nexthop via 10.0.0.3 dev v0 nexthop via 10.0.1.2 dev v2",
    "P nexthop via inet6 2001:db8::2 dev v0 nexthop via 192.0.2.1 dev v2 onlink",
    "blackhole P",
    "unreachable P",
    "prohibit P",
    "throw P",
  ],
  IPv6: [
    "P via 2001:db8::2 dev v0",
    "P via 2001:db8:1::2 dev v2 mtu 1400 src 2001:db8:1::1",
    "P via 2001:db8:9::9 dev v0 onlink",
    "P dev v0",
    "P encap seg6 mode encap segs 2001:db8:a::1,2001:db8:a::2 dev v0",
    "P encap seg6 mode inline segs 2001:db8:a::1 via 2001:db8::2 dev v0",
    "P nexthop via 2001:db8::2 dev v0 weight 1 nexthop via 2001:db8:1::2 dev v2 weight 9",
    "P nexthop via 2001:db8::2 dev v0 nexthop via 2001:db8::3 dev v0 nexthop via 2001:db8:1::2 dev v2",
    "P nexthop encap seg6 mode encap segs 2001:db8:a::1 via 2001:db8::2 dev v0 nexthop via 2001:db8::2 dev v0",
    "blackhole P",
    "unreachable P",
    "prohibit P",
    "throw P",
  ],
};

const skip = skipReason();
const libc = (await selectRuntime()).openLibc();

/** Listens to changes of routes from now on; the result tells what came, as `new P` and `delete P`, P being the prefix's number. */
function listen(ns: Netns): { changes(): string[] } {
  const groups = [c.RTNLGRP_IPV4_ROUTE, c.RTNLGRP_IPV6_ROUTE];
  const socket = openNetlinkSocket(libc, { netns: ns.name, groups, receiveBufferBytes: 8 << 20 });
  return {
    changes: () => {
      const buffer = new Uint8Array(64 << 10);
      const view = new DataView(buffer.buffer);
      const changes: string[] = [];
      for (let bytes = socket.receive(buffer); bytes !== 0; bytes = socket.receive(buffer)) {
        assert.ok(bytes > 0, `notifications are complete: ${bytes}`);
        for (let offset = 0; offset < bytes; offset += align4(messageLength(view, offset, bytes))) {
          const route = decodeRoute(view, offset, messageLength(view, offset, bytes));
          assert.ok(route !== null);
          const number = route.destination[route.family === Family.IPV4 ? 2 : 5];
          changes.push(`${route.type === c.RTM_NEWROUTE ? "new" : "delete"} ${number}`);
        }
      }
      socket.close();
      return changes;
    },
  };
}

describe("changing a route in place", () => {
  let ours: Netns;
  let twin: Netns;
  let harness: KernelHarness;

  before(async () => {
    if (skip) return;
    [ours, twin] = [createNetns(), createNetns()];
    for (const ns of [ours, twin]) addTestLinks(ns);
    harness = await KernelHarness.start(ours);
  });
  after(async () => {
    await harness?.close();
    ours?.delete();
    twin?.delete();
  });

  for (const [family, shapes] of Object.entries(SHAPES)) {
    for (const shape of shapes) {
      it(`${family}: "${shape}" into every other kind`, { skip }, async () => {
        const prefix = (number: number) =>
          family === "IPv4" ? `203.0.${number}.0/24` : `2001:db8:f${hex(number)}::/48`;
        const place = (text: string, number: number) => text.replace("P", `${prefix(number)} metric 20`);
        await harness.install(...shapes.map((_, number) => `route add ${place(shape, number)}`));

        const listener = listen(ours);
        await harness.install(...shapes.map((other, number) => `route replace ${place(other, number)}`));
        const changes = listener.changes();
        assert.deepEqual(
          changes.filter((change) => change.startsWith("delete")),
          [],
          "the kernel announces no moment without a route",
        );
        assert.ok(changes.length >= shapes.length - 1, "and it announces the changes");

        twin.ipBatch(shapes.map((other, number) => `route add ${place(other, number)}`));
        assert.deepEqual(routesOf(ours), routesOf(twin));

        const deletions = shapes.map((_, number) => `route del ${prefix(number)} metric 20`);
        await harness.install(...deletions);
        assert.deepEqual(routesOf(ours), []);
        twin.ipBatch(deletions);
      });
    }
  }
});

function hex(number: number): string {
  return number.toString(16).padStart(2, "0");
}
