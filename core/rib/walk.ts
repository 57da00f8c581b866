/** Walks over all routes without holding the main thread: in slices, with the event loop running in between. */
import { Family } from "../model/route.ts";
import type { Rib } from "./rib.ts";
import type { RouteStore } from "./route_store.ts";

/** Longest slice, and how many routes are looked at between two looks at the clock. */
const SLICE_MS = 4;
const STEP_ROUTES = 1024;

/** Calls `visit` for each route in use; ones that come during the walk may be left out. */
export async function walkRoutes(
  rib: Rib,
  visit: (family: Family, store: RouteStore, route: number) => void,
): Promise<void> {
  const { clock } = rib;
  let deadline = clock.now() + SLICE_MS;
  for (const family of [Family.IPV4, Family.IPV6] as const) {
    const store = rib.store(family);
    for (let route = 1; route <= store.last; route++) {
      if (store.isUsed(route)) visit(family, store, route);
      if (route % STEP_ROUTES !== 0 || clock.now() < deadline) continue;
      await clock.turn();
      deadline = clock.now() + SLICE_MS;
    }
  }
}
