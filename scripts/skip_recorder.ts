/**
 * Writes down why a test is skipped: `bun test` and `deno test` drop the text of `{ skip: "reason" }`. Wraps `describe`,
 * `it` and `test` of node:test; every call with a textual skip adds a line `{name, reason}` to the file named by
 * DPLANED_SKIP_LOG. Runs in the test's own process: preloaded by scripts/preload_bun.ts on Bun, in the place of node:test
 * by scripts/node_test_deno.ts on Deno. Tests run the same without it.
 */
import { appendFileSync } from "node:fs";
import process from "node:process";

type TestFunction = (...args: unknown[]) => unknown;

/** Names of the suites whose body runs now, outermost first. */
let path: readonly string[] = [];

function record(name: string, reason: string): void {
  const file = process.env["DPLANED_SKIP_LOG"];
  if (file) appendFileSync(file, `${JSON.stringify({ name, reason })}\n`);
}

/** Returns `original` with its properties (`skip`, `todo`, …), which also records skips; `isSuite` for describe and suite. */
export function recordSkips<T extends object>(original: T, isSuite: boolean): T {
  const wrapped: TestFunction = (...args) => {
    const name = typeof args[0] === "string" ? args[0] : "";
    const here = [...path, name];
    const options = args.find((arg) => typeof arg === "object" && arg !== null) as { skip?: unknown } | undefined;
    if (typeof options?.skip === "string") record(here.join(" > "), options.skip);
    const index = args.findIndex((arg) => typeof arg === "function");
    if (isSuite && index >= 0) {
      const body = args[index] as TestFunction;
      // Deno runs the body of a nested suite after that of the outer one, so the path is kept from here, not looked up.
      args[index] = (...bodyArgs: unknown[]) => {
        const outer = path;
        path = here;
        try {
          return body(...bodyArgs);
        } finally {
          path = outer;
        }
      };
    }
    return (original as unknown as TestFunction)(...args);
  };
  return Object.assign(wrapped, original) as unknown as T;
}
