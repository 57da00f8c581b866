/**
 * What the forwarding plane holds, for providers that export it: answers their questions (core/context/route_export.ts),
 * and tells them when something has changed that no context has told them. Main thread only.
 *
 * Contexts tell a provider of nearly everything, but not of what the kernel was found to hold or to have lost, nor of
 * what was there before the provider's thread began; and a provider whose peer does not read must be able to forget what
 * it heard and ask again. A route of which a write is under way is not told: what would be told is old when it arrives.
 * It is remembered, and told with the next changes when the write has its result.
 */
import { ATTRS, attrsLength, encodeAttrs, NO_ATTRS } from "../context/attrs.ts";
import type { Contexts } from "../context/contexts.ts";
import { ContextFlag, U8, U32 } from "../context/layout.ts";
import { type NexthopObject, nexthopObjectUpdate } from "../context/nexthop_object.ts";
import {
  EXPORT_BYTES,
  EXPORT_OBJECTS_MAX,
  type ExportAnswer,
  type ExportQuestion,
  OBJECT_HEADER,
  RECORD_ABSENT,
  RECORD_PENDING,
  RecordWriter,
} from "../context/route_export.ts";
import { RECORD } from "../context/route_record.ts";
import { Family } from "../model/route.ts";
import type { KeyClass } from "./key_classes.ts";
import type { NexthopGroups } from "./nexthop_groups.ts";
import { groupObject, singleObject } from "./nexthop_objects.ts";
import { Outcome, type RibObserver } from "./outcome.ts";
import type { Rib } from "./rib.ts";
import { RouteSet } from "./route_set.ts";
import { NO_ROUTE, RouteState, type RouteStore } from "./route_store.ts";

/** Numbers that one step of a walk looks at; many of them may be free. */
const WALK_NUMBERS_MAX = 16_384;
/** What an answer has room for at first, if it is not to be a long one. */
const SHORT_ANSWER_BYTES = 8 << 10;
const SHORT_ANSWER_ROUTES = 32;
/** Pause before objects are told again that were being written when they were told. */
const OBJECTS_PAUSE_MS = 1000;
const FAMILIES = [Family.IPV4, Family.IPV6] as const;

/** Sends an answer to a provider. */
export type TellExporter = (id: number, answer: ExportAnswer, transfer?: readonly ArrayBuffer[]) => void;

type Question = Exclude<ExportQuestion, { type: "begin" }>;

/** One exporting provider. */
interface Subscriber {
  id: number;
  /** What is wanted is told where the kernel has refused it. */
  wantsFailed: boolean;
  /** Of which routes it is told that they have changed. */
  routes: "untold" | "all" | "none";
  /** Routes to tell of, and routes of which the result of a write is waited for. */
  changed: RouteSet;
  awaited: RouteSet;
  /** Keys to tell of whose routes have no number any more, by their bytes as text. */
  gone: Map<string, Uint8Array>;
  awaitedObjects: Set<number>;
  areObjectsChanged: boolean;
  /** Numbers of the objects that are being told, as of the first answer about them. */
  objectIds: number[];
  isNoticeDue: boolean;
  /** A question from before {@linkcode RouteExport.open}. */
  held: Question | null;
}

export class RouteExport implements RibObserver {
  readonly #rib: Rib;
  readonly #groups: NexthopGroups;
  readonly #tell: TellExporter;
  readonly #subscribers = new Map<number, Subscriber>();
  #isOpen = false;

  constructor(rib: Rib, groups: NexthopGroups, tell: TellExporter) {
    this.#rib = rib;
    this.#groups = groups;
    this.#tell = tell;
    rib.observe(this);
    groups.objects.onFound = () => this.#onObjects();
    groups.writer.onSettled = (id) => this.#onObjectSettled(id);
  }

  /** The RIB knows what the kernel held at the start: questions are answered from now on. */
  open(): void {
    this.#isOpen = true;
    for (const subscriber of this.#subscribers.values()) {
      const { held } = subscriber;
      subscriber.held = null;
      if (held !== null) this.#answer(subscriber, held);
    }
  }

  /** Has a provider send everything again; all of them without a number. */
  replay(id?: number): void {
    for (const each of this.#subscribers.keys())
      if (id === undefined || id === each) this.#tell(each, { type: "replay" });
  }

  /** Takes what a provider has told; what is no question of an exporter is nobody's here. */
  onMessage(id: number, question: ExportQuestion): void {
    if (question.type === "begin") {
      this.#subscribers.set(id, createSubscriber(id, question.wantsFailed, question.routes));
      return;
    }
    const subscriber = this.#subscribers.get(id);
    if (subscriber === undefined) return;
    if (this.#isOpen) this.#answer(subscriber, question);
    else subscriber.held = question;
  }

  onOutcome(slot: number, outcome: Outcome, contexts: Contexts): void {
    if (this.#subscribers.size === 0) return;
    const family = contexts.getU8(slot, U8.FAMILY) as Family;
    const route = contexts.getU32(slot, U32.ENTRY);
    for (const subscriber of this.#subscribers.values()) {
      const isAwaited = subscriber.awaited.size > 0 && subscriber.awaited.has(family, route);
      // A provider behind the exporter may have failed what was exported already.
      const isUntold = isAwaited || outcome === Outcome.FIB_FAILED;
      // Of an update that is held another owner's route may have been written, and of one that never went out none.
      const isWritten = !contexts.hasFlag(slot, ContextFlag.HELD);
      if (isUntold || (subscriber.routes === "all" && isWritten)) this.#mark(subscriber, family, route);
    }
  }

  onFound(family: Family, route: number): void {
    // Nothing was told yet that could be news.
    if (!this.#isOpen) return;
    for (const subscriber of this.#subscribers.values()) this.#mark(subscriber, family, route);
  }

  onForget(family: Family, route: number): void {
    for (const subscriber of this.#subscribers.values()) {
      const wasFailed = subscriber.wantsFailed && this.#rib.store(family).state(route) === RouteState.FAILED;
      if (!wasFailed && !subscriber.changed.has(family, route)) continue;
      subscriber.changed.delete(family, route);
      const key = new Uint8Array(RECORD.ATTRS);
      this.#putKey(key, new DataView(key.buffer), 0, family, this.#rib.store(family), route);
      subscriber.gone.set(key.join(), key);
      this.#noticeLater(subscriber);
    }
  }

  #mark(subscriber: Subscriber, family: Family, route: number): void {
    if (subscriber.routes === "none") return;
    subscriber.awaited.delete(family, route);
    if (subscriber.changed.add(family, route)) this.#noticeLater(subscriber);
  }

  #onObjects(): void {
    for (const subscriber of this.#subscribers.values()) {
      subscriber.areObjectsChanged = true;
      this.#noticeLater(subscriber);
    }
  }

  #onObjectSettled(id: number): void {
    for (const subscriber of this.#subscribers.values()) {
      if (!subscriber.awaitedObjects.delete(id)) continue;
      // A context mostly tells of it, but not of a refusal. Not at once: where groups change all the time, there are always some.
      this.#rib.clock.setTimeout(() => this.#onObjects(), OBJECTS_PAUSE_MS).unref();
    }
  }

  /** Tells once, however much changes, that there is something to ask for; until the provider has asked. */
  #noticeLater(subscriber: Subscriber): void {
    if (subscriber.isNoticeDue) return;
    subscriber.isNoticeDue = true;
    void this.#rib.clock.turn().then(() => {
      subscriber.isNoticeDue = false;
      if (this.#subscribers.get(subscriber.id) !== subscriber) return;
      const routes = subscriber.changed.size > 0 || subscriber.gone.size > 0;
      const objects = subscriber.areObjectsChanged;
      subscriber.areObjectsChanged = false;
      if (routes || objects) this.#tell(subscriber.id, { type: "changed", routes, objects });
    });
  }

  #answer(subscriber: Subscriber, question: Question): void {
    if (question.type === "objects") return this.#answerObjects(subscriber, question.token, question.from);
    const isLong = question.type === "walk" || (question.type === "keys" && question.count > SHORT_ANSWER_ROUTES);
    const writer = new RecordWriter(isLong ? EXPORT_BYTES + SHORT_ANSWER_BYTES : SHORT_ANSWER_BYTES);
    let next = 0;
    if (question.type === "walk") next = this.#walk(subscriber, writer, question.family, question.from);
    else if (question.type === "keys") this.#lookUp(subscriber, writer, question.keys, question.count);
    else next = this.#takeChanges(subscriber, writer);
    const { count, length } = writer;
    const records = writer.take();
    const answer: ExportAnswer = { type: "routes", token: question.token, records, length, count, next };
    this.#tell(subscriber.id, answer, [records]);
  }

  /** Writes the routes from a number on, and returns the number to go on with; 0 at the end. */
  #walk(subscriber: Subscriber, writer: RecordWriter, family: Family, from: number): number {
    const store = this.#rib.store(family);
    const end = Math.min(store.last, from + WALK_NUMBERS_MAX - 1);
    for (let route = Math.max(1, from); route <= end; route++) {
      if (writer.isFull) return route;
      if (store.isUsed(route)) this.#putRoute(subscriber, writer, family, store, route, false);
    }
    return end < store.last ? end + 1 : 0;
  }

  /** A record for each key, in their order, as far as the answer goes. */
  #lookUp(subscriber: Subscriber, writer: RecordWriter, keys: ArrayBuffer, count: number): void {
    const bytes = new Uint8Array(keys);
    const view = new DataView(keys);
    for (let index = 0; index < count && !writer.isFull; index++) {
      this.#putKeyed(subscriber, writer, bytes, view, index * RECORD.ATTRS);
    }
    // Freed now: until a full collection, those of a million routes would lie about.
    keys.transfer(0);
  }

  #putKeyed(subscriber: Subscriber, writer: RecordWriter, bytes: Uint8Array, view: DataView, offset: number): void {
    const family = bytes[offset + RECORD.FAMILY] as Family;
    const route = this.#rib.findRecord(bytes, view, offset);
    if (route !== NO_ROUTE) {
      this.#putRoute(subscriber, writer, family, this.#rib.store(family), route, true);
      return;
    }
    const at = writer.add(this.#rib.attrs.reader, NO_ATTRS, RECORD_ABSENT);
    for (let index = 0; index < RECORD.ATTRS; index++) {
      if (index !== RECORD.FLAGS) writer.bytes[at + index] = bytes[offset + index]!;
    }
  }

  /** 1 if there are more. */
  #takeChanges(subscriber: Subscriber, writer: RecordWriter): number {
    for (const [name, key] of subscriber.gone) {
      if (writer.isFull) return 1;
      subscriber.gone.delete(name);
      this.#putKeyed(subscriber, writer, key, new DataView(key.buffer), 0);
    }
    const { changed } = subscriber;
    for (const family of FAMILIES) {
      for (let route = changed.next(family, 1); route !== NO_ROUTE; route = changed.next(family, route + 1)) {
        if (writer.isFull) return 1;
        changed.delete(family, route);
        this.#putRoute(subscriber, writer, family, this.#rib.store(family), route, true);
      }
    }
    return 0;
  }

  /** Appends a route's record; of one that is not there only where that `isAsked`. */
  #putRoute(
    subscriber: Subscriber,
    writer: RecordWriter,
    family: Family,
    store: RouteStore,
    route: number,
    isAsked: boolean,
  ): void {
    let flags = 0;
    let attrs = NO_ATTRS;
    if (store.isInFlight(route)) {
      flags = RECORD_PENDING;
      subscriber.awaited.add(family, route);
    } else {
      attrs = this.#exported(subscriber, store, route);
      if (attrs === NO_ATTRS) {
        if (!isAsked) return;
        flags = RECORD_ABSENT;
      }
    }
    const at = writer.add(this.#rib.attrs.reader, attrs, flags);
    this.#putKey(writer.bytes, writer.view, at, family, store, route);
  }

  /** What is told of a route: what the kernel holds, or what it has refused to. */
  #exported({ wantsFailed }: Subscriber, store: RouteStore, route: number): number {
    if (!wantsFailed || store.state(route) !== RouteState.FAILED) return store.programmed(route);
    return this.#rib.target(store, route) || store.programmed(route);
  }

  #putKey(bytes: Uint8Array, view: DataView, at: number, family: Family, store: RouteStore, route: number): void {
    const { table, metric, source, sourceLength }: KeyClass = this.#rib.keyClass(store, route);
    bytes[at + RECORD.FAMILY] = family;
    bytes[at + RECORD.PREFIX_LENGTH] = store.prefixLength(route);
    bytes[at + RECORD.SOURCE_LENGTH] = sourceLength;
    view.setUint32(at + RECORD.TABLE, table, true);
    view.setUint32(at + RECORD.METRIC, metric, true);
    store.address(route, bytes, at + RECORD.PREFIX);
    if (sourceLength > 0) bytes.set(source, at + RECORD.SOURCE);
  }

  #answerObjects(subscriber: Subscriber, token: number, from: number): void {
    const { objects, writer } = this.#groups;
    if (from === 0) {
      subscriber.areObjectsChanged = false;
      subscriber.objectIds = [
        ...Array.from(objects.singles(), ({ id }) => id),
        ...Array.from(objects.groups(), ({ id }) => id),
      ];
    }
    const { objectIds } = subscriber;
    const end = Math.min(objectIds.length, from + EXPORT_OBJECTS_MAX);
    const parts: { id: number; object: NexthopObject }[] = [];
    for (const id of objectIds.slice(from, end)) {
      const object = writer.underWay.has(id) ? null : this.#heldObject(id);
      if (object !== null) parts.push({ id, object });
    }
    const isLast = end === objectIds.length;
    const pending = [...writer.underWay];
    for (const id of pending) subscriber.awaitedObjects.add(id);
    const buffer = encodeObjects(parts);
    const next = isLast ? 0 : end;
    this.#tell(subscriber.id, { type: "objects", token, objects: buffer, count: parts.length, next, pending }, [
      buffer,
    ]);
  }

  /** What the kernel holds under the number; null for nothing. */
  #heldObject(id: number): NexthopObject | null {
    const { objects } = this.#groups;
    const single = objects.single(id);
    if (single !== undefined) return single.isHeld || single.groups.size > 0 ? singleObject(single) : null;
    const group = objects.group(id);
    return group === undefined || group.members.length === 0 ? null : groupObject(group.resilient, group.members);
  }
}

function createSubscriber(id: number, wantsFailed: boolean, routes: Subscriber["routes"]): Subscriber {
  return {
    id,
    wantsFailed,
    routes,
    changed: new RouteSet(),
    awaited: new RouteSet(),
    gone: new Map(),
    awaitedObjects: new Set(),
    areObjectsChanged: false,
    objectIds: [],
    isNoticeDue: false,
    held: null,
  };
}

/** Objects in a row: the number, and from OBJECT_HEADER on a record of attributes. */
function encodeObjects(parts: readonly { id: number; object: NexthopObject }[]): ArrayBuffer {
  const updates = parts.map(({ object }) => nexthopObjectUpdate(object));
  const length = updates.reduce((sum, update) => sum + OBJECT_HEADER + attrsLength(update), 0);
  const bytes = new Uint8Array(Math.max(length, OBJECT_HEADER));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [index, { id }] of parts.entries()) {
    view.setUint32(at, id, true);
    encodeAttrs(view, bytes, at + OBJECT_HEADER, updates[index]!);
    at += OBJECT_HEADER + view.getUint32(at + OBJECT_HEADER + ATTRS.LENGTH, true);
  }
  return bytes.buffer;
}
