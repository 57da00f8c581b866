/** Takes all routes out of the kernel at the end of the daemon's life, where the configuration wants that. Main thread. */
import type { Dataplane } from "../dataplane/dataplane.ts";
import type { Rib } from "../rib/rib.ts";
import { NO_ROUTE } from "../rib/route_store.ts";
import { StaleWalk } from "../rib/stale_walk.ts";

/** Steps of the walk before other work gets its turn. */
const STEP_ROUTES = 256;

/** Deletes every route that is programmed, and waits for it, at most `deadlineMs`. */
export async function withdrawAll(rib: Rib, dataplane: Dataplane, deadlineMs: number): Promise<void> {
  const { clock } = dataplane;
  const deadline = clock.now() + deadlineMs;
  const walk = new StaleWalk(rib);
  for (let step = 1; walk.next(); step++) {
    const { family, route } = walk;
    if (route !== NO_ROUTE && rib.store(family).isUsed(route)) rib.withdraw(family, route);
    if (step % STEP_ROUTES === 0) await clock.turn();
  }
  // A route with an update under way is written once more when that is back.
  while ((rib.reconciler.queued > 0 || dataplane.workPending()) && clock.now() < deadline && dataplane.isAccepting()) {
    await rib.reconciler.idle();
    await dataplane.finish(deadline - clock.now());
  }
}
