/** What FRR's two FPM modules really sent, read by our decoders, against what iproute2 reads in it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatAddress } from "../../../core/model/prefix.ts";
import type { Family } from "../../../core/model/route.ts";
import { FPM_HEADER_LENGTH, FPM_TYPE_NETLINK, FrameReader } from "../../../ffi/fpm/frame.ts";
import { AF_UNSPEC, NLM_F_REPLACE, RTM_DELNEXTHOP, RTM_DELROUTE } from "../../../ffi/netlink/constants.ts";
import { align4, messageLength } from "../../../ffi/netlink/message.ts";
import { decodeNexthop, type NexthopMessage } from "../../../ffi/netlink/nexthop.ts";
import type { RouteMessage, RouteNexthop } from "../../../ffi/netlink/route.ts";
import { decodeRoute } from "../../../ffi/netlink/route_decode.ts";
import { fpmFrames, fpmListing, fpmStream, fpmTopics } from "../../support/golden_fpm.ts";

const TOPICS = fpmTopics();

/** The netlink messages of each frame. */
function messagesOf(frames: readonly Uint8Array[]): (RouteMessage | NexthopMessage)[][] {
  const reader = new FrameReader();
  reader.push(fpmStream(frames));
  const found: (RouteMessage | NexthopMessage)[][] = [];
  while (reader.next()) {
    assert.equal(reader.type, FPM_TYPE_NETLINK);
    const messages: (RouteMessage | NexthopMessage)[] = [];
    const { view, start, end } = reader;
    for (let at = start, length = 0; at < end; at += align4(length)) {
      length = messageLength(view, at, end);
      const message = decodeRoute(view, at, length) ?? decodeNexthop(view, at, length);
      assert.ok(message, `a message of ${length} bytes is read`);
      messages.push(message);
    }
    found.push(messages);
  }
  assert.equal(reader.buffered, 0);
  return found;
}

function isRoute(message: RouteMessage | NexthopMessage): message is RouteMessage {
  return "routeType" in message;
}

function addressText(family: number, bytes: Uint8Array): string {
  return formatAddress(family as Family, bytes, 0);
}

function hopText({ viaFamily, via, ifindex }: RouteNexthop): string {
  return `${viaFamily === AF_UNSPEC ? "" : `via ${addressText(viaFamily, via)} `}dev if${ifindex}`;
}

/** A route in the words of `ip -N -d monitor`. */
function routeLine(route: RouteMessage): string {
  const { nexthops } = route;
  const words = [
    ...(route.type === RTM_DELROUTE ? ["Deleted"] : []),
    String(route.routeType),
    `${addressText(route.family, route.destination)}/${route.prefixLength}`,
    ...(route.nexthopId === 0 ? [] : [`nhid ${route.nexthopId}`]),
    ...(nexthops.length === 1 ? [hopText(nexthops[0]!)] : []),
    `table ${route.table} proto ${route.protocol} scope ${route.scope}`,
    ...(route.metric === undefined ? [] : [`metric ${route.metric}`]),
    ...(nexthops.length > 1 ? nexthops.map((hop) => `nexthop ${hopText(hop)} weight ${hop.weight}`) : []),
  ];
  return words.join(" ");
}

/** A nexthop object in the words of `ip -N -d monitor`. */
function nexthopLine(nexthop: NexthopMessage): string {
  const members = nexthop.group.map(({ id, weight }) => (weight === 1 ? `${id}` : `${id},${weight}`));
  const words = [
    ...(nexthop.type === RTM_DELNEXTHOP ? ["Deleted"] : []),
    `id ${nexthop.id}`,
    ...(members.length > 0 ? [`group ${members.join("/")}`] : []),
    ...(nexthop.hasGateway ? [`via ${addressText(nexthop.family, nexthop.gateway)}`] : []),
    ...(nexthop.oif === 0 ? [] : [`dev if${nexthop.oif}`]),
    `scope ${nexthop.scope}`,
    ...(nexthop.blackhole ? ["blackhole"] : []),
    `proto ${nexthop.protocol}`,
  ];
  return words.join(" ");
}

describe("recorded FPM frames", () => {
  for (const topic of TOPICS) {
    it(`${topic}: our decoders read what iproute2 reads`, () => {
      const lines = messagesOf(fpmFrames(topic)).flat();
      assert.deepEqual(
        lines.map((message) => (isRoute(message) ? routeLine(message) : nexthopLine(message))),
        fpmListing(topic),
      );
    });
  }

  it("are cut the same when the whole of them comes a byte at a time", () => {
    const frames = TOPICS.flatMap(fpmFrames);
    const reader = new FrameReader();
    let count = 0;
    for (const byte of fpmStream(frames)) {
      reader.push(Uint8Array.of(byte));
      while (reader.next()) {
        assert.equal(reader.end - reader.start, frames[count]!.length - FPM_HEADER_LENGTH);
        count++;
      }
    }
    assert.equal(count, frames.length);
  });
});

describe("what is to be known of FRR's frames", () => {
  const routesOf = (topic: string) => messagesOf(fpmFrames(topic)).map((frame) => frame.filter(isRoute));

  it("dplane_fpm_nl changes a route by a delete and an install in one frame", () => {
    for (const topic of ["dplane_fpm_nl_change", "dplane_fpm_nl_ecmp_change"]) {
      const [pair] = routesOf(topic).filter((routes) => routes.length > 1);
      assert.deepEqual(
        pair?.map(({ type }) => type === RTM_DELROUTE),
        [true, false],
      );
      assert.deepEqual(pair![0]!.destination, pair![1]!.destination);
    }
  });

  it("fpm changes a route by an install, and neither says that it replaces", () => {
    for (const topic of ["fpm_change", "fpm_ecmp_change"]) {
      const [[route, ...others] = []] = routesOf(topic);
      assert.equal(others.length, 0);
      assert.equal(route!.type === RTM_DELROUTE, false);
      assert.equal(route!.flags & NLM_F_REPLACE, 0);
    }
  });

  it("fpm's weights are one more than those of the route", () => {
    const [[route] = []] = routesOf("fpm_ecmp");
    assert.deepEqual(
      route!.nexthops.map(({ weight }) => weight),
      [2, 2],
    );
  });

  it("a replay has no route of a table that belongs to no VRF, and groups stand before their members", () => {
    for (const module of ["dplane_fpm_nl", "fpm"]) {
      const tables = routesOf(`${module}_replay`).flatMap((routes) => routes.map(({ table }) => table));
      assert.deepEqual([...new Set(tables)], [254]);
    }
    const nexthops = messagesOf(fpmFrames("dplane_fpm_nl_replay"))
      .flat()
      .filter((message) => !isRoute(message)) as NexthopMessage[];
    const place = new Map(nexthops.map(({ id }, index) => [id, index]));
    const early = nexthops.filter(({ id, group }) => group.some((member) => place.get(member.id)! > place.get(id)!));
    assert.ok(early.length > 0);
  });

  it("zebra that is stopped alone says nothing; its routes are deleted where the routing daemon stops before it", () => {
    for (const module of ["dplane_fpm_nl", "fpm"]) {
      const deleted = (topic: string) =>
        routesOf(`${module}_${topic}`)
          .flat()
          .filter(({ type }) => type === RTM_DELROUTE);
      assert.equal(deleted("stop_zebra").length, 0);
      assert.equal(deleted("stop").length, 2);
    }
  });
});
