/**
 * A kernel as a test sees it that asks two of them the same: answers to requests, and what they hold, in words that do not depend on
 * the numbers of interfaces. The real one and the model of tests/sim are asked by the same code, over another libc.
 */
import assert from "node:assert/strict";
import { formatPrefix } from "../../core/model/prefix.ts";
import { Family } from "../../core/model/route.ts";
import { errnoName } from "../../ffi/libc/errno.ts";
import type { Libc } from "../../ffi/libc/symbols.ts";
import { decodeAck } from "../../ffi/netlink/ack.ts";
import * as c from "../../ffi/netlink/constants.ts";
import { block, dump } from "../../ffi/netlink/dump.ts";
import { messageLength } from "../../ffi/netlink/message.ts";
import { createNexthopMessage, decodeNexthop, encodeNexthop, type NexthopMessage } from "../../ffi/netlink/nexthop.ts";
import { createRouteMessage, encodeRoute, type RouteMessage, type RouteNexthop } from "../../ffi/netlink/route.ts";
import { decodeRoute } from "../../ffi/netlink/route_decode.ts";
import { type NetlinkSocket, openNetlinkSocket } from "../../ffi/netlink/socket.ts";
import type { IndexOf } from "../sim/kernel/random_requests.ts";

const FLAG_NAMES: readonly (readonly [number, string])[] = [
  [c.RTNH_F_DEAD, "dead"],
  [c.RTNH_F_LINKDOWN, "linkdown"],
  [c.RTNH_F_ONLINK, "onlink"],
];

export class KernelSide {
  readonly #socket: NetlinkSocket;
  readonly #indexOf: IndexOf;
  readonly #names = new Map<number, string>();
  readonly #bytes = new Uint8Array(64 << 10);
  readonly #view = new DataView(this.#bytes.buffer);
  #sequence = 0;

  /** `devices`: the interfaces that have a name in texts. */
  constructor(libc: Libc, netns: string | undefined, devices: readonly string[], indexOf: IndexOf) {
    this.#socket = openNetlinkSocket(libc, { netns, extAck: true, capAck: true, strictCheck: true });
    this.#indexOf = indexOf;
    for (const device of devices) this.#names.set(indexOf(device), device);
  }

  close(): void {
    this.#socket.close();
  }

  /** The answer to one request: `ok`, or the errno's name with the kernel's words. */
  ask(encode: (view: DataView, indexOf: IndexOf, sequence: number) => number): string {
    const length = encode(this.#view, this.#indexOf, ++this.#sequence);
    assert.ok(length > 0, "the request fits");
    assert.equal(this.#socket.send(this.#bytes, length), 0);
    assert.ok(this.#socket.poll(1000), "there is an answer");
    const answered = this.#socket.receive(this.#bytes);
    const ack = decodeAck(this.#view, 0, messageLength(this.#view, 0, answered));
    assert.ok(ack !== null, "it is an acknowledgement");
    return ack.errno === 0 ? "ok" : `${errnoName(ack.errno)} ${ack.text ?? ""}`.trim();
  }

  /** Every route and object that the kernel did not make by itself, a line each, sorted. */
  held(): string[] {
    const lines: string[] = [];
    for (const family of [Family.IPV4, Family.IPV6]) {
      for (const route of this.#dumpRoutes(family)) lines.push(this.#describeRoute(route));
    }
    for (const object of this.#dumpObjects()) lines.push(this.#describeObject(object));
    return lines.sort();
  }

  #dumpRoutes(family: Family): RouteMessage[] {
    const request = createRouteMessage();
    request.type = c.RTM_GETROUTE;
    request.flags = c.NLM_F_REQUEST | c.NLM_F_DUMP;
    request.family = family;
    request.sequence = this.#sequence += 10;
    const routes: RouteMessage[] = [];
    const length = encodeRoute(this.#view, 0, request);
    this.#dump(length, (view, offset, size) => {
      const route = decodeRoute(view, offset, size);
      const isOwn = route?.protocol === c.RTPROT_KERNEL || route?.table === c.RT_TABLE_LOCAL;
      if (route !== null && !isOwn && (route.routeFlags & c.RTM_F_CLONED) === 0) routes.push(route);
    });
    return routes;
  }

  #dumpObjects(): NexthopMessage[] {
    const request = createNexthopMessage();
    request.type = c.RTM_GETNEXTHOP;
    request.flags = c.NLM_F_REQUEST | c.NLM_F_DUMP;
    request.sequence = this.#sequence += 10;
    const objects: NexthopMessage[] = [];
    const length = encodeNexthop(this.#view, 0, request);
    this.#dump(length, (view, offset, size) => {
      const object = decodeNexthop(view, offset, size);
      if (object !== null) objects.push(object);
    });
    return objects;
  }

  #dump(length: number, onMessage: (view: DataView, offset: number, size: number) => void): void {
    const handlers = { onMessage, onRestart: () => assert.fail("nobody writes meanwhile") };
    const { errno } = block(dump(this.#socket, this.#bytes.slice(0, length), handlers));
    assert.equal(errno, 0);
  }

  #describeRoute(route: RouteMessage): string {
    const { family, destination, prefixLength, table, protocol, metric = 0, routeType, nexthopId, mtu } = route;
    const prefix = formatPrefix(family as Family, destination, 0, prefixLength);
    const words = [prefix, `table ${table}`, `metric ${metric}`, `proto ${protocol}`, `type ${routeType}`];
    if (family === Family.IPV4) words.push(`scope ${route.scope}`);
    if (mtu !== 0) words.push(`mtu ${mtu}`);
    if (route.prefsrcFamily !== 0) words.push(`src ${addressOf(route.prefsrcFamily as Family, route.prefsrc)}`);
    if (nexthopId !== 0) return [...words, `nhid ${nexthopId}`].join(" ");
    const isOne = route.nexthops.length === 1;
    const hops = route.nexthops.map((hop) => this.#describeHop(hop, isOne));
    // IPv6 siblings have no order that means anything.
    if (family === Family.IPV6) hops.sort();
    return [...words, ...hops].join(" ");
  }

  #describeHop({ ifindex, viaFamily, via, weight, flags }: RouteNexthop, isOne: boolean): string {
    const words = ["hop"];
    if (viaFamily !== 0) words.push(`via ${addressOf(viaFamily as Family, via)}`);
    words.push(this.#names.get(ifindex) ?? `if${ifindex}`);
    if (!isOne) words.push(`weight ${weight}`);
    for (const [flag, name] of FLAG_NAMES) if ((flags & flag) !== 0) words.push(name);
    return words.join(" ");
  }

  #describeObject({ id, protocol, family, oif, hasGateway, gateway, group, resilient }: NexthopMessage): string {
    const words = [`object ${id}`, `proto ${protocol}`];
    if (group.length > 0) words.push(`group ${group.map((member) => `${member.id}*${member.weight}`).join(" ")}`);
    else words.push(`family ${family}`, this.#names.get(oif) ?? `if${oif}`);
    if (hasGateway) words.push(`via ${addressOf(family as Family, gateway)}`);
    if (resilient?.buckets !== undefined) words.push(`buckets ${resilient.buckets}`);
    return words.join(" ");
  }
}

function addressOf(family: Family, address: Uint8Array): string {
  return formatPrefix(family, address, 0, family === Family.IPV6 ? 128 : 32).split("/")[0]!;
}
