/**
 * Stands in for node:test under `deno test` when scripts/test.ts runs it (scripts/node_test_deno.json maps the name):
 * the same module, with the skip recorder over it.
 */
import * as nodeTest from "node:test";
import { recordSkips } from "./skip_recorder.ts";

export { after, afterEach, before, beforeEach, mock } from "node:test";

export const describe = recordSkips(nodeTest.describe, true);
export const suite = recordSkips(nodeTest.suite, true);
export const it = recordSkips(nodeTest.it, false);
export const test = recordSkips(nodeTest.test, false);

// node:test has one, which tests may import.
export default test;
