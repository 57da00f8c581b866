/** What every accepted update keeps to, whichever way it came. */
import assert from "node:assert/strict";
import { addressBits, isHostBitsZero } from "../../core/model/prefix.ts";
import { Family, RouteType, type RouteUpdate, UpdateOp } from "../../core/model/route.ts";

export function checkSound(update: RouteUpdate): void {
  const bits = addressBits(update.family);
  assert.ok(update.family === Family.IPV4 || update.family === Family.IPV6);
  assert.ok(update.prefixLength <= bits && isHostBitsZero(update.prefix, 0, update.prefixLength, 128));
  assert.ok(update.table >= 1 && update.table <= 0xffffffff && update.metric >= 0 && update.metric <= 0xffffffff);
  assert.ok(update.family === Family.IPV4 || update.metric !== 0);
  const hasTarget = update.nexthops.length > 0 || update.nexthopGroup !== 0;
  const needsTarget = update.op === UpdateOp.INSTALL && update.type === RouteType.UNICAST;
  assert.equal(hasTarget, needsTarget);
  for (const hop of update.nexthops) {
    assert.ok(hop.viaFamily !== Family.NONE || hop.ifindex !== 0);
    assert.ok(hop.weight >= 1 && hop.weight <= 256);
  }
}
