/**
 * What the peer is to know, and what it was told: sends what contexts say while there is room for it, and otherwise
 * remembers only of which routes; these it asks the main thread for (core/context/route_export.ts) when the peer reads
 * again. So nothing waits here but a bit for each route, however long the peer does not read. The thread of the FPM
 * provider.
 *
 * On a new connection: all nexthop objects are asked for and sent, then all routes, then those are looked at that the peer
 * was told of earlier and that did not come by.
 */
import { ATTRS, type AttrsReader } from "../../core/context/attrs.ts";
import type { NexthopObject } from "../../core/context/nexthop_object.ts";
import {
  EXPORT_ROUTES_MAX,
  type ExportAnswer,
  type ExportQuestion,
  RECORD_ABSENT,
  RECORD_ATTRS_EPOCH,
  RECORD_ATTRS_NUMBER,
  RECORD_PENDING,
} from "../../core/context/route_export.ts";
import { nextRecord, RECORD } from "../../core/context/route_record.ts";
import { Family } from "../../core/model/route.ts";
import type { FpmCounters } from "./counters.ts";
import { readListedObjects } from "./listed_objects.ts";
import type { NexthopTable } from "./nexthop_table.ts";
import type { OutputBuffer } from "./output.ts";
import type { RouteEncoder } from "./route_encoder.ts";
import { RouteKey } from "./route_key.ts";
import { DELETED, KEPT, NO_ENTRY, PENDING, SEEN, TOLD, ToldTable, UNRESOLVED } from "./told_table.ts";

/** Where the connection stands: none; nexthop objects are asked for; routes are; all was sent. */
type Phase = "off" | "objects" | "walk" | "stream";

export interface ExporterParts {
  nexthops: NexthopTable;
  encoder: RouteEncoder;
  output: OutputBuffer;
  counters: FpmCounters;
  ask: (question: ExportQuestion, transfer?: readonly ArrayBuffer[]) => void;
  /** Everything was sent once in this connection. */
  onReplayed: () => void;
}

export class Exporter {
  readonly #parts: ExporterParts;
  /** Routes that the peer has on each nexthop object. */
  readonly #objectUsers = new Map<number, number>();
  readonly #ipv4 = new ToldTable(Family.IPV4, this.#objectUsers);
  readonly #ipv6 = new ToldTable(Family.IPV6, this.#objectUsers);
  readonly #tables = [this.#ipv4, this.#ipv6];
  readonly #key = new RouteKey();
  #phase: Phase = "off";
  /** Of the question under way; answers with another are from an earlier connection. */
  #token = 0;
  #asking: ExportQuestion["type"] | null = null;
  #askedTable = this.#ipv4;
  /** Entries whose keys are asked for, in the order of the answer. */
  #asked: number[] = [];
  /** Entries of which contexts have told since the question; by family. */
  readonly #touched = new Map([
    [this.#ipv4, new Set<number>()],
    [this.#ipv6, new Set<number>()],
  ]);
  #objectsFrom = 0;
  #areObjectsDue = false;
  #areChangesDue = false;
  #walkFamily: Family = Family.IPV4;
  #walkFrom = 1;
  #wasFull = false;

  constructor(parts: ExporterParts) {
    this.#parts = parts;
  }

  /** There is a connection. */
  connect(): void {
    if (this.#phase === "off") for (const table of this.#tables) table.suspectDeleted();
    this.#phase = "objects";
    this.#token += 1;
    this.#asking = null;
    this.#settleTouched();
    this.#objectsFrom = 0;
    this.#areObjectsDue = true;
    this.#parts.nexthops.beginConnection();
    for (const table of this.#tables) {
      forEachEntry(table, (entry) => table.setBits(entry, table.bits(entry) & ~(SEEN | PENDING)));
    }
    this.#parts.counters.add("replays");
    this.#parts.counters.setState("replaying");
    this.pump();
  }

  /** There is none any more. What the peer was told is remembered, what it is to be told is not: the next replay has it. */
  disconnect(): void {
    this.#phase = "off";
    this.#token += 1;
    this.#asking = null;
    for (const table of this.#tables) {
      this.#touched.get(table)!.clear();
      table.suspectDeleted();
      forEachEntry(table, (entry) => {
        table.clearDirty(entry);
        if ((table.bits(entry) & TOLD) === 0) table.remove(entry);
      });
    }
    this.#parts.counters.setState("connecting");
    this.#publish();
  }

  /** Sends everything again, if there is a connection; else that is done anyway when there is one. */
  replay(): void {
    if (this.#phase !== "off") this.connect();
  }

  /** Contexts of routes tell what to send: before, the replay has yet to come by them. */
  get #isSending(): boolean {
    return this.#phase === "walk" || this.#phase === "stream";
  }

  /** A context says that the kernel holds this nexthop object; null for nothing. */
  onObject(id: number, object: NexthopObject | null): void {
    const { nexthops, output } = this.#parts;
    nexthops.onContext(id, object);
    // A route on it may come next.
    if (this.#isSending && output.hasRoom) nexthops.send(output);
  }

  /** A context says that the kernel holds this route with these attributes of the arena. */
  onInstall(key: RouteKey, reader: AttrsReader, attrs: number): void {
    if (!this.#isSending) return;
    const table = this.#table(key.family);
    if (!this.#canSend()) {
      this.#touch(table, table.findOrInsert(key));
      this.#put(table, key);
      return;
    }
    const entry = this.#send(table, key, reader.u8, reader.offset(attrs), attrs, reader.epoch(attrs));
    if (entry === NO_ENTRY && this.#asking !== null) this.#touch(table, table.findOrInsert(key));
    else this.#touch(table, entry);
  }

  /** A context says that the kernel does not hold this route. */
  onDelete(key: RouteKey): void {
    const table = this.#table(key.family);
    if (!this.#isSending) return this.#noteDelete(table, table.findOrInsert(key));
    if (!this.#canSend()) {
      const entry = table.findOrInsert(key);
      this.#touch(table, entry);
      // An earlier life may have told of it.
      table.setBits(entry, table.bits(entry) | TOLD);
      this.#put(table, key);
      return;
    }
    const entry = table.findOrInsert(key);
    this.#touch(table, entry);
    this.#sendDelete(table, key, entry);
  }

  /**
   * The replay will not come by this route. An earlier life of this thread may have told the peer of it, so it is looked at
   * after the replay; without a connection only the latest ones are, for there may never be one.
   */
  #noteDelete(table: ToldTable, entry: number): void {
    if (this.#phase === "objects") table.setBits(entry, TOLD);
    else if ((table.bits(entry) & TOLD) === 0) table.setDeleted(entry);
  }

  /** What the kernel holds of this route is to be asked for. */
  mark(key: RouteKey): void {
    if (this.#isSending) this.#put(this.#table(key.family), key);
  }

  /** What the kernel holds of nexthop objects is to be asked for. */
  markObjects(): void {
    if (this.#asking === "objects") this.#token += 1;
    if (this.#asking === "objects") this.#asking = null;
    this.#areObjectsDue = true;
    this.#objectsFrom = 0;
  }

  #put(table: ToldTable, key: RouteKey): void {
    const entry = table.findOrInsert(key);
    table.setDirty(entry);
    table.setBits(entry, table.bits(entry) | SEEN);
  }

  #canSend(): boolean {
    const { output, counters } = this.#parts;
    const isFull = !output.hasRoom;
    if (isFull && !this.#wasFull) counters.add("bufferFull");
    this.#wasFull = isFull;
    return !isFull;
  }

  /** An answer that is under way may be older than what a context has told of this entry. */
  #touch(table: ToldTable, entry: number): void {
    if (this.#asking !== null && entry !== NO_ENTRY) this.#touched.get(table)!.add(entry);
  }

  #table(family: Family): ToldTable {
    return family === Family.IPV6 ? this.#ipv6 : this.#ipv4;
  }

  /** Sends one route; returns its entry, NO_ENTRY where the peer is told nothing of it. */
  #send(table: ToldTable, key: RouteKey, bytes: Uint8Array, offset: number, attrs: number, epoch: number): number {
    const { encoder, output, counters } = this.#parts;
    const prepared = encoder.prepare(bytes, offset, attrs, epoch);
    if (prepared === null) return this.#setUnresolved(table, key, bytes, offset);
    if (!encoder.putNew(output, key, prepared)) {
      counters.add("routesDropped");
      const before = table.find(key);
      if (before === NO_ENTRY) return NO_ENTRY;
      // It was told in another form that the peer understood.
      if ((table.bits(before) & TOLD) !== 0) this.#sendDelete(table, key, before);
      else if (this.#asking === null && (table.bits(before) & DELETED) === 0) {
        table.remove(before);
        return NO_ENTRY;
      }
      return before;
    }
    counters.add("routesSent");
    const entry = table.findOrInsert(key);
    table.clearDirty(entry);
    table.setBits(entry, TOLD | SEEN);
    table.setProtocol(entry, prepared.protocol);
    table.setObject(entry, prepared.object);
    return entry;
  }

  #setUnresolved(table: ToldTable, key: RouteKey, bytes: Uint8Array, offset: number): number {
    const entry = table.findOrInsert(key);
    table.clearDirty(entry);
    const kept = table.bits(entry) & (TOLD | DELETED);
    table.setBits(entry, kept | SEEN | UNRESOLVED);
    // What the peer was told earlier may be by another object, which it needs for it.
    if ((kept & TOLD) !== 0) return entry;
    const at = offset + ATTRS.NEXTHOP_GROUP;
    table.setObject(
      entry,
      (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0,
    );
    return entry;
  }

  /** Tells the peer to delete a route, also one that it may not have. */
  #sendDelete(table: ToldTable, key: RouteKey, entry: number): void {
    const { encoder, output, counters } = this.#parts;
    if (encoder.putDelete(output, key, table.protocol(entry))) counters.add("routeDeletesSent");
    table.setDeleted(entry);
  }

  /** Takes a message of the main thread. */
  onAnswer(answer: ExportAnswer): void {
    if (answer.type === "changed") {
      this.#areChangesDue ||= answer.routes;
      if (answer.objects) this.markObjects();
    } else if (answer.type === "replay") this.replay();
    else if (answer.token !== this.#token || this.#asking === null) return;
    else if (answer.type === "objects") this.#onObjects(answer);
    else this.#onRoutes(answer);
    this.pump();
  }

  #onObjects(answer: Extract<ExportAnswer, { type: "objects" }>): void {
    const { nexthops } = this.#parts;
    this.#asking = null;
    this.#settleTouched();
    nexthops.onPending(answer.pending);
    for (const { id, object } of readListedObjects(answer.objects, answer.count)) nexthops.onListed(id, object);
    this.#objectsFrom = answer.next;
    if (answer.next !== 0) return;
    nexthops.endList();
    this.#areObjectsDue = false;
    if (this.#phase !== "objects") return;
    this.#phase = "walk";
    this.#walkFamily = Family.IPV4;
    this.#walkFrom = 1;
  }

  #onRoutes({ records, count, next }: Extract<ExportAnswer, { type: "routes" }>): void {
    const what = this.#asking;
    const bytes = new Uint8Array(records);
    const view = new DataView(records);
    for (let index = 0, at = 0; index < count; index++, at = nextRecord(view, at)) this.#onRecord(bytes, view, at);
    // Freed now: until a full collection, those of a million routes would lie about.
    records.transfer(0);
    if (what === "keys") {
      // Those that had no place in the answer.
      for (const entry of this.#asked.slice(count)) {
        if (this.#askedTable.isUsed(entry)) this.#askedTable.setDirty(entry);
      }
      this.#asked = [];
    } else if (what === "changes") this.#areChangesDue = next !== 0;
    this.#asking = null;
    this.#settleTouched();
    if (what !== "walk") return;
    this.#walkFrom = next;
    if (next !== 0) return;
    if (this.#walkFamily === Family.IPV4) {
      this.#walkFamily = Family.IPV6;
      this.#walkFrom = 1;
    } else this.#endWalk();
  }

  #onRecord(bytes: Uint8Array, view: DataView, at: number): void {
    const key = this.#key;
    key.fromRecord(bytes, view, at);
    const table = this.#table(key.family);
    const entry = table.find(key);
    if (entry !== NO_ENTRY && this.#touched.get(table)!.has(entry)) return;
    const flags = bytes[at + RECORD.FLAGS]!;
    if (!this.#parts.output.hasRoom) this.#put(table, key);
    else if ((flags & RECORD_PENDING) !== 0) {
      if (entry === NO_ENTRY) return;
      if ((table.bits(entry) & KEPT) === 0 && !table.isDirty(entry)) table.remove(entry);
      else table.setBits(entry, table.bits(entry) | SEEN | PENDING);
    } else if ((flags & RECORD_ABSENT) !== 0) {
      if (entry === NO_ENTRY) return;
      if ((table.bits(entry) & TOLD) !== 0) this.#sendDelete(table, key, entry);
      else if ((table.bits(entry) & DELETED) === 0) table.remove(entry);
    } else {
      const attrs = view.getUint32(at + RECORD_ATTRS_NUMBER, true);
      this.#send(table, key, bytes, at + RECORD.ATTRS, attrs, view.getUint32(at + RECORD_ATTRS_EPOCH, true));
    }
  }

  /** Forgets entries that were only there to be known as touched. */
  #settleTouched(): void {
    for (const [table, entries] of this.#touched) {
      for (const entry of entries) {
        const isKept = !table.isUsed(entry) || table.isDirty(entry) || (table.bits(entry) & KEPT) !== 0;
        if (!isKept) table.remove(entry);
      }
      entries.clear();
    }
  }

  /** The replay has come by all routes: what it did not come by, the peer may hold from earlier. */
  #endWalk(): void {
    this.#phase = "stream";
    for (const table of this.#tables) {
      forEachEntry(table, (entry) => {
        const bits = table.bits(entry);
        if ((bits & SEEN) !== 0) return;
        if ((bits & TOLD) !== 0) table.setDirty(entry);
        else if (!table.isDirty(entry) && (bits & DELETED) === 0) table.remove(entry);
      });
    }
    this.#parts.counters.setState("connected");
    this.#parts.onReplayed();
  }

  /** Goes on with what is to be sent, as far as there is room, and asks for more if there is plenty. */
  pump(): void {
    const { nexthops, output } = this.#parts;
    if (this.#phase !== "off") {
      nexthops.send(output);
      this.#findAffected();
      if (this.#asking === null && output.isLow && !nexthops.hasDirty) this.#askNext();
      output.flush();
    }
    this.#publish();
  }

  /** Marks the routes on nexthop objects that have become something else, or that are known now. */
  #findAffected(): void {
    const { affected, appeared } = this.#parts.nexthops;
    if (affected.size === 0 && appeared.size === 0) return;
    for (const table of this.#tables) {
      if (affected.size === 0 && table.unresolvedCount === 0) continue;
      forEachEntry(table, (entry) => {
        const object = table.object(entry);
        const bits = table.bits(entry);
        const isWaiting = (bits & UNRESOLVED) !== 0 && (appeared.has(object) || (bits & TOLD) !== 0);
        if (isWaiting || affected.has(object)) table.setDirty(entry);
      });
    }
    affected.clear();
    appeared.clear();
  }

  #askNext(): void {
    const { nexthops, output } = this.#parts;
    if (this.#areObjectsDue) {
      if (this.#objectsFrom === 0) nexthops.beginList();
      this.#ask({ type: "objects", token: this.#token, from: this.#objectsFrom });
    } else if (this.#phase === "walk") {
      this.#ask({ type: "walk", token: this.#token, family: this.#walkFamily, from: this.#walkFrom });
    } else if (this.#ipv4.dirtyCount > 0) this.#askKeys(this.#ipv4);
    else if (this.#ipv6.dirtyCount > 0) this.#askKeys(this.#ipv6);
    else if (this.#areChangesDue) this.#ask({ type: "changes", token: this.#token });
    else if (nexthops.hasRetired && this.#ipv4.pendingCount + this.#ipv6.pendingCount === 0) {
      nexthops.sendDeletions(output, (object) => this.#objectUsers.has(object));
    }
  }

  #askKeys(table: ToldTable): void {
    const count = Math.min(table.dirtyCount, EXPORT_ROUTES_MAX);
    const bytes = new Uint8Array(count * RECORD.ATTRS);
    const view = new DataView(bytes.buffer);
    this.#asked = [];
    this.#askedTable = table;
    for (let entry = table.nextDirty(0); entry !== NO_ENTRY; entry = table.nextDirty(entry + 1)) {
      table.readKey(entry, this.#key);
      this.#key.toRecord(bytes, view, this.#asked.length * RECORD.ATTRS);
      table.clearDirty(entry);
      if (this.#asked.push(entry) === count) break;
    }
    this.#ask({ type: "keys", token: this.#token, keys: bytes.buffer, count }, [bytes.buffer]);
  }

  #ask(question: ExportQuestion, transfer: readonly ArrayBuffer[] = []): void {
    this.#asking = question.type;
    this.#parts.ask(question, transfer);
  }

  #publish(): void {
    const { counters, output } = this.#parts;
    counters.setWithMax("outputBytes", "outputBytesMax", output.buffered);
    const queued = this.#ipv4.dirtyCount + this.#ipv6.dirtyCount;
    counters.setWithMax("routesQueued", "routesQueuedMax", queued);
    counters.set("routesHeld", this.#ipv4.toldCount + this.#ipv6.toldCount);
    counters.set("routesUnresolved", this.#ipv4.unresolvedCount + this.#ipv6.unresolvedCount);
  }
}

function forEachEntry(table: ToldTable, visit: (entry: number) => void): void {
  for (let entry = 1; entry <= table.last; entry++) if (table.isUsed(entry)) visit(entry);
}
