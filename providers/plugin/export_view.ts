/**
 * What the forwarding plane holds as a plugin's `export` sees it, and lists of nexthop objects: made from the answers of the main
 * thread (core/context/route_export.ts), behind a header. In the process of a plugin.
 */
import { ATTRS, ATTRS_ALIGN, AttrsReader } from "../../core/context/attrs.ts";
import { type NexthopObject, readNexthopObject } from "../../core/context/nexthop_object.ts";
import { OBJECT_HEADER, RECORD_ABSENT, RECORD_PENDING } from "../../core/context/route_export.ts";
import { nextRecord, RECORD, RECORD_UNREADABLE } from "../../core/context/route_record.ts";
import { formatPrefix } from "../../core/model/prefix.ts";
import { Family } from "../../core/model/route.ts";
import type { Change, ExportBatch, Route, UpdateJson } from "../../core/plugin/dplaned.d.ts";
import { OBJECTS_PENDING, RECORDS_COUNT, RECORDS_FIRST, RECORDS_FLAGS, RECORDS_LAST } from "./frames.ts";
import { type CopiedAttrs, type RouteViews, routeToJson } from "./route_view.ts";

/** The objects, and the numbers of those of which contexts tell. */
export function readObjects(body: ArrayBuffer): {
  objects: { id: number; object: NexthopObject }[];
  pending: number[];
} {
  const reader = new AttrsReader(body);
  const header = new Uint32Array(body, 0, ATTRS_ALIGN / 4);
  const objects: { id: number; object: NexthopObject }[] = [];
  let at = ATTRS_ALIGN;
  for (let index = 0; index < header[RECORDS_COUNT]!; index++) {
    const id = reader.view.getUint32(at, true);
    at += OBJECT_HEADER;
    objects.push({ id, object: readNexthopObject(reader, at / ATTRS_ALIGN) });
    at += reader.view.getUint32(at + ATTRS.LENGTH, true);
  }
  return { objects, pending: [...new Uint32Array(body, at, header[OBJECTS_PENDING]!)] };
}

export function readRoutes(body: ArrayBuffer, views: RouteViews): ExportBatch {
  const reader = new AttrsReader(body);
  const header = new Uint32Array(body, 0, ATTRS_ALIGN / 4);
  const changes: Change[] = [];
  let at = ATTRS_ALIGN;
  for (let index = 0; index < header[RECORDS_COUNT]!; index++) {
    // Of one that is being written it is told when that has its result; and what cannot be said is not told.
    const isTold = (reader.u8[at + RECORD.FLAGS]! & (RECORD_PENDING | RECORD_UNREADABLE)) === 0;
    if (isTold) changes.push(new ChangeView(reader, at, views));
    at = nextRecord(reader.view, at);
  }
  const flags = header[RECORDS_FLAGS]!;
  return { changes, isFirst: (flags & RECORDS_FIRST) !== 0, isLast: (flags & RECORDS_LAST) !== 0 };
}

class ChangeView implements Change {
  readonly family: 4 | 6;
  readonly prefix: string;
  readonly address: Uint8Array;
  readonly prefixLength: number;
  readonly source: string | undefined;
  readonly table: number;
  readonly metric: number;
  readonly route: Route | undefined;

  constructor(reader: CopiedAttrs, at: number, views: RouteViews) {
    const { u8, view } = reader;
    const family = u8[at + RECORD.FAMILY]! as Family;
    const sourceLength = u8[at + RECORD.SOURCE_LENGTH]!;
    this.family = family === Family.IPV6 ? 6 : 4;
    this.prefixLength = u8[at + RECORD.PREFIX_LENGTH]!;
    this.prefix = formatPrefix(family, u8, at + RECORD.PREFIX, this.prefixLength);
    this.address = u8.slice(at + RECORD.PREFIX, at + RECORD.PREFIX + (family === Family.IPV6 ? 16 : 4));
    this.source = sourceLength === 0 ? undefined : formatPrefix(family, u8, at + RECORD.SOURCE, sourceLength);
    this.table = view.getUint32(at + RECORD.TABLE, true);
    this.metric = view.getUint32(at + RECORD.METRIC, true);
    const isAbsent = (u8[at + RECORD.FLAGS]! & RECORD_ABSENT) !== 0;
    this.route = isAbsent ? undefined : views.route(reader, (at + RECORD.ATTRS) / ATTRS_ALIGN);
  }

  toJSON(): UpdateJson {
    const { route, source } = this;
    return {
      op: route === undefined ? "delete" : "install",
      prefix: this.prefix,
      ...(source === undefined ? {} : { source }),
      table: this.table,
      metric: this.metric,
      ...(route === undefined ? {} : routeToJson(route)),
    };
  }
}
