/**
 * What a listener to the stream of events wants to hear of. A filter of routes leaves only events of routes in: what has no
 * owner has not this one, and what has no status has not that one. Main thread.
 */
import { packedFamily, packedLength, parsePrefix } from "../model/prefix.ts";
import type { ResultStatus } from "./api_types.ts";
import type { EventsJson } from "./event_types.ts";
import type { EventName } from "./events.ts";
import type { PrefixFilter } from "./route_list.ts";

export type KernelObject = EventsJson["kernel"]["object"];
export const KERNEL_OBJECTS = ["link", "address", "route", "nexthop"] as const satisfies readonly KernelObject[];

/** Null for any. */
export interface EventFilter {
  names: ReadonlySet<EventName>;
  /** Of the events `kernel`. */
  objects: ReadonlySet<KernelObject> | null;
  owner: string | null;
  status: ResultStatus | null;
  table: number | null;
  prefix: PrefixFilter | null;
  /** With `prefix`: it, and everything more specific. */
  longer: boolean;
}

/** Everything of these kinds. */
export function everyEvent(names: Iterable<EventName>): EventFilter {
  return {
    names: new Set(names),
    objects: null,
    owner: null,
    status: null,
    table: null,
    prefix: null,
    longer: false,
  };
}

/** Whether results of this owner and status may pass: what can be told before a result is made into an event. */
export function mayPass({ names, owner, status }: EventFilter, ofOwner: string, ofStatus: ResultStatus): boolean {
  return names.has("result") && (owner === null || owner === ofOwner) && (status === null || status === ofStatus);
}

/** Whether the event passes. */
export function passes<Name extends EventName>(filter: EventFilter, name: Name, data: EventsJson[Name]): boolean {
  const { names, objects, owner, status, table, prefix } = filter;
  if (!names.has(name)) return false;
  // As the type says, every field is there in some event only.
  const event = data as Partial<EventsJson["result"] & EventsJson["kernel"]>;
  if (name === "kernel" && objects !== null && !objects.has(event.object!)) return false;
  if (owner !== null && event.owner !== owner) return false;
  if (status !== null && event.status !== status) return false;
  if (table !== null && event.table !== table) return false;
  return prefix === null || (event.prefix !== undefined && covers(filter, event.prefix));
}

const address = new Uint8Array(16);

function covers({ prefix, longer }: EventFilter, text: string): boolean {
  const wanted = prefix!;
  const packed = parsePrefix(text, address, 0, true);
  if (packed < 0) return false;
  const length = packedLength(packed);
  if (longer ? length < wanted.length : length !== wanted.length) return false;
  // The default route of both families has none.
  if (wanted.family !== 0 && packedFamily(packed) !== wanted.family) return false;
  const whole = wanted.length >> 3;
  for (let byte = 0; byte < whole; byte++) if (address[byte] !== wanted.address[byte]) return false;
  const rest = wanted.length & 7;
  return rest === 0 || (address[whole]! ^ wanted.address[whole]!) >>> (8 - rest) === 0;
}
