/** The nexthop objects in an answer of the main thread (core/context/route_export.ts). Pure; any thread. */
import { ATTRS, ATTRS_ALIGN, AttrsReader } from "../../core/context/attrs.ts";
import { type NexthopObject, readNexthopObject } from "../../core/context/nexthop_object.ts";
import { OBJECT_HEADER } from "../../core/context/route_export.ts";

export interface ListedObject {
  id: number;
  object: NexthopObject;
}

export function readListedObjects(buffer: ArrayBuffer, count: number): ListedObject[] {
  // The reader is made for shared memory, and this is a copy of what was in it.
  const storage = new SharedArrayBuffer(buffer.byteLength);
  new Uint8Array(storage).set(new Uint8Array(buffer));
  const reader = new AttrsReader(storage);
  const objects: ListedObject[] = [];
  for (let index = 0, at = 0; index < count; index++) {
    const id = reader.view.getUint32(at, true);
    at += OBJECT_HEADER;
    objects.push({ id, object: readNexthopObject(reader, at / ATTRS_ALIGN) });
    at += reader.view.getUint32(at + ATTRS.LENGTH, true);
  }
  return objects;
}
