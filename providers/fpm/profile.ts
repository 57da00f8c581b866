/** The dialects of FPM servers: what differs between FRR's and SONiC's. The thread of the FPM provider. */
import { RT_TABLE_DEFAULT } from "../../core/constants.ts";
import { RouteType } from "../../core/model/route.ts";
import { FPM_FRAME_MAX } from "../../ffi/fpm/frame.ts";

export interface FpmProfile {
  /** Longest frame, with its header. */
  frameBytesMax: number;
  /** The table that the peer knows this table of ours by; -1 if it has none. */
  tableOf: (table: number) => number;
  /** Route types it takes; null for all. */
  types: readonly number[] | null;
  /** A single nexthop keeps what it was first told to be under its number, so another content needs another number. */
  hasFixedSingles: boolean;
  hasResilientGroups: boolean;
  weightMax: number;
}

export const FPM_PROFILES: Readonly<Record<string, FpmProfile>> = {
  frr: {
    frameBytesMax: FPM_FRAME_MAX,
    tableOf: (table) => table,
    types: null,
    hasFixedSingles: false,
    hasResilientGroups: true,
    weightMax: 256,
  },
  // fpmsyncd (sonic-swss): the default VRF is table 0, another table is the number of a VRF's interface over there.
  sonic: {
    frameBytesMax: 16_384,
    tableOf: (table) => (table === RT_TABLE_DEFAULT ? 0 : -1),
    types: [RouteType.UNICAST, RouteType.BLACKHOLE],
    hasFixedSingles: true,
    hasResilientGroups: false,
    weightMax: 255,
  },
};
