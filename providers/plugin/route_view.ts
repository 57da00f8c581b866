/**
 * Routes and nexthop objects as a plugin sees them (core/plugin/dplaned.d.ts), made from records of attributes. In the process
 * of a plugin.
 */
import { ATTRS, type AttrsReader, NO_ATTRS } from "../../core/context/attrs.ts";
import {
  type NexthopObject as CoreObject,
  NexthopObjectKind,
  readNexthopObject,
} from "../../core/context/nexthop_object.ts";
import { formatAddress } from "../../core/model/prefix.ts";
import {
  type Nexthop as CoreNexthop,
  createRouteUpdate,
  EncapType,
  Family,
  ROUTE_TYPE_NAMES,
  SEG6_MODE_NAMES,
} from "../../core/model/route.ts";
import type { Nexthop, NexthopObject, Route, UpdateJson } from "../../core/plugin/dplaned.d.ts";
import type { Names } from "./frames.ts";

/** Records over memory of this process. */
export type CopiedAttrs = AttrsReader<ArrayBuffer>;

/** Routes that are remembered by the number of their record. */
const ROUTES_MAX = 4096;

const OBJECT_KINDS = {
  [NexthopObjectKind.SINGLE]: "single",
  [NexthopObjectKind.GROUP]: "group",
  [NexthopObjectKind.RESILIENT]: "resilient",
} as const;

/** What routes are made with: names, and the nexthop objects that there are. */
export class RouteViews {
  #names: Names = { links: {}, owners: [] };
  readonly #objects = new Map<number, CoreObject>();
  /** By the number of the record in the daemon's arena, which means the same as long as the epoch is the same. */
  readonly #routes = new Map<number, { epoch: number; route: Route }>();
  readonly #update = createRouteUpdate();

  setNames(names: Names): void {
    this.#names = names;
    this.#routes.clear();
  }

  /** Name of an owner by number; empty for nobody. */
  ownerName(id: number): string {
    return this.#names.owners[id - 1] ?? "";
  }

  /** The route that a record describes; undefined for {@linkcode NO_ATTRS}. */
  route(reader: CopiedAttrs, attrs: number): Route | undefined {
    if (attrs === NO_ATTRS) return undefined;
    const number = reader.view.getUint32(reader.offset(attrs) + ATTRS.REFERENCES, true);
    const epoch = reader.epoch(attrs);
    const known = this.#routes.get(number);
    if (known?.epoch === epoch) return known.route;
    if (this.#routes.size >= ROUTES_MAX) this.#routes.clear();
    const route = this.#read(reader, attrs);
    this.#routes.set(number, { epoch, route });
    return route;
  }

  #read(reader: CopiedAttrs, attrs: number): Route {
    reader.read(attrs, this.#update);
    const { type, nexthopGroup, nexthops, protocol, instance, distance, tag, mtu, prefsrcFamily, prefsrc } =
      this.#update;
    const fields = {
      type: ROUTE_TYPE_NAMES[type] as Route["type"],
      nexthopObject: nexthopGroup,
      protocol,
      instance,
      distance,
      tag,
      mtu,
      prefsrc: prefsrcFamily === Family.NONE ? undefined : formatAddress(prefsrcFamily, prefsrc, 0),
    };
    if (nexthopGroup === 0) return Object.freeze({ ...fields, nexthops: this.#nexthops(nexthops) });
    const views = this;
    return Object.freeze({
      ...fields,
      get nexthops() {
        return views.#resolve(nexthopGroup);
      },
    });
  }

  /** Notes what a nexthop object is by now; null for nothing. */
  setObject(id: number, object: CoreObject | null): void {
    if (object === null) this.#objects.delete(id);
    else this.#objects.set(id, object);
  }

  readObject(reader: CopiedAttrs, attrs: number): CoreObject {
    return readNexthopObject(reader, attrs);
  }

  /** Forgets all nexthop objects but these, and returns which. */
  keepObjects(ids: ReadonlySet<number>): number[] {
    const gone = [...this.#objects.keys()].filter((id) => !ids.has(id));
    for (const id of gone) this.#objects.delete(id);
    return gone;
  }

  object(id: number): NexthopObject | undefined {
    const object = this.#objects.get(id);
    if (object === undefined) return undefined;
    const members = object.kind === NexthopObjectKind.SINGLE ? [] : object.members;
    return { id, kind: OBJECT_KINDS[object.kind], nexthops: this.#resolve(id), members };
  }

  /** Where packets go by a nexthop object. */
  #resolve(id: number): readonly Nexthop[] {
    const object = this.#objects.get(id);
    if (object === undefined) return [];
    if (object.kind === NexthopObjectKind.SINGLE) return this.#nexthops([object.nexthop]);
    return object.members.flatMap((member) => {
      const single = this.#objects.get(member.id);
      if (single?.kind !== NexthopObjectKind.SINGLE) return [];
      return this.#nexthops([{ ...single.nexthop, weight: member.weight }]);
    });
  }

  #nexthops(nexthops: readonly CoreNexthop[]): readonly Nexthop[] {
    return Object.freeze(nexthops.map((nexthop) => this.#nexthop(nexthop)));
  }

  #nexthop({ viaFamily, via, ifindex, weight, onlink, encap, labels, seg6Mode, segments }: CoreNexthop): Nexthop {
    const isSeg6 = encap === EncapType.SEG6;
    return Object.freeze({
      via: viaFamily === Family.NONE ? undefined : formatAddress(viaFamily, via, 0),
      dev: this.#names.links[ifindex],
      ifindex,
      weight,
      onlink,
      labels: encap === EncapType.MPLS ? [...labels] : [],
      seg6: isSeg6
        ? { mode: SEG6_MODE_NAMES[seg6Mode] ?? "", segs: segments.map((each) => formatAddress(Family.IPV6, each, 0)) }
        : undefined,
    });
  }
}

/** A route's attributes as the HTTP API takes them; what is at its default is left out. */
export function routeToJson(route: Route): Partial<UpdateJson> {
  const { type, nexthops, protocol, distance, tag, mtu, prefsrc } = route;
  return {
    ...(type === "unicast" ? {} : { type }),
    ...(nexthops.length === 0 ? {} : { nexthops: nexthops.map(nexthopToJson) }),
    ...(protocol === 0 ? {} : { protocol }),
    ...(distance === 0 ? {} : { distance }),
    ...(tag === 0 ? {} : { tag }),
    ...(mtu === 0 ? {} : { mtu }),
    ...(prefsrc === undefined ? {} : { prefsrc }),
  };
}

function nexthopToJson({ via, dev, ifindex, weight, onlink, labels, seg6 }: Nexthop) {
  // iproute2's way to name an interface by number, which the API understands.
  const device = dev ?? (ifindex === 0 ? undefined : `if${ifindex}`);
  return {
    ...(via === undefined ? {} : { via }),
    ...(device === undefined ? {} : { dev: device }),
    weight,
    ...(onlink ? { onlink: true as const } : {}),
    ...(labels.length === 0 ? {} : { labels: [...labels] }),
    ...(seg6 === undefined ? {} : { seg6: { mode: seg6.mode, segs: [...seg6.segs] } }),
  };
}
