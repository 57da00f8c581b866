/** The FPM server on a free port of the loopback, over a real RIB and dataplane, with a forwarding plane that a test can see. */
import { CONTEXT_BYTES } from "../../core/constants.ts";
import { ContextOp, isNexthopOp, U8, U32 } from "../../core/context/layout.ts";
import { readNexthopObject } from "../../core/context/nexthop_object.ts";
import type { ProviderIo } from "../../core/dataplane/provider.ts";
import { formatAddress, formatPrefix } from "../../core/model/prefix.ts";
import { type Family, type Nexthop, ROUTE_TYPE_NAMES, RouteType } from "../../core/model/route.ts";
import type { FpmPeerJson } from "../../core/northbound/api_types.ts";
import { FpmServer, type FpmServerOptions } from "../../core/northbound/fpm/fpm_server.ts";
import { Pacer } from "../../core/northbound/pacer.ts";
import { createHarness, type Harness } from "./api_harness.ts";
import { FpmClient } from "./fpm_client.ts";
import { until } from "./wait.ts";

const OP_NAMES: Readonly<Record<number, string>> = {
  [ContextOp.ROUTE_INSTALL]: "install",
  [ContextOp.ROUTE_UPDATE]: "update",
  [ContextOp.ROUTE_DELETE]: "delete",
};

export class FpmBench {
  /** What the forwarding plane holds, such as `10.1.0.0/16 table 254` to `192.0.2.1 192.0.2.2`. */
  readonly routes = new Map<string, string>();
  /** What was written to it, such as `install 10.1.0.0/16`. */
  readonly writes: string[] = [];
  /** Prefixes that it refuses. */
  readonly refused = new Set<string>();
  readonly server: FpmServer;
  readonly harness: Harness;
  readonly #objects = new Map<number, string>();

  constructor(harness: Harness, options: Partial<FpmServerOptions>) {
    this.harness = harness;
    harness.kernel.answer = (io, slot) => this.#answer(io, slot);
    const { rib, dataplane, groups, links, log } = harness;
    this.server = new FpmServer({
      rib,
      dataplane,
      groups,
      pacer: new Pacer(),
      log,
      listen: { host: "127.0.0.1", port: 0 },
      peers: [],
      offloadReplies: false,
      quietTimeMs: 60_000,
      holdTimeMs: 60_000,
      mapping: {
        tables: new Map(),
        links: new Map(),
        metric: 20,
        acceptKernel: false,
        deviceIndex: (name) => links.indexOf(name),
      },
      sharesKernel: () => false,
      linkName: (ifindex) => links.nameOf(ifindex),
      ...options,
    });
  }

  static async start(options: Partial<FpmServerOptions> = {}, queueLimit = 64): Promise<FpmBench> {
    const bench = new FpmBench(await createHarness({ queueLimit }), options);
    await bench.server.start();
    return bench;
  }

  connect(portId?: number): Promise<FpmClient> {
    return FpmClient.connect(this.server.address.port, portId);
  }

  get peer(): FpmPeerJson {
    return this.server.describe().peers[0]!;
  }

  /** Resolves when the forwarding plane holds just these routes, such as `10.1.0.0/16 192.0.2.1`, all in the main table. */
  async holds(...expected: readonly string[]): Promise<void> {
    const text = () =>
      Array.from(this.routes, ([key, value]) => `${key} ${value}`)
        .sort()
        .join("; ");
    await until(`it holds ${expected.join("; ")}, not ${text()}`, () => text() === expected.toSorted().join("; "));
  }

  /** Nothing is held any more of what was used. */
  async close(): Promise<void> {
    await this.server.close();
    const { dataplane } = this.harness;
    this.harness.kernel.holds = false;
    await until("nothing is under way", () => dataplane.pool.free === dataplane.pool.size);
    await this.harness.close();
  }

  #answer(io: ProviderIo, slot: number): void {
    const { contexts } = io;
    const op = contexts.getU8(slot, U8.OP);
    const attrs = contexts.getU32(slot, U32.ATTRS);
    if (isNexthopOp(op)) {
      const id = contexts.getU32(slot, U32.NEXTHOP_ID);
      if (op === ContextOp.NEXTHOP_DELETE) this.#objects.delete(id);
      else {
        const object = readNexthopObject(io.attrs, attrs);
        const text =
          "nexthop" in object
            ? describe(object.nexthop)
            : object.members.map((member) => this.#objects.get(member.id)).join(" ");
        this.#objects.set(id, text);
      }
      return contexts.succeed(slot);
    }
    const base = slot * CONTEXT_BYTES;
    const family = contexts.getU8(slot, U8.FAMILY) as Family;
    const prefix = formatPrefix(family, contexts.u8, base + U8.PREFIX, contexts.getU8(slot, U8.PREFIX_LENGTH));
    const table = contexts.getU32(slot, U32.TABLE);
    const key = table === 254 ? prefix : `${prefix} table ${table}`;
    this.writes.push(`${OP_NAMES[op]} ${key}`);
    if (op !== ContextOp.ROUTE_DELETE && this.refused.has(prefix)) return contexts.fail(slot, 101, "refused");
    contexts.succeed(slot);
    if (op === ContextOp.ROUTE_DELETE) this.routes.delete(key);
    else this.routes.set(key, this.#describe(io, attrs));
  }

  #describe({ attrs: reader }: ProviderIo, attrs: number): string {
    const type = reader.type(attrs) as RouteType;
    if (type !== RouteType.UNICAST) return ROUTE_TYPE_NAMES[type];
    const object = reader.nexthopGroup(attrs);
    if (object !== 0) return `${this.#objects.get(object)}`;
    return Array.from({ length: reader.nexthopCount(attrs) }, (_, index) =>
      describe(reader.nexthop(attrs, index)),
    ).join(" ");
  }
}

function describe({ viaFamily, via, ifindex }: Nexthop): string {
  return `${viaFamily === 0 ? "" : formatAddress(viaFamily, via, 0)}${ifindex === 2 ? "" : `@${ifindex}`}`;
}
