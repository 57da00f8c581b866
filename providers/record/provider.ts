/**
 * The record provider: writes every context that comes to it to a file, a line each in the API's update format, so that
 * `dplaned route load FILE` does it all again. Where it stands decides what that is: after the kernel what was programmed
 * (failed contexts leave the pipeline before it), before the kernel what was asked for. A context that fails later is
 * taken back by a line that restores what was there before, so the file always replays to what is in force.
 *
 * The format has no field for a time, and an unknown field is an error, so lines bear none; the file's order is the order
 * in which the contexts came. Nor has it a line for a nexthop object, so there is none of those: a route by an object is
 * written with the nexthops that the object has at that time, as one could say it. That the object changes later is not
 * in the file, and neither is an object from before the provider's start, of which only the number is known. Runs on the dataplane thread, or on its own if so configured.
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, type Stats, writeSync } from "node:fs";
import { NO_ATTRS } from "../../core/context/attrs.ts";
import { ContextOp, DplaneError, isNexthopOp, U8, U32 } from "../../core/context/layout.ts";
import { type NexthopObject, readNexthopObject } from "../../core/context/nexthop_object.ts";
import type { Provider, ProviderIo, RegisteredProvider } from "../../core/dataplane/provider.ts";
import { type DeviceName, formatUpdate } from "./update_json.ts";

const FILE_MODE = 0o640;
const NEWLINE = 0x0a;

/** What iproute2 calls an interface whose name it cannot find out, and takes for a name. */
function numberedDevice(ifindex: number): string {
  return `if${ifindex}`;
}

/** `options.path` names the file, which is appended to. `deviceName` must know the namespace that is programmed. */
export function createRecordProvider(
  registered: RegisteredProvider,
  deviceName: DeviceName = numberedDevice,
): Provider {
  const { path } = registered.options;
  if (typeof path !== "string" || path === "") {
    throw new TypeError(`Cannot make record provider "${registered.name}": it needs path, the file to write to`);
  }
  return new RecordProvider(path, deviceName);
}

class RecordProvider implements Provider {
  readonly #path: string;
  readonly #deviceName: DeviceName;
  #fd = -1;
  #isRegular = false;
  /** Bytes of the file that are whole lines of ours; what a failed write left behind it is cut off. */
  #size = 0;
  #taken!: Uint32Array;
  /** Nexthop objects by their numbers in the kernel. */
  readonly #objects = new Map<number, NexthopObject>();

  constructor(path: string, deviceName: DeviceName) {
    this.#path = path;
    this.#deviceName = deviceName;
  }

  start(io: ProviderIo): void {
    this.#taken = new Uint32Array(io.workLimit);
    const { O_RDWR, O_CREAT, O_APPEND, O_NOFOLLOW } = constants;
    let stats: Stats;
    try {
      this.#fd = openSync(this.#path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, FILE_MODE);
      stats = fstatSync(this.#fd);
    } catch (error) {
      throw new Error(`Cannot open ${this.#path} for recording: ${reasonOf(error)}`);
    }
    this.#isRegular = stats.isFile();
    if (!this.#isRegular) return;
    this.#size = stats.size;
    this.#endTornLine();
  }

  process(io: ProviderIo): void {
    const count = io.dequeueMany(this.#taken, io.workLimit);
    if (count === 0) return;
    let text = "";
    for (let index = 0; index < count; index++) {
      const slot = this.#taken[index]!;
      // A delete has none, which makes it a delete here too.
      const attrs = io.contexts.getU32(slot, U32.ATTRS);
      if (isNexthopOp(io.contexts.getU8(slot, U8.OP))) this.#remember(io, slot, attrs);
      else text += this.#format(io, slot, attrs);
    }
    try {
      this.#append(text);
    } catch (error) {
      const message = (error as Error).message;
      io.log.error("Updates cannot be recorded and fail", { path: this.#path, error: message });
      for (let index = 0; index < count; index++) {
        const slot = this.#taken[index]!;
        if (!isNexthopOp(io.contexts.getU8(slot, U8.OP))) io.contexts.fail(slot, DplaneError.PROVIDER_REFUSED, message);
      }
    }
    io.enqueueMany(this.#taken, count);
  }

  undo(io: ProviderIo, slot: number): void {
    const before = io.contexts.getU32(slot, U32.OLD_ATTRS);
    if (isNexthopOp(io.contexts.getU8(slot, U8.OP))) return this.#remember(io, slot, before);
    // What was deleted without being there needs no restoring.
    if (before === NO_ATTRS && io.contexts.getU8(slot, U8.OP) === ContextOp.ROUTE_DELETE) return;
    this.#append(this.#format(io, slot, before));
  }

  finish(_io: ProviderIo, early: boolean): void {
    if (early || this.#fd === -1) return;
    closeSync(this.#fd);
    this.#fd = -1;
  }

  #format(io: ProviderIo, slot: number, attrs: number): string {
    return formatUpdate(io.contexts, io.attrs, slot, attrs, this.#deviceName, this.#objects);
  }

  /** Keeps what the object of the context is, or forgets it where it is no more. */
  #remember(io: ProviderIo, slot: number, attrs: number): void {
    const id = io.contexts.getU32(slot, U32.NEXTHOP_ID);
    if (attrs === NO_ATTRS) this.#objects.delete(id);
    else this.#objects.set(id, readNexthopObject(io.attrs, attrs));
  }

  /** Writes all of `text` or, on a regular file, nothing of it. */
  #append(text: string): void {
    const bytes = new TextEncoder().encode(text);
    let written = 0;
    try {
      while (written < bytes.length) written += writeSync(this.#fd, bytes, written, bytes.length - written);
      this.#size += written;
    } catch (error) {
      if (this.#isRegular && written > 0) ftruncateSync(this.#fd, this.#size);
      throw new Error(`cannot record to ${this.#path}: ${reasonOf(error)}`);
    }
  }

  /** A machine that lost its power may have left half a line, which must not swallow the first of ours. */
  #endTornLine(): void {
    const last = new Uint8Array(1);
    if (this.#size > 0 && readSync(this.#fd, last, 0, 1, this.#size - 1) === 1 && last[0] !== NEWLINE)
      this.#append("\n");
  }
}

/** What is wrong, and what may be done about it. */
function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ELOOP") return "ELOOP (it is a symbolic link; name the file itself)";
  if (code === "ENOSPC") return "ENOSPC (the disk is full)";
  return code ?? message;
}
