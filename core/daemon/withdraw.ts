/** Takes all routes out of the kernel at the end of the daemon's life, where the configuration wants that. Main thread. */
import { now } from "../clock.ts";
import { NO_ATTRS } from "../context/attrs.ts";
import type { Dataplane } from "../dataplane/dataplane.ts";
import { createRouteUpdate, Family, UpdateOp } from "../model/route.ts";
import type { Rib } from "../rib/rib.ts";

/** Results of these deletes go to nobody. */
const NO_SESSION = 0;

/** Deletes every route that is programmed, and waits for it, at most `deadlineMs`. */
export async function withdrawAll(rib: Rib, dataplane: Dataplane, deadlineMs: number): Promise<void> {
  const deadline = now() + deadlineMs;
  const update = createRouteUpdate();
  update.op = UpdateOp.DELETE;
  for (const family of [Family.IPV4, Family.IPV6]) {
    const store = rib.store(family);
    update.family = family;
    for (let route = 1; route <= store.last && now() < deadline; route++) {
      if (!store.isUsed(route) || store.programmed(route) === NO_ATTRS) continue;
      if (!dataplane.hasRoom()) {
        rib.flush();
        await dataplane.waitForRoom();
        if (!dataplane.isAccepting()) return;
      }
      const { table, metric, source, sourceLength } = rib.keyClass(store, route);
      store.address(route, update.prefix);
      update.prefixLength = store.prefixLength(route);
      Object.assign(update, { table, metric, source, sourceLength });
      rib.admit(update, store.owner(route), NO_SESSION, 0);
    }
  }
  rib.flush();
  await dataplane.finish(deadline - now());
}
