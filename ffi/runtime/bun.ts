/** Bun's way into libc. Only select.ts imports this file, and only when it runs on Bun: Deno cannot load `bun:ffi`. */

import { dlopen, type FFIFunction, type Pointer, ptr, read } from "bun:ffi";
import { connect, type NetConnectOpts } from "node:net";
import { bunSymbols, LIBC_FILE, type Libc, type LibcFunctions } from "../libc/symbols.ts";
import type { Runtime } from "./runtime.ts";

function openLibc(): Libc {
  const library = dlopen(LIBC_FILE, bunSymbols() as Record<string, FFIFunction>);
  const { __errno_location, ...functions } = library.symbols as unknown as { __errno_location: () => Pointer };
  const errnoLocation = __errno_location();
  return {
    ...(functions as unknown as LibcFunctions),
    errno: () => read.i32(errnoLocation, 0),
    addressOf: (bytes) => BigInt(ptr(bytes)),
  };
}

export const bunRuntime: Runtime = {
  name: "bun",
  version: Bun.version,
  openLibc,
  // Its `new Socket({ fd })` never reads.
  openSocket: (fd) => connect({ fd } as unknown as NetConnectOpts),
  // Not at once (`true`), which stops the thread for more than 10 ms.
  collectGarbage: () => Bun.gc(false),
};
