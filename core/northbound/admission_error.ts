/** Why updates were not taken, in words that name the owner concerned. Main thread. */
import type { Dataplane } from "../dataplane/dataplane.ts";
import type { RouteUpdate } from "../model/route.ts";
import type { Owner } from "../rib/owners.ts";
import type { Rib } from "../rib/rib.ts";
import { NO_ROUTE, ROUTES_MAX } from "../rib/route_store.ts";
import { StagingError } from "../rib/sync.ts";
import type { ErrorJson } from "./api_types.ts";

/** Why the dataplane takes no more updates, as result lines say it. */
export function describeRefusal({ state, failure }: Dataplane): ErrorJson {
  if (state === "failed") {
    return { code: "DATAPLANE_FAILED", message: `The dataplane has failed: ${failure}`, hint: "restart dplaned" };
  }
  return { code: "SHUTTING_DOWN", message: "dplaned is shutting down and takes no more updates" };
}

/** Why the RIB did not take this update of the owner. */
export function describeAdmissionError(code: StagingError, rib: Rib, owner: Owner, update: RouteUpdate): ErrorJson {
  const { name } = owner;
  const { prefixLimit, tables } = owner.settings;
  switch (code) {
    case StagingError.OUT_OF_ATTRS: {
      const message = "There is no room for another set of nexthops and attributes";
      return { code, message, hint: "delete routes, or let more of them share their nexthops" };
    }
    case StagingError.OUT_OF_KEY_CLASSES: {
      const message = "There are too many combinations of table, metric and source prefix";
      return { code, message, hint: "use fewer metrics or tables" };
    }
    case StagingError.OUT_OF_ROUTES: {
      const message = `There are as many routes of one address family as dplaned can hold: ${ROUTES_MAX}`;
      return { code, message, hint: "delete routes" };
    }
    case StagingError.TABLE_NOT_ALLOWED: {
      const message = `Owner ${name} may not write to table ${update.table}`;
      return { code, field: "table", message, hint: `its tables are ${tables.join(", ")}: [[owner]] tables` };
    }
    case StagingError.PREFIX_LIMIT: {
      const message = `Owner ${name} may have ${prefixLimit} routes, and this would be one more`;
      return { code, message, hint: "delete routes, or raise [[owner]] prefix-limit in the configuration" };
    }
    case StagingError.NOT_OWNER: {
      const message = `Owner ${name} has no such route; it is of ${describeHolders(rib, update)}`;
      return { code, field: "prefix", message, hint: "name that owner to delete it" };
    }
    case StagingError.DUPLICATE_ROUTE: {
      const message = "The body has this route twice";
      return { code, field: "prefix", message, hint: "prefix, source, table and metric name a route; leave one out" };
    }
    case StagingError.DELETE_IN_SYNC: {
      const message = "A full-state sync lists what there is to be, and this is a delete";
      return { code, field: "op", message, hint: "leave the route out, and it is deleted" };
    }
  }
}

/** The owners that want a route, the selected one first. */
function describeHolders(rib: Rib, { family, prefix, prefixLength, table, metric, source, sourceLength }: RouteUpdate) {
  const keyClass = rib.classes.find(family, table, metric, source, sourceLength);
  const store = rib.store(family);
  const route = keyClass === undefined ? NO_ROUTE : store.find(prefix, prefixLength, keyClass.id);
  if (route === NO_ROUTE) return "another";
  const names = rib.claims.list(family, store, route).map(({ owner }) => rib.owners.nameOf(owner));
  return `owner ${names.join(", ")}`;
}
