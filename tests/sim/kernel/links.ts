/**
 * Interfaces and addresses of the model kernel, and what may be reached over them directly. Says what has changed; what
 * that does to routes is for who asked to find out.
 */
import { Family } from "../../../core/model/route.ts";
import { bytesOf, covers, isEqual, type ModelAddress, type ModelLink } from "./model.ts";

export const LOOPBACK_INDEX = 1;

export class Links {
  readonly #links = new Map<number, ModelLink>();
  readonly addresses: ModelAddress[] = [];
  #lastIndex = LOOPBACK_INDEX;

  constructor() {
    const loopback = { ifindex: LOOPBACK_INDEX, name: "lo", peer: 0, up: true, mtu: 65_536, kind: "" };
    this.#links.set(LOOPBACK_INDEX, loopback);
  }

  all(): Iterable<ModelLink> {
    return this.#links.values();
  }

  get(ifindex: number): ModelLink | undefined {
    return this.#links.get(ifindex);
  }

  named(name: string): ModelLink | undefined {
    return [...this.#links.values()].find((link) => link.name === name);
  }

  /** Adds a pair of interfaces, which are down. */
  addPair(name: string, peerName: string): [ModelLink, ModelLink] {
    const peerIndex = ++this.#lastIndex;
    const ifindex = ++this.#lastIndex;
    const link = { ifindex, name, peer: peerIndex, up: false, mtu: 1500, kind: "veth" };
    const peer = { ifindex: peerIndex, name: peerName, peer: ifindex, up: false, mtu: 1500, kind: "veth" };
    this.#links.set(peerIndex, peer);
    this.#links.set(ifindex, link);
    return [link, peer];
  }

  remove(link: ModelLink): void {
    this.#links.delete(link.ifindex);
  }

  hasCarrier(link: ModelLink): boolean {
    return link.up && (link.peer === 0 || this.#links.get(link.peer)?.up === true);
  }

  addressesOf(ifindex: number, family: Family): ModelAddress[] {
    return this.addresses.filter((address) => address.ifindex === ifindex && address.family === family);
  }

  /** `10.0.0.1/24`; null if it is there already. */
  addAddress(ifindex: number, text: string): ModelAddress | null {
    const [address = "", length] = text.split("/");
    const family = address.includes(":") ? Family.IPV6 : Family.IPV4;
    const added = { ifindex, family, address: bytesOf(address), prefixLength: Number(length) };
    if (this.#find(added) !== undefined) return null;
    this.addresses.push(added);
    return added;
  }

  /** Null if there is none. */
  removeAddress(ifindex: number, text: string): ModelAddress | null {
    const [address = "", length] = text.split("/");
    const family = address.includes(":") ? Family.IPV6 : Family.IPV4;
    const found = this.#find({ ifindex, family, address: bytesOf(address), prefixLength: Number(length) });
    if (found === undefined) return null;
    this.addresses.splice(this.addresses.indexOf(found), 1);
    return found;
  }

  #find(wanted: ModelAddress): ModelAddress | undefined {
    return this.addresses.find(
      ({ ifindex, address, prefixLength }) =>
        ifindex === wanted.ifindex && prefixLength === wanted.prefixLength && isEqual(address, wanted.address),
    );
  }

  /** Whether the address is one of the machine's own; on one interface, or on any with 0. */
  isOwn(address: Uint8Array, family: Family, ifindex = 0): boolean {
    return this.addresses.some(
      (own) => own.family === family && (ifindex === 0 || own.ifindex === ifindex) && isEqual(own.address, address),
    );
  }

  /** Interfaces on whose own network the address lies, with the length of the network's prefix, longest first. */
  connected(address: Uint8Array, family: Family): { ifindex: number; prefixLength: number }[] {
    return this.addresses
      .filter(
        (own) =>
          own.family === family &&
          this.#links.get(own.ifindex)?.up === true &&
          covers(own.address, own.prefixLength, address),
      )
      .sort((a, b) => b.prefixLength - a.prefixLength);
  }
}
