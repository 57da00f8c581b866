/**
 * What interfaces and owners are called, in memory that the providers' threads read: contexts name both by number, and a plugin
 * wants to be told by name. It is written before anything with a new number is admitted. Main thread.
 */

import type { LinkTable } from "../model/link_table.ts";
import { createSharedTextStorage, SharedTextWriter } from "../model/shared_text.ts";
import type { Owners } from "../rib/owners.ts";

const BYTES = 256 << 10;

export function createNamesStorage(): SharedArrayBuffer {
  return createSharedTextStorage(BYTES);
}

/** Keeps the names in `storage` up to date. */
export function shareNames(storage: SharedArrayBuffer, links: LinkTable, owners: Owners): void {
  const writer = new SharedTextWriter(storage);
  const write = (): void => {
    const names = {
      links: Object.fromEntries(Array.from(links.links(), ({ ifindex, name }) => [ifindex, name])),
      owners: owners.values().map(({ name }) => name),
    };
    // With more interfaces than there is room for, plugins get their numbers.
    if (!writer.write(JSON.stringify(names))) writer.write(JSON.stringify({ ...names, links: {} }));
  };
  links.onNames = write;
  owners.onNew = write;
  write();
}
