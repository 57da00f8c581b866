/** Gives up all rights but CAP_NET_ADMIN, as the daemon does, and prints what it has then. Run by tests/ffi/libc/privileges_test.ts. */
import { readFileSync, readlinkSync } from "node:fs";
import process from "node:process";
import { restartConfined } from "../../ffi/libc/privileges.ts";
import { selectRuntime } from "../../ffi/runtime/select.ts";

const libc = (await selectRuntime()).openLibc();
if (process.env["AGAIN"] === undefined) {
  const program = { path: readlinkSync("/proc/self/exe"), commandLine: readFileSync("/proc/self/cmdline") };
  restartConfined(libc, program, { capabilities: 1n << 12n, groups: [7], environment: { AGAIN: "ü = 1", HOME: "/" } });
}
const status = readFileSync("/proc/self/status", "latin1");
const field = (name: string): string => new RegExp(`^${name}:\\s*(.*?)\\s*$`, "m").exec(status)![1]!;
const { pid, env, argv } = process;
const report = {
  pid,
  again: env["AGAIN"],
  gone: env["GONE"] ?? null,
  last: argv.at(-1),
  fields: {} as Record<string, string>,
};
for (const name of ["CapEff", "CapPrm", "CapBnd", "NoNewPrivs", "Groups"]) report.fields[name] = field(name);
process.stdout.write(JSON.stringify(report));
