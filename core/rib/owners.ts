/**
 * Owners: who may want routes, on which terms, and how many they have. From the configuration, or made on first use
 * with the defaults. Main thread only.
 */
import { OWNER_DISTANCE_DEFAULT } from "../constants.ts";
import type { RouteSet } from "./route_set.ts";
import { OWNERS_MAX } from "./route_store.ts";

/** The terms of an owner. */
export interface OwnerSettings {
  /** Administrative distance of its routes that give none: the lowest of one prefix wins. */
  distance: number;
  /** What its clients must show to write; null for nothing. */
  token: string | null;
  /** Names of client certificates with which they may write over TCP, as `DNS:frr.example`. */
  certificates: readonly string[];
  /** Routes that it may have; 0 for any number. */
  prefixLimit: number;
  /** Tables that it may write to; empty for all. */
  tables: readonly number[];
  /** Whether its routes may replace what somebody else has put into the kernel. */
  takeOver: boolean;
}

export const OWNER_SETTINGS: OwnerSettings = {
  distance: OWNER_DISTANCE_DEFAULT,
  token: null,
  certificates: [],
  prefixLimit: 0,
  tables: [],
  takeOver: false,
};

/** Number that stands for nobody: a route found in the kernel at the start, and not claimed since. */
export const NOBODY = 0;

export class Owner {
  /** From 1, but for {@linkcode Owners.nobody}. */
  readonly id: number;
  readonly name: string;
  settings: OwnerSettings;
  /** From the configuration, rather than made on first use. */
  isConfigured: boolean;
  /** Routes that it wants. */
  routes = 0;
  /** Those of them that are the ones for the forwarding plane; the others wait behind a better route. */
  selected = 0;
  /** While a full-state sync of it is under way: routes that its updates have changed since the sync began. */
  newer: RouteSet | null = null;
  /** When its last sync came to its end, in milliseconds since the Unix epoch; 0 for never. */
  syncedAt = 0;

  constructor(id: number, name: string, settings: OwnerSettings, isConfigured: boolean) {
    this.id = id;
    this.name = name;
    this.settings = settings;
    this.isConfigured = isConfigured;
  }

  get isSyncing(): boolean {
    return this.newer !== null;
  }

  mayWrite(table: number): boolean {
    const { tables } = this.settings;
    return tables.length === 0 || tables.includes(table);
  }

  /** With so many routes it has as many as it may. */
  isFull(routes: number = this.routes): boolean {
    const { prefixLimit } = this.settings;
    return prefixLimit !== 0 && routes >= prefixLimit;
  }
}

export class Owners {
  /** Its `selected` counts what was found in the kernel at the start and nobody has claimed. */
  readonly nobody = new Owner(NOBODY, "", OWNER_SETTINGS, false);
  readonly #byId: Owner[] = [];
  readonly #byName = new Map<string, Owner>();
  /** Called when there is another one. */
  onNew: () => void = () => {};

  /** Takes over the configuration's owners, also when it is read again; an owner that is left out gets the defaults. */
  configure(configured: readonly ({ name: string } & OwnerSettings)[]): void {
    for (const owner of this.#byId) {
      owner.settings = OWNER_SETTINGS;
      owner.isConfigured = false;
    }
    for (const { name, ...settings } of configured) {
      const owner = this.intern(name);
      if (owner === undefined) continue;
      owner.settings = settings;
      owner.isConfigured = true;
    }
  }

  /** The owner of this name, made on first use; undefined if there are too many. */
  intern(name: string): Owner | undefined {
    const known = this.#byName.get(name);
    if (known !== undefined || this.#byId.length >= OWNERS_MAX) return known;
    const owner = new Owner(this.#byId.length + 1, name, OWNER_SETTINGS, false);
    this.#byId.push(owner);
    this.#byName.set(name, owner);
    this.onNew();
    return owner;
  }

  find(name: string): Owner | undefined {
    return this.#byName.get(name);
  }

  /** The owner of this number; undefined for {@linkcode NOBODY}. */
  get(id: number): Owner | undefined {
    return this.#byId[id - 1];
  }

  /** Whose selected routes are counted under this number. */
  counted(id: number): Owner {
    return this.get(id) ?? this.nobody;
  }

  /** Its name; empty for {@linkcode NOBODY}. */
  nameOf(id: number): string {
    return this.get(id)?.name ?? "";
  }

  /** In the order of their numbers. */
  values(): readonly Owner[] {
    return this.#byId;
  }

  /**
   * Whose a route in this table must have been that was found in the kernel: the only configured owner that may write to
   * the table by name. Undefined where that cannot be told.
   */
  attribute(table: number): Owner | undefined {
    const candidates = this.#byId.filter(
      ({ isConfigured, settings }) => isConfigured && settings.tables.includes(table),
    );
    const anyone = this.#byId.some(({ isConfigured, settings }) => isConfigured && settings.tables.length === 0);
    return candidates.length === 1 && !anyone ? candidates[0] : undefined;
  }
}
