/** Preloaded by scripts/test.ts into `bun test`: puts the skip recorder over node:test before a test file imports it. */
import { createRequire } from "node:module";
import { recordSkips } from "./skip_recorder.ts";

const nodeTest = createRequire(import.meta.url)("node:test") as Record<string, object>;
for (const name of ["describe", "suite", "it", "test"]) {
  nodeTest[name] = recordSkips(nodeTest[name]!, name === "describe" || name === "suite");
}
