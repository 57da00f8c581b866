/** Updates for tests: routes by number, so that the same number is the same prefix. */
import { createNexthop, createRouteUpdate, Family, type RouteUpdate, UpdateOp } from "../../core/model/route.ts";

const shared = createRouteUpdate();
shared.nexthops.push(createNexthop());

/** An IPv4 /32 by number, via one of 64 gateways. The object is filled anew at each call. */
export function numberedUpdate(number: number, op: UpdateOp = UpdateOp.INSTALL, gateway = number & 63): RouteUpdate {
  const update = shared;
  update.op = op;
  update.family = Family.IPV4;
  update.prefixLength = 32;
  update.prefix[0] = 10 + (number >>> 24);
  update.prefix[1] = number >>> 16;
  update.prefix[2] = number >>> 8;
  update.prefix[3] = number;
  const nexthop = update.nexthops[0]!;
  nexthop.viaFamily = Family.IPV4;
  nexthop.via[0] = 192;
  nexthop.via[3] = gateway;
  nexthop.ifindex = 2;
  return update;
}

/** The number of a {@linkcode numberedUpdate}, from the first bytes of its prefix. */
export function updateNumber(bytes: Uint8Array, offset: number): number {
  const high = ((bytes[offset]! - 10) << 24) | (bytes[offset + 1]! << 16);
  return high | (bytes[offset + 2]! << 8) | bytes[offset + 3]!;
}
