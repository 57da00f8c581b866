/**
 * The only place that asks which runtime this is. The imports are dynamic because each file needs modules or globals
 * that the other runtime lacks; `bun build --compile` follows them all the same.
 */
import type { Runtime } from "./runtime.ts";

/** The runtime this thread runs on. Cheap, but asynchronous: call it once per thread and pass the result on. */
export async function selectRuntime(): Promise<Runtime> {
  if ("Deno" in globalThis) return (await import("./deno.ts")).denoRuntime;
  if ("Bun" in globalThis) return (await import("./bun.ts")).bunRuntime;
  throw new Error("Cannot select a runtime: neither Bun nor Deno runs this program, and no other can call libc for it");
}
