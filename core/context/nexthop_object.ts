/**
 * A nexthop object of the kernel as a record of attributes, so that it takes the way of any update: through a context,
 * by number. What a route's record has under a name, an object's may use for something else; this is the only place
 * that knows how.
 */
import { createNexthop, createRouteUpdate, type Nexthop, type RouteUpdate } from "../model/route.ts";
import type { AttrsReader } from "./attrs.ts";

/** Stands where a route has its type (RTN_*, all of which are smaller). */
export const NexthopObjectKind = { SINGLE: 0x80, GROUP: 0x81, RESILIENT: 0x82 } as const;
export type NexthopObjectKind = (typeof NexthopObjectKind)[keyof typeof NexthopObjectKind];

/** One member of a group: the number of a single object, and its weight, 1..256. */
export interface NexthopObjectMember {
  id: number;
  weight: number;
}

/** What an object is. Timers are in seconds. */
export type NexthopObject =
  | { kind: typeof NexthopObjectKind.SINGLE; nexthop: Nexthop }
  | { kind: typeof NexthopObjectKind.GROUP; members: NexthopObjectMember[] }
  | {
      kind: typeof NexthopObjectKind.RESILIENT;
      members: NexthopObjectMember[];
      buckets: number;
      idleTimer: number;
      unbalancedTimer: number;
    };

/** The object as what the attributes' store takes. */
export function nexthopObjectUpdate(object: NexthopObject): RouteUpdate {
  const update = createRouteUpdate();
  update.type = object.kind as unknown as RouteUpdate["type"];
  if (object.kind === NexthopObjectKind.SINGLE) {
    update.nexthops = [object.nexthop];
    return update;
  }
  update.nexthops = object.members.map(({ id, weight }) => ({ ...createNexthop(), ifindex: id, weight }));
  if (object.kind === NexthopObjectKind.RESILIENT) {
    update.mtu = object.buckets;
    update.tag = object.idleTimer;
    update.nexthopGroup = object.unbalancedTimer;
  }
  return update;
}

/** The object that a record describes. */
export function readNexthopObject(reader: AttrsReader<ArrayBufferLike>, attrs: number): NexthopObject {
  const kind = reader.type(attrs) as NexthopObjectKind;
  if (kind === NexthopObjectKind.SINGLE) return { kind, nexthop: reader.nexthop(attrs, 0) };
  const members: NexthopObjectMember[] = [];
  for (let index = 0; index < reader.nexthopCount(attrs); index++) {
    const { ifindex, weight } = reader.nexthop(attrs, index);
    members.push({ id: ifindex, weight });
  }
  if (kind === NexthopObjectKind.GROUP) return { kind, members };
  const [idleTimer, unbalancedTimer] = [reader.tag(attrs), reader.nexthopGroup(attrs)];
  return { kind, members, buckets: reader.mtu(attrs), idleTimer, unbalancedTimer };
}
