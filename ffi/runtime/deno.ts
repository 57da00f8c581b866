/** Deno's way into libc. Only select.ts imports this file, and only when it runs on Deno. */
import { Socket } from "node:net";
import { denoSymbols, LIBC_FILE, type Libc, type LibcFunctions } from "../libc/symbols.ts";
import type { Runtime } from "./runtime.ts";

type Pointer = { readonly pointer: unique symbol };

/** As much of Deno's global as is used here: its own type package contradicts Bun's, and the type check sees both files. */
declare const Deno: {
  readonly version: { readonly deno: string };
  readonly UnsafePointer: { of(bytes: Uint8Array): Pointer; value(pointer: Pointer): bigint };
  readonly UnsafePointerView: new (pointer: Pointer) => { getInt32(offset?: number): number };
  dlopen(
    file: string,
    symbols: ReturnType<typeof denoSymbols>,
  ): { symbols: Record<string, (...args: never) => unknown> };
};

function openLibc(): Libc {
  const library = Deno.dlopen(LIBC_FILE, denoSymbols());
  const { __errno_location, ...functions } = library.symbols as { __errno_location: () => Pointer };
  const errnoView = new Deno.UnsafePointerView(__errno_location());
  return {
    ...(functions as unknown as LibcFunctions),
    errno: () => errnoView.getInt32(0),
    addressOf: (bytes) => BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes))),
  };
}

export const denoRuntime: Runtime = {
  name: "deno",
  version: Deno.version.deno,
  openLibc,
  openSocket: (fd) => new Socket({ fd, readable: true, writable: true }),
  // V8 keeps what is young apart and small, and collects it often.
  collectGarbage: () => undefined,
};
