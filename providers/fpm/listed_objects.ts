/** The nexthop objects in an answer of the main thread (core/context/route_export.ts). Pure; any thread. */
import { ATTRS, ATTRS_ALIGN, AttrsReader } from "../../core/context/attrs.ts";
import { type NexthopObject, readNexthopObject } from "../../core/context/nexthop_object.ts";
import { OBJECT_HEADER } from "../../core/context/route_export.ts";

export interface ListedObject {
  id: number;
  object: NexthopObject;
}

export function readListedObjects(buffer: ArrayBuffer, count: number): ListedObject[] {
  const reader = new AttrsReader(buffer);
  const objects: ListedObject[] = [];
  for (let index = 0, at = 0; index < count; index++) {
    const id = reader.view.getUint32(at, true);
    at += OBJECT_HEADER;
    objects.push({ id, object: readNexthopObject(reader, at / ATTRS_ALIGN) });
    at += reader.view.getUint32(at + ATTRS.LENGTH, true);
  }
  return objects;
}
