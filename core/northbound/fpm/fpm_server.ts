/**
 * The FPM server: routing daemons such as FRR connect to it and send their routes as netlink messages over TCP, with no
 * code of ours on their side. Each peer is an owner of the RIB. Main thread.
 */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { NO_ATTRS } from "../../context/attrs.ts";
import type { Contexts } from "../../context/contexts.ts";
import { U8, U32 } from "../../context/layout.ts";
import { createRouteUpdate, type Family, type RouteUpdate } from "../../model/route.ts";
import type { NexthopGroups } from "../../rib/nexthop_groups.ts";
import type { RibObserver } from "../../rib/outcome.ts";
import type { FpmPeerJson, FpmServerJson } from "../api_types.ts";
import { formatAddress, type HttpAddress } from "../server.ts";
import { WithdrawalRoom } from "../withdrawals.ts";
import { FpmGroups, GroupNumbers } from "./fpm_groups.ts";
import { FpmPeer, type FpmPeerParts } from "./fpm_peer.ts";
import { type PeerNames, ReplyEncoder } from "./fpm_reply.ts";

/** Bytes of answers that may wait for a peer that does not read them. */
const REPLY_BACKLOG_BYTES = 1 << 20;

export interface FpmServerOptions extends Omit<FpmPeerParts, "groupsIdle" | "withdrawalRoom"> {
  listen: HttpAddress;
  /** Empty: whoever can reach the address. */
  peers: readonly { address: string; owner: string | null }[];
  offloadReplies: boolean;
  groups: NexthopGroups;
  /** Whether a peer at this address programs the same kernel as dplaned. */
  sharesKernel: (address: string) => boolean;
  /** Our interface's name; empty if there is none of this number. */
  linkName: (ifindex: number) => string;
}

export class FpmServer {
  readonly #options: FpmServerOptions;
  readonly #server: Server;
  readonly #numbers: GroupNumbers;
  readonly #withdrawalRoom = new WithdrawalRoom();
  readonly #peers = new Map<string, FpmPeer>();
  readonly #byOwner = new Map<number, FpmPeer>();
  readonly #replies = new ReplyEncoder();
  readonly #route = createRouteUpdate();
  readonly #observer: RibObserver;
  /** Connections of those who are not among the peers. */
  refused = 0;
  address: HttpAddress;

  constructor(options: FpmServerOptions) {
    this.#options = options;
    this.address = options.listen;
    this.#numbers = new GroupNumbers(options.groups);
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
    this.#observer = { onOutcome: (slot, outcome, contexts) => this.#onOutcome(slot, outcome, contexts) };
  }

  /** Begins to listen. Throws where it cannot. */
  async start(): Promise<void> {
    const { host, port } = this.#options.listen;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once("error", reject);
    this.#server.listen(port, host, () => resolve());
    try {
      await promise;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const name = formatAddress(this.#options.listen);
      throw new Error(`Cannot listen for FPM on ${name}: ${code ?? message} (set [fpm] listen to a free address)`);
    }
    const { address, port: bound } = this.#server.address() as AddressInfo;
    this.address = { host: address, port: bound };
    if (this.#options.offloadReplies) this.#options.rib.observe(this.#observer);
    this.#options.log.info("Taking routes over FPM", { listen: formatAddress(this.address) });
  }

  /** Ends all connections; what they have told stays. */
  async close(): Promise<void> {
    this.#options.rib.unobserve(this.#observer);
    this.#server.close();
    await Promise.all(Array.from(this.#peers.values(), (peer) => peer.close()));
  }

  describe(): FpmServerJson {
    return {
      listen: formatAddress(this.address),
      refused: this.refused,
      peers: Array.from(this.#peers.values(), describePeer),
    };
  }

  #accept(socket: Socket): void {
    const { log, peers, sharesKernel } = this.#options;
    const address = plainAddress(socket.remoteAddress ?? "");
    const named = peers.find((peer) => plainAddress(peer.address) === address);
    socket.on("error", () => {});
    if (address === "" || (peers.length > 0 && named === undefined)) {
      this.refused += 1;
      log.warn("A stranger's FPM connection is refused", { address, hint: "name it in [fpm] peers if it may" });
      socket.destroy();
      return;
    }
    const peer = this.#peer(address, named?.owner ?? `fpm-${address.replace(/[^A-Za-z0-9.]+/g, "-")}`);
    if (peer === null) {
      log.error("An FPM connection is refused: there are too many owners", { address });
      socket.destroy();
      return;
    }
    peer.connect(socket, sharesKernel(address));
  }

  #peer(address: string, ownerName: string): FpmPeer | null {
    const known = this.#peers.get(address);
    if (known !== undefined) return known;
    const { groups, rib } = this.#options;
    const owner = rib.owners.intern(ownerName);
    if (owner === undefined) return null;
    const parts = { ...this.#options, withdrawalRoom: this.#withdrawalRoom, groupsIdle: () => groups.idle() };
    const peer = new FpmPeer(parts, address, owner, new FpmGroups(groups, this.#numbers));
    peer.onUnchanged = (update) => {
      if (this.#options.offloadReplies) this.#reply(peer, update, true);
    };
    this.#peers.set(address, peer);
    this.#byOwner.set(owner.id, peer);
    return peer;
  }

  /** The kernel has, or has not, what a peer wants: also when that comes later than the answer to its update. */
  #onOutcome(slot: number, outcome: string, contexts: Contexts): void {
    const isProgrammed = outcome === "fib_programmed";
    if (!isProgrammed && outcome !== "fib_failed") return;
    const { rib } = this.#options;
    const family = contexts.getU8(slot, U8.FAMILY) as Family;
    const store = rib.store(family);
    const route = contexts.getU32(slot, U32.ENTRY);
    const written: number = contexts.getU32(slot, U32.WINNER) || contexts.getU32(slot, U32.OWNER);
    const peer = this.#byOwner.get(written);
    if (peer === undefined || store.owner(route) !== written || store.desired(route) === NO_ATTRS) return;
    const update = this.#route;
    const { table, metric, source, sourceLength } = rib.keyClass(store, route);
    rib.attrs.reader.read(store.desired(route), update);
    Object.assign(update, { family, table, metric, sourceLength, prefixLength: store.prefixLength(route) });
    store.address(route, update.prefix);
    update.source.set(source);
    this.#reply(peer, update, isProgrammed);
  }

  #reply(peer: FpmPeer, update: RouteUpdate, isProgrammed: boolean): void {
    const { socket, nexthops } = peer;
    if (socket === null || nexthops === null || socket.writableLength > REPLY_BACKLOG_BYTES) return;
    const frame = this.#replies.encode(update, isProgrammed, this.#names(peer));
    if (frame === null) return;
    peer.counters.bytesSent += frame.length;
    socket.write(frame);
  }

  #names({ nexthops }: FpmPeer): PeerNames {
    const { mapping, linkName } = this.#options;
    const find = <T>(map: ReadonlyMap<number, T>, value: T): number | undefined => {
      for (const [peers, ours] of map) if (ours === value) return peers;
      return undefined;
    };
    return {
      table: (ours) => find(mapping.tables, ours) ?? ours,
      ifindex: (ours) => (mapping.links.size === 0 ? ours : (find(mapping.links, linkName(ours)) ?? ours)),
      nexthopId: (group) => nexthops?.idOf(group) ?? 0,
    };
  }
}

function describePeer(peer: FpmPeer): FpmPeerJson {
  const { address, owner, state, since, lastError, counters, nexthops, groups } = peer;
  return {
    address,
    owner: owner.name,
    state,
    since,
    held: owner.routes,
    nexthopObjects: nexthops?.count ?? 0,
    parkedNexthops: nexthops?.parked ?? 0,
    nexthopGroups: groups,
    ...counters,
    ...(lastError === "" ? {} : { lastError }),
  };
}

/** An IPv4 address as such, also where the socket takes both families. */
function plainAddress(address: string): string {
  return address
    .replace(/^::ffff:(?=\d+\.)/i, "")
    .replace(/%.*$/, "")
    .toLowerCase();
}
