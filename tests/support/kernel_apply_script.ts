/**
 * Applies route commands, one an argument, in the namespace and with the privileges that it is started with, and writes
 * their results as JSON; run by kernel_start_live_test.ts.
 */
import process from "node:process";
import { KernelHarness, outcomeText } from "./kernel_harness.ts";

const harness = new KernelHarness();
await harness.dataplane.start();
const results = await harness.apply(process.argv.slice(2));
const providers = harness.dataplane.providers().map(({ state, reason }) => ({ state, reason }));
await harness.close();
const answers = results.map((result) => ({ result: outcomeText(result), hint: result.hint }));
process.stdout.write(`${JSON.stringify({ answers, providers })}\n`, () => process.exit(0));
