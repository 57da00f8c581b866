/**
 * The listing behind `GET /v1/routes`: walks the RIB by route numbers, in slices, as the client takes what is found.
 * Main thread.
 *
 * Routes come and go meanwhile. One that is there all the time is listed exactly once; numbers are stable, so a cursor
 * is nothing but the family and the number to go on from, and costs the daemon nothing to keep.
 */
import { NO_ATTRS } from "../context/attrs.ts";
import { Family } from "../model/route.ts";
import type { Claim } from "../rib/claims.ts";
import { coversAddress } from "../rib/lookup.ts";
import type { Rib } from "../rib/rib.ts";
import { NO_ROUTE, type RouteStore } from "../rib/route_store.ts";
import type { ResultStatus } from "./api_types.ts";
import type { Pacer } from "./pacer.ts";
import { type RouteJsonWriter, statusOfClaim, statusOfRoute } from "./route_json.ts";

/** Text that is handed to the client at a time. */
const PIECE_LENGTH = 64 * 1024;
/** Numbers looked at between two looks at the clock. */
const STEP_ROUTES = 64;

/** A prefix as a filter; `family` NONE stands for the default route of both. */
export interface PrefixFilter {
  family: Family;
  address: Uint8Array;
  length: number;
}

export interface RouteFilter {
  /** NONE for both. */
  family: Family;
  prefix: PrefixFilter | null;
  /** With `prefix`: what is more specific, too. */
  longer: boolean;
  table: number | null;
  /** Number of the owner; null for all. */
  owner: number | null;
  status: ResultStatus | null;
}

/** Where a walk goes on: `4.17` is IPv4 route number 17. */
export interface Cursor {
  family: Family;
  route: number;
}

export const FIRST_ROUTE: Cursor = { family: Family.IPV4, route: NO_ROUTE + 1 };

/** The cursor in a text of {@linkcode formatCursor}; undefined for anything else. */
export function parseCursor(text: string): Cursor | undefined {
  const match = /^([46])\.([1-9]\d{0,9})$/.exec(text);
  if (match === null) return undefined;
  return { family: match[1] === "4" ? Family.IPV4 : Family.IPV6, route: Number(match[2]) };
}

function formatCursor({ family, route }: Cursor): string {
  return `${family === Family.IPV4 ? 4 : 6}.${route}`;
}

export class RouteWalk {
  readonly #rib: Rib;
  readonly #writer: RouteJsonWriter;
  readonly #filter: RouteFilter;
  readonly #cursor: Cursor;
  /** Routes that may still be listed, each with what all its owners want. */
  #left: number;
  /** For one exact prefix: its routes, so that nothing is walked. */
  readonly #exact: Record<4 | 6, number[]> | null;
  readonly #address = new Uint8Array(16);
  /** Every route has been looked at. */
  #isDone = false;
  /** The limit is reached, and there is another route at the cursor. */
  #hasMore = false;

  constructor(rib: Rib, writer: RouteJsonWriter, filter: RouteFilter, limit: number, start: Cursor = FIRST_ROUTE) {
    this.#rib = rib;
    this.#writer = writer;
    this.#filter = filter;
    this.#cursor = { ...start };
    this.#left = limit;
    this.#exact = filter.prefix === null || filter.longer ? null : findExact(rib, filter.prefix);
  }

  /** Nothing more is to be listed, be it that the walk is at its end, or behind the limit at another route. */
  get isDone(): boolean {
    return this.#isDone || this.#hasMore;
  }

  /** As many are listed as were asked for. */
  get isFull(): boolean {
    return this.#left === 0;
  }

  /** Where a next request goes on; empty if there is nothing more. */
  get cursor(): string {
    return this.#hasMore ? formatCursor(this.#cursor) : "";
  }

  /** Looks at a few more routes and gives those that are wanted to `emit`, as JSON. */
  step(emit: (json: string) => void): void {
    for (let looked = 0; looked < STEP_ROUTES && !this.isDone; looked++) {
      const cursor = this.#cursor;
      const store = this.#rib.store(cursor.family);
      const route = this.#exact === null ? cursor.route : this.#nextExact(this.#exact);
      if (route === NO_ROUTE || route > store.last || !this.#wantsFamily(cursor.family)) {
        this.#nextFamily();
        continue;
      }
      cursor.route = route + 1;
      if (!store.isUsed(route) || !this.#wantsRoute(store, route)) continue;
      const claims = this.#rib.claims.isContested(cursor.family, route)
        ? this.#rib.claims.list(cursor.family, store, route).filter((claim) => this.#wantsClaim(store, route, claim))
        : null;
      if (claims === null ? !this.#wantsSelected(store, route) : claims.length === 0) continue;
      if (this.#left === 0) {
        cursor.route = route;
        this.#hasMore = true;
        return;
      }
      this.#left -= 1;
      if (claims === null) emit(this.#writer.write(store, route, attrsOf(store, route)));
      else for (const claim of claims) emit(this.#write(store, route, claim));
    }
  }

  #write(store: RouteStore, route: number, claim: Claim): string {
    const isSelected = claim.owner === store.owner(route);
    return isSelected ? this.#writer.write(store, route, claim.attrs) : this.#writer.writeHeld(store, route, claim);
  }

  #nextFamily(): void {
    if (this.#cursor.family === Family.IPV6) this.#isDone = true;
    this.#cursor.family = Family.IPV6;
    this.#cursor.route = NO_ROUTE + 1;
  }

  #nextExact(exact: Record<4 | 6, number[]>): number {
    const { family, route } = this.#cursor;
    return exact[family === Family.IPV4 ? 4 : 6].find((number) => number >= route) ?? NO_ROUTE;
  }

  #wantsFamily(family: Family): boolean {
    const { prefix } = this.#filter;
    if (prefix !== null && prefix.family !== Family.NONE && prefix.family !== family) return false;
    return this.#filter.family === Family.NONE || this.#filter.family === family;
  }

  #wantsRoute(store: RouteStore, route: number): boolean {
    const { table, prefix } = this.#filter;
    if (table !== null && this.#rib.keyClass(store, route).table !== table) return false;
    if (prefix === null || this.#exact !== null) return true;
    if (store.prefixLength(route) < prefix.length) return false;
    store.address(route, this.#address);
    return coversAddress(prefix.address, prefix.length, this.#address);
  }

  #wantsSelected(store: RouteStore, route: number): boolean {
    const { owner, status } = this.#filter;
    if (owner !== null && store.owner(route) !== owner) return false;
    if (status !== null && statusOfRoute(store, route) !== status) return false;
    // Nobody wants it and the kernel does not have it: the deletion of a route that never was.
    return attrsOf(store, route) !== NO_ATTRS;
  }

  #wantsClaim(store: RouteStore, route: number, claim: Claim): boolean {
    if (claim.owner === store.owner(route)) return this.#wantsSelected(store, route);
    const { owner, status } = this.#filter;
    return (owner === null || claim.owner === owner) && (status === null || statusOfClaim(claim) === status);
  }
}

/** What the selected claim wants, or what is still there of a route that nobody wants any more. */
function attrsOf(store: RouteStore, route: number): number {
  return store.desired(route) || store.programmed(route);
}

/** Numbers of the routes to one prefix, in every table and with every metric, in order. */
function findExact(rib: Rib, prefix: PrefixFilter): Record<4 | 6, number[]> {
  const found: Record<4 | 6, number[]> = { 4: [], 6: [] };
  for (const { family, id, byLength } of rib.classes.values()) {
    if ((prefix.family !== Family.NONE && prefix.family !== family) || byLength[prefix.length] === 0) continue;
    const route = rib.store(family).find(prefix.address, prefix.length, id);
    if (route !== NO_ROUTE) found[family === Family.IPV4 ? 4 : 6].push(route);
  }
  found[4].sort((a, b) => a - b);
  found[6].sort((a, b) => a - b);
  return found;
}

/** The listing as a body: NDJSON, or one JSON document with the cursor of the next page. */
export function streamRoutes(walk: RouteWalk, format: "ndjson" | "json", pacer: Pacer): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const isJson = format === "json";
  let count = 0;
  let isOpen = false;
  let isCancelled = false;
  let text = "";
  const emit = (route: string): void => {
    if (isJson) text += count === 0 ? route : `,${route}`;
    else text += `${route}\n`;
    count += 1;
  };
  // Only a page's cursor needs to know whether there is more behind the limit.
  const isDone = (): boolean => walk.isDone || (walk.isFull && !isJson);
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    if (isJson && !isOpen) text = '{"routes":[';
    isOpen = true;
    while (!isDone() && text.length < PIECE_LENGTH && !isCancelled) {
      walk.step(emit);
      if (pacer.isOver()) await pacer.pause();
    }
    if (isCancelled) return;
    if (isJson && isDone()) text += walk.cursor === "" ? "]}\n" : `],"cursor":"${walk.cursor}"}\n`;
    if (text !== "") controller.enqueue(encoder.encode(text));
    text = "";
    if (isDone()) controller.close();
  };
  const cancel = (): void => {
    isCancelled = true;
  };
  return new ReadableStream({ pull, cancel }, { highWaterMark: 0 });
}
