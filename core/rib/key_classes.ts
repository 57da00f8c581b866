/**
 * The part of a route's key that many routes share: family, table, metric and source prefix, kept once and named by a
 * number, so that a route holds three bytes instead of twenty-five. Main thread only. Classes are few (tables times
 * metrics times source prefixes in use) and are kept while any route has them.
 */
import { assert } from "../assert.ts";
import type { Family } from "../model/route.ts";
import { KEY_CLASSES_MAX } from "./route_store.ts";

export interface KeyClass {
  id: number;
  family: Family;
  table: number;
  metric: number;
  /** 16 bytes; all zero where `sourceLength` is 0. */
  source: Uint8Array;
  sourceLength: number;
  routes: number;
  /** Routes by prefix length, so that a lookup asks only for lengths that exist. */
  byLength: Uint32Array;
  /** Its place in the index. */
  name: string;
}

export class KeyClasses {
  readonly #byName = new Map<string, KeyClass>();
  readonly #byId: (KeyClass | undefined)[] = [];
  readonly #free: number[] = [];
  #recent: KeyClass | undefined;

  /** The class with these parts; undefined if no route has them. */
  find(family: Family, table: number, metric: number, source: Uint8Array, sourceLength: number): KeyClass | undefined {
    const recent = this.#recent;
    if (
      recent !== undefined &&
      sourceLength === 0 &&
      recent.sourceLength === 0 &&
      recent.family === family &&
      recent.table === table &&
      recent.metric === metric
    ) {
      return recent;
    }
    const found = this.#byName.get(nameOf(family, table, metric, source, sourceLength));
    if (found !== undefined) this.#recent = found;
    return found;
  }

  /** The class with these parts, made if there is none; undefined if there are too many. */
  intern(
    family: Family,
    table: number,
    metric: number,
    source: Uint8Array,
    sourceLength: number,
  ): KeyClass | undefined {
    let found = this.find(family, table, metric, source, sourceLength);
    if (found === undefined) {
      const name = nameOf(family, table, metric, source, sourceLength);
      const id = this.#free.pop() ?? this.#byId.length;
      if (id > KEY_CLASSES_MAX) return undefined;
      found = {
        id,
        family,
        table,
        metric,
        source: sourceLength === 0 ? new Uint8Array(16) : source.slice(0, 16),
        sourceLength,
        routes: 0,
        byLength: new Uint32Array(129),
        name,
      };
      this.#byId[id] = found;
      this.#byName.set(name, found);
    }
    this.#recent = found;
    return found;
  }

  get(id: number): KeyClass {
    const found = this.#byId[id];
    assert(found !== undefined, "a key class that routes name is in use");
    return found;
  }

  /** A route of this class and prefix length came. */
  countIn(keyClass: KeyClass, prefixLength: number): void {
    keyClass.routes += 1;
    keyClass.byLength[prefixLength]! += 1;
  }

  /** A route went; the last one takes the class along. */
  countOut(keyClass: KeyClass, prefixLength: number): void {
    keyClass.routes -= 1;
    keyClass.byLength[prefixLength]! -= 1;
    if (keyClass.routes === 0) this.drop(keyClass);
  }

  /** Forgets a class that no route has. */
  drop(keyClass: KeyClass): void {
    assert(keyClass.routes === 0, "a class that routes have is kept");
    this.#byName.delete(keyClass.name);
    this.#byId[keyClass.id] = undefined;
    this.#free.push(keyClass.id);
    if (this.#recent === keyClass) this.#recent = undefined;
  }

  /** All classes in use. */
  values(): Iterable<KeyClass> {
    return this.#byName.values();
  }
}

function nameOf(family: Family, table: number, metric: number, source: Uint8Array, sourceLength: number): string {
  return `${family} ${table} ${metric} ${sourceLength === 0 ? "" : `${source.join(".")}/${sourceLength}`}`;
}
