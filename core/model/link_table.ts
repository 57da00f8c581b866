/**
 * The interfaces of the namespace that is programmed, by number and by name, kept up to date from the kernel's
 * notifications. Lives on the main thread, where names in updates become numbers and numbers in answers become names.
 */

/** One interface. Plain data: it crosses threads. */
export interface Link {
  ifindex: number;
  name: string;
  altNames: string[];
  /** Administratively up (IFF_UP). */
  up: boolean;
  /** Has carrier (IFF_LOWER_UP). */
  carrier: boolean;
  /** Kind of device, such as `veth` or `vrf`; empty for a plain one. */
  kind: string;
  mtu: number;
  /** Number of the bridge or VRF it belongs to; 0 for none. */
  master: number;
  /** Routing table of a VRF device; 0 for any other. */
  vrfTable: number;
}

export class LinkTable {
  readonly #byIndex = new Map<number, Link>();
  readonly #byName = new Map<string, Link>();
  /** Called when interfaces have come, gone or changed their names. */
  onNames: () => void = () => {};

  get size(): number {
    return this.#byIndex.size;
  }

  links(): Iterable<Link> {
    return this.#byIndex.values();
  }

  get(ifindex: number): Link | undefined {
    return this.#byIndex.get(ifindex);
  }

  /** The interface of this name or alternative name, or of this number as `if<number>`; 0 if there is none. */
  indexOf(name: string): number {
    const named = this.#byName.get(name);
    if (named !== undefined) return named.ifindex;
    // iproute2's way to name an interface by number, which a file of recorded updates needs.
    const index = /^if([1-9]\d*)$/.exec(name);
    return index !== null && this.#byIndex.has(Number(index[1])) ? Number(index[1]) : 0;
  }

  /** The interface's name; empty for one that is not known (any more). */
  nameOf(ifindex: number): string {
    return this.#byIndex.get(ifindex)?.name ?? "";
  }

  /** The routing table of the VRF device of this name; 0 if there is none. */
  vrfTable(name: string): number {
    return this.#byName.get(name)?.vrfTable ?? 0;
  }

  /** The VRF device that uses this table; empty if none does. */
  vrfName(table: number): string {
    for (const link of this.#byIndex.values()) if (link.vrfTable === table && table !== 0) return link.name;
    return "";
  }

  /** Takes over a whole dump. */
  replaceAll(links: readonly Link[]): void {
    this.#byIndex.clear();
    this.#byName.clear();
    for (const link of links) this.#put(link);
    this.onNames();
  }

  /** Adds or changes one interface. */
  set(link: Link): void {
    const before = this.nameOf(link.ifindex);
    this.#put(link);
    if (before !== link.name) this.onNames();
  }

  #put(link: Link): void {
    this.#drop(link.ifindex);
    this.#byIndex.set(link.ifindex, link);
    for (const name of [link.name, ...link.altNames]) this.#byName.set(name, link);
  }

  delete(ifindex: number): void {
    if (this.#drop(ifindex)) this.onNames();
  }

  /** False if there is none. */
  #drop(ifindex: number): boolean {
    const link = this.#byIndex.get(ifindex);
    if (link === undefined) return false;
    this.#byIndex.delete(ifindex);
    // A name may have gone over to another interface in the meantime.
    for (const name of [link.name, ...link.altNames]) if (this.#byName.get(name) === link) this.#byName.delete(name);
    return true;
  }
}
