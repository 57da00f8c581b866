/**
 * Every limit, size and default of dplaned, once. Nothing else in the tree may spell these numbers; relations between
 * them are asserted at load, so that a changed limit fails at start and not at night.
 */
import { assert } from "./assert.ts";

export const VERSION = "0.1.0";

/** Updates that may wait in the incoming queue before clients are made to wait (FRR: 200, `zebra dplane limit`). */
export const QUEUE_LIMIT_DEFAULT = 2048;
export const QUEUE_LIMIT_MAX = 65_536;

/** Contexts a provider may take in one cycle (FRR: 100). It bounds the latency of one cycle and the size of a batch. */
export const WORK_LIMIT_DEFAULT = 512;
export const WORK_LIMIT_MAX = 8192;

/** Nexthops of one route. */
export const NEXTHOPS_MAX = 512;
export const WEIGHT_MAX = 256;
/**
 * Numbers of our nexthop objects in the kernel. zebra's own begin at 1, those of its clients end at 250,000,000, EVPN has the
 * top four bits.
 */
export const NEXTHOP_ID_MIN = 250_000_001;
export const NEXTHOP_ID_MAX = 268_435_455;
/** MPLS labels a nexthop may push (`MAX_NEW_LABELS` of the kernel's net/mpls). */
export const MPLS_LABELS_MAX = 30;
export const MPLS_LABEL_VALUE_MAX = 0xfffff;
/** SRv6 segments of one nexthop. */
export const SEG6_SEGMENTS_MAX = 16;

/** Longest line of an NDJSON or iproute2 stream, and so of one update: 512 nexthops with encapsulation fit. */
export const LINE_BYTES_MAX = 1 << 20;

/** Kernel defaults of the daemon, as in DESIGN section 1. */
export const RT_TABLE_DEFAULT = 254;
export const METRIC_DEFAULT = 20;
/** What the kernel makes of metric 0 on an IPv6 route (`IP6_RT_PRIO_USER`, include/net/ip6_route.h). */
export const METRIC_IPV6_ZERO = 1024;
/** Nexthop groups from this number on stand for nexthops of FPM peers; clients may not define them. */
export const FPM_GROUP_MIN = 0xf000_0000;
export const RTPROT_DEFAULT = 210;

/**
 * The body of a full-state sync that brings nothing for so long is given up: its client may be gone for good, and no other
 * sync of its owner can begin.
 */
export const BODY_IDLE_MS = 60_000;

export const SOCKET_PATH_DEFAULT = "/run/dplaned/dplaned.sock";
export const HTTP_ADDRESS_DEFAULT = "127.0.0.1:2680";
/** Connections over TCP at a time, and requests a second from one address. */
export const HTTP_CONNECTIONS_DEFAULT = 512;
export const HTTP_RATE_DEFAULT = 200;
/** Connections over the unix socket at a time: whoever may open it may do everything, but by mistake too. */
export const UNIX_CONNECTIONS_MAX = 4096;
/** Shortest token that nobody is warned of: a random one of letters and digits cannot be guessed then. */
export const TOKEN_LENGTH_MIN = 16;
export const CONFIG_PATH_DEFAULT = "/etc/dplaned/dplaned.toml";
export const OWNER_DEFAULT = "default";
/** Administrative distance of an owner's routes where neither it nor they say (FRR: EBGP). */
export const OWNER_DISTANCE_DEFAULT = 20;

/** Bytes of one context slot; see core/context/layout.ts. */
export const CONTEXT_BYTES = 256;
/** Kernel or provider text that a context carries back to the client. */
export const ERROR_TEXT_BYTES = 96;
/** Longest such text where there is more memory for it: where plugins may say much. */
export const LONG_TEXT_BYTES = 255;

/**
 * Routes with the same nexthops from which on these are kept in the kernel as an object that the routes name. A few
 * routes look in `ip route` as they were asked for.
 */
export const SHARED_ROUTES_MIN = 64;

/**
 * Address space of the route attributes arena. Pages are committed by the kernel when first touched, so the size
 * bounds what clients can make the daemon hold without costing it anything.
 */
export const ATTRS_ARENA_BYTES = 256 << 20;

/**
 * Outcomes and other happenings that the history of routes remembers, 64 bytes each, and texts (names of processes,
 * causes) that they may name. Memory is committed as they come.
 */
export const JOURNAL_ENTRIES = 65_536;
export const JOURNAL_TEXTS = 1024;
/** Failures and drift that are remembered beside it, whatever else happens. */
export const TROUBLES_MAX = 64;
/** Entries that one request for a route's history gets: where it does not say, and at most. */
export const HISTORY_ENTRIES_DEFAULT = 100;
export const HISTORY_ENTRIES_MAX = 1000;

/** Providers that one dataplane can hold. */
export const PROVIDERS_MAX = 32;

assert(QUEUE_LIMIT_DEFAULT <= QUEUE_LIMIT_MAX, "the default queue limit is within its maximum");
assert(WORK_LIMIT_DEFAULT <= WORK_LIMIT_MAX, "the default work limit is within its maximum");
assert(NEXTHOPS_MAX <= 0xffff, "a nexthop count fits 16 bits");
assert(CONTEXT_BYTES % 64 === 0, "contexts start on cache lines");
assert(HISTORY_ENTRIES_MAX <= JOURNAL_ENTRIES, "a route's history is no longer than everything that is remembered");
assert(ATTRS_ARENA_BYTES / 16 <= 0xffffffff, "an attrs id (arena offset / 16) fits 32 bits");

/** A thread that shows no sign of life for this long is stuck, and is replaced. */
export const STUCK_AFTER_MS = 10_000;
/** One that has not come up by then never will. */
export const START_DEADLINE_MS = 30_000;
/** One that does not end by then, though it is told to by force, is taken for one that never will. */
export const TERMINATE_DEADLINE_MS = 5000;
/** Deaths of one of the daemon's own threads within this time after which it is not started again: RESTARTS_MAX. */
export const RESTART_WINDOW_MS = 60_000;
export const RESTARTS_MAX = 3;
/** How long a daemon that cannot go on says so to health probes, and hands its clients their results, before it exits. */
export const FAILED_EXIT_MS = 3000;
/** First and longest wait before a provider's thread is started again. */
export const PROVIDER_RESTART_MIN_MS = 1000;
export const PROVIDER_RESTART_MAX_MS = 30_000;
/** Calls of a provider that may fail one after the other before it loses what it holds from earlier calls. */
export const PROVIDER_EXCEPTIONS_MAX = 3;
/** Least memory limit of a plugin: its process needs a part of that before it has done anything. */
export const PLUGIN_MEMORY_MIN = 64 << 20;
/** How long a shutdown waits for updates under way, and then for threads. */
export const FINISH_DEADLINE_MS = 10_000;
export const STOP_DEADLINE_MS = 2000;
/** How long the main thread settles results before it lets its event loop run: a health probe waits no longer. */
export const RESULTS_SLICE_MS = 4;
