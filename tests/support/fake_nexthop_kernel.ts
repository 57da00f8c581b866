/**
 * A kernel in Maps, as the kernel provider sees it: routes and nexthop objects, with what Linux 6.18 does by itself when a
 * link or an object goes. Every object and route in it was written through a dataplane.
 */
import { CONTEXT_BYTES } from "../../core/constants.ts";
import { NO_ATTRS } from "../../core/context/attrs.ts";
import { ContextOp, DplaneError, isNexthopOp, U8, U32 } from "../../core/context/layout.ts";
import { type NexthopObject, NexthopObjectKind, readNexthopObject } from "../../core/context/nexthop_object.ts";
import type { Provider, ProviderIo } from "../../core/dataplane/provider.ts";
import type { HeldNexthopObject } from "../../core/model/kernel_event.ts";
import { updateNumber } from "./updates.ts";

const [ENOENT, EEXIST, EINVAL, EOPNOTSUPP, ENETDOWN] = [2, 17, 22, 95, 100];

/** A route: the number of its object, or its nexthops as text. */
export type FakeRoute = { object: number } | { inline: string };

export class FakeNexthopKernel implements Provider {
  readonly objects = new Map<number, NexthopObject>();
  /** Numbers that somebody else has. */
  readonly foreign = new Set<number>();
  /** Objects of ours that somebody else has replaced, so that they bear his protocol. */
  readonly ofOthers = new Set<number>();
  readonly routes = new Map<number, FakeRoute>();
  readonly downLinks = new Set<number>();
  /** Messages that were obeyed, by kind. */
  readonly messages = { single: 0, group: 0, deleteObject: 0, route: 0, deleteRoute: 0 };
  /** Routes that went without having been asked to, because their object went. */
  dropped = 0;
  /** As before Linux 5.3, where there are none. */
  hasObjects = true;
  /** Writes that were not obeyed. */
  refused = 0;
  /** Routes are written, and the answers kept back. */
  holdsRoutes = false;
  readonly #held: number[] = [];
  #io: ProviderIo | null = null;
  /** Answers a write instead of the kernel, if not null: errno and text. */
  refuse: (object: NexthopObject, id: number) => [number, string] | null = () => null;
  /** Writes are obeyed, and the answers lost. */
  losesAnswers = false;
  /** Called before each write. */
  beforeWrite: () => void = () => {};
  /** Called after each write and before its answer, with the object, or null for any other write. */
  afterWrite: (object: NexthopObject | null) => void = () => {};

  process(io: ProviderIo): void {
    for (let slot = io.dequeue(); slot !== -1; slot = io.dequeue()) {
      this.beforeWrite();
      const [errno, text] = this.#apply(io, slot) ?? [0, ""];
      const attrs = io.contexts.getU32(slot, U32.ATTRS);
      const isObject = io.contexts.getU8(slot, U8.OP) === ContextOp.NEXTHOP_INSTALL;
      this.afterWrite(isObject ? readNexthopObject(io.attrs, attrs) : null);
      if (errno === 0 && this.losesAnswers) io.contexts.fail(slot, DplaneError.NO_ANSWER, "no answer");
      else if (errno === 0) io.contexts.succeed(slot);
      else {
        io.contexts.fail(slot, errno, text);
        this.refused += 1;
      }
      if (!isObject && this.holdsRoutes) this.#held.push(slot);
      else io.enqueue(slot);
    }
    if (!this.holdsRoutes) for (const slot of this.#held.splice(0)) io.enqueue(slot);
    this.#io = io;
  }

  /** Answers about routes that are kept back. */
  get held(): number {
    return this.#held.length;
  }

  /** Gives the answers that were kept back. */
  release(): void {
    this.holdsRoutes = false;
    this.#io?.signalWork();
  }

  /** All objects of ours, as a reading tells them. */
  reading(): HeldNexthopObject[] {
    return Array.from(this.objects, ([id, object]) => ({
      id,
      isOurs: !this.ofOthers.has(id),
      object: structuredClone(object),
    }));
  }

  setLink(ifindex: number, isUp: boolean): void {
    if (isUp) this.downLinks.delete(ifindex);
    else this.downLinks.add(ifindex);
    if (isUp) return;
    for (const [id, object] of [...this.objects]) {
      if (object.kind === NexthopObjectKind.SINGLE && object.nexthop.ifindex === ifindex) this.drop(id);
    }
  }

  /** Deletes an object with all that depends on it. */
  drop(id: number): void {
    if (!this.objects.delete(id)) return;
    for (const [number, route] of [...this.routes]) {
      if (!("object" in route) || route.object !== id) continue;
      this.routes.delete(number);
      this.dropped += 1;
    }
    for (const [groupId, group] of [...this.objects]) {
      if (group.kind === NexthopObjectKind.SINGLE || !group.members.some((member) => member.id === id)) continue;
      group.members = group.members.filter((member) => member.id !== id);
      if (group.members.length === 0) this.drop(groupId);
    }
  }

  #apply(io: ProviderIo, slot: number): [number, string] | null {
    const { contexts, attrs: reader } = io;
    const op = contexts.getU8(slot, U8.OP);
    const id = contexts.getU32(slot, U32.NEXTHOP_ID);
    const attrs = contexts.getU32(slot, U32.ATTRS);
    if (isNexthopOp(op) && !this.hasObjects) return [EOPNOTSUPP, ""];
    if (op === ContextOp.NEXTHOP_DELETE) {
      if (id === 0) return [EINVAL, "Invalid nexthop id"];
      this.messages.deleteObject += 1;
      this.drop(id);
      return null;
    }
    if (op === ContextOp.NEXTHOP_INSTALL) {
      const isKnown = contexts.getU32(slot, U32.OLD_ATTRS) !== NO_ATTRS;
      return this.#install(id, readNexthopObject(reader, attrs), isKnown);
    }
    const number = updateNumber(contexts.u8, slot * CONTEXT_BYTES + U8.PREFIX);
    if (op === ContextOp.ROUTE_DELETE) {
      this.messages.deleteRoute += 1;
      this.routes.delete(number);
      return null;
    }
    // As the kernel provider does it: by the object that stands for the nexthops, and inline where that is not there.
    const shared = reader.object(attrs);
    const object = this.objects.has(shared) ? shared : reader.nexthopGroup(attrs);
    if (object !== 0 && !this.objects.has(object)) return [EINVAL, "Nexthop id does not exist"];
    this.messages.route += 1;
    const gateways: string[] = [];
    for (let index = 0; index < reader.nexthopCount(attrs); index++) {
      const { via, weight } = reader.nexthop(attrs, index);
      gateways.push(`${via[3]}*${weight}`);
    }
    this.routes.set(number, object === 0 ? { inline: gateways.join(" ") } : { object });
    return null;
  }

  #install(id: number, object: NexthopObject, isKnown: boolean): [number, string] | null {
    const refused = this.refuse(object, id);
    if (refused !== null) return refused;
    if (this.foreign.has(id) || (this.ofOthers.has(id) && !isKnown))
      return [EEXIST, `nexthop object ${id} is there already`];
    const held = this.objects.get(id);
    if (isKnown && held === undefined) return [ENOENT, ""];
    if (held !== undefined && !isSameShape(held, object))
      return [EINVAL, "Can not replace a nexthop group with a nexthop"];
    if (object.kind === NexthopObjectKind.SINGLE) {
      if (this.downLinks.has(object.nexthop.ifindex)) return [ENETDOWN, "Carrier for nexthop device is down"];
      this.messages.single += 1;
    } else {
      if (object.members.some((member) => !this.objects.has(member.id))) return [EINVAL, "Invalid nexthop id"];
      if (new Set(object.members.map((member) => member.id)).size < object.members.length)
        return [EINVAL, "Nexthop id can not be used twice in a group"];
      this.messages.group += 1;
    }
    this.objects.set(id, object);
    this.ofOthers.delete(id);
    return null;
  }
}

function isSameShape(a: NexthopObject, b: NexthopObject): boolean {
  if (a.kind === NexthopObjectKind.RESILIENT && b.kind === NexthopObjectKind.RESILIENT) return a.buckets === b.buckets;
  return a.kind === b.kind;
}
