/** A nexthop group as JSON, from a client and to one. Main thread. */
import { now } from "../clock.ts";
import { NEXTHOPS_MAX } from "../constants.ts";
import type { LinkTable } from "../model/link_table.ts";
import { createNexthop, createRouteUpdate, Family, type Nexthop, UpdateOp } from "../model/route.ts";
import { type GroupDefinition, isActive, type NexthopGroup } from "../rib/nexthop_group.ts";
import type { NexthopGroups } from "../rib/nexthop_groups.ts";
import type { Resilient } from "../rib/nexthop_objects.ts";
import type { NexthopGroupJson, NexthopGroupMemberJson } from "./api_types.ts";
import { describeError } from "./outcome.ts";
import { nexthopToJson } from "./route_json.ts";
import { createUpdateError, type UpdateError } from "./update_error.ts";
import { checkFieldNames, integerError, isInteger, isObject, parseNexthop, wrongType } from "./update_json.ts";
import { checkNexthops, type NameResolver } from "./update_rules.ts";
import { describeRepair } from "./waiting.ts";

const GROUP_FIELDS: ReadonlySet<string> = new Set(["members", "backup", "resilient"]);
const RESILIENT_FIELDS: ReadonlySet<string> = new Set(["buckets", "idleTimer", "unbalancedTimer"]);

/** The kernel's: NHA_RES_GROUP_BUCKETS is 16 bits wide and not 0, timers are 32 bits of hundredths of a second. */
export const BUCKETS_MAX = 0xffff;
export const GROUP_TIMER_MAX = 42_949_672;
/** `RES_NEXTHOP_GROUP_IDLE_TIMER` of include/net/nexthop.h. */
export const IDLE_TIMER_DEFAULT = 120;

/** Reads what a client wants a group to be. */
export function parseNexthopGroup(value: unknown, resolver: NameResolver): GroupDefinition | UpdateError {
  if (!isObject(value)) return wrongType("", "A nexthop group is a JSON object", value);
  const nameError = checkFieldNames(value, GROUP_FIELDS, "");
  if (nameError !== null) return nameError;
  const { members: memberValues, backup: backupValues = [], resilient: resilientValue } = value;
  if (memberValues === undefined) {
    return createUpdateError("MISSING_FIELD", "members", "A nexthop group needs members");
  }
  const members = parseMembers(memberValues, "members", resolver);
  if (!Array.isArray(members)) return members;
  if (members.length === 0) {
    const hint = "to take routes out of the kernel, delete them";
    return createUpdateError("OUT_OF_RANGE", "members", "A nexthop group needs at least one member", hint);
  }
  const backup = parseMembers(backupValues, "backup", resolver);
  if (!Array.isArray(backup)) return backup;
  if (resilientValue === undefined) return { members, backup, resilient: null };
  const resilient = parseResilient(resilientValue);
  return "code" in resilient ? resilient : { members, backup, resilient };
}

function parseMembers(values: unknown, field: string, resolver: NameResolver): Nexthop[] | UpdateError {
  if (!Array.isArray(values)) return wrongType(field, "It takes an array of objects", values);
  if (values.length > NEXTHOPS_MAX) {
    const message = `${values.length} members are too many; a group takes ${NEXTHOPS_MAX}`;
    return createUpdateError("OUT_OF_RANGE", field, message);
  }
  const nexthops: Nexthop[] = [];
  for (const [index, value] of values.entries()) {
    const nexthop = createNexthop();
    const error = parseNexthop(value, nexthop, UpdateOp.INSTALL, resolver) ?? checkDevice(nexthop);
    if (error !== null) {
      error.field = error.field === "" ? `${field}[${index}]` : `${field}[${index}].${error.field}`;
      return error;
    }
    nexthops.push(nexthop);
  }
  return checkNexthops(nexthops, Family.NONE, field) ?? nexthops;
}

function checkDevice({ ifindex }: Nexthop): UpdateError | null {
  if (ifindex !== 0) return null;
  const hint = "the kernel binds a nexthop object to a link";
  return createUpdateError("MISSING_FIELD", "dev", "A member of a nexthop group needs dev", hint);
}

function parseResilient(value: unknown): Resilient | UpdateError {
  if (!isObject(value)) return wrongType("resilient", "It takes an object {buckets, …}", value);
  const nameError = checkFieldNames(value, RESILIENT_FIELDS, "resilient");
  if (nameError !== null) return nameError;
  const { buckets, idleTimer = IDLE_TIMER_DEFAULT, unbalancedTimer = 0 } = value;
  if (buckets === undefined) {
    const hint = "a few times as many as there will be members";
    return createUpdateError("MISSING_FIELD", "resilient.buckets", "A resilient group needs buckets", hint);
  }
  if (!isInteger(buckets, 1, BUCKETS_MAX)) return integerError("resilient.buckets", buckets, 1, BUCKETS_MAX);
  if (!isInteger(idleTimer, 0, GROUP_TIMER_MAX)) {
    return integerError("resilient.idleTimer", idleTimer, 0, GROUP_TIMER_MAX);
  }
  if (!isInteger(unbalancedTimer, 0, GROUP_TIMER_MAX)) {
    return integerError("resilient.unbalancedTimer", unbalancedTimer, 0, GROUP_TIMER_MAX);
  }
  return { buckets, idleTimer, unbalancedTimer };
}

/** The group as it stands, with no more members and backups than `membersMax`. */
export function describeNexthopGroup(
  group: NexthopGroup,
  groups: NexthopGroups,
  links: LinkTable,
  providerName: (id: number) => string,
  membersMax = NEXTHOPS_MAX,
): NexthopGroupJson {
  const { number, wanted, accepted, object, failure, restUntil } = group;
  const describe = (nexthop: Nexthop): NexthopGroupMemberJson => ({
    ...nexthopToJson(nexthop, links),
    active: isActive(group, nexthop),
  });
  const describeAll = (nexthops: readonly Nexthop[]) => nexthops.slice(0, membersMax).map(describe);
  const json: NexthopGroupJson = { id: number, members: describeAll(wanted.members), status: "rib_programmed" };
  if (wanted.backup.length > 0) json.backup = describeAll(wanted.backup);
  if (wanted.resilient !== null) json.resilient = wanted.resilient;
  if (object !== null) json.kernelId = object.id;
  const restMs = restUntil - now();
  if (groups.isInline) json.inline = true;
  else if (restMs > 0) json.waitingFor = describeRepair(restMs);
  else if (object !== null && accepted === wanted) json.status = "fib_programmed";
  else if (failure !== null) json.status = "fib_failed";
  else json.waitingFor = describeLinks(wanted, links);
  if (failure === null) return json;
  const update = createRouteUpdate();
  if (group.refused !== null) {
    update.family = group.refused.viaFamily;
    update.nexthops = [group.refused];
  }
  json.error = describeError(failure.error, failure.text, update, links);
  if (group.refused !== null) json.error.field = `members[${wanted.members.indexOf(group.refused)}]`;
  const provider = providerName(failure.provider);
  if (provider !== "") json.provider = provider;
  return json;
}

/** `link v0, v2`: what a group waits for. */
function describeLinks({ members }: GroupDefinition, links: LinkTable): string {
  const names = new Set(members.map(({ ifindex }) => links.nameOf(ifindex) || `if${ifindex}`));
  return `link ${Array.from(names).join(", ")}`;
}
