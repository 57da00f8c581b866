/**
 * What lies in the directory in which the compiled binary is started has no say in what it does: Bun would read
 * `.env`, `bunfig.toml`, `tsconfig.json` and `package.json` there, and with them run code, as root.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { HealthJson } from "../../core/northbound/api_types.ts";
import { DaemonProcess } from "../../scripts/daemon_process.ts";
import { binarySkipReason, daemonSkipReason, runBinary } from "../support/binary.ts";
import { createNetns } from "../support/netns.ts";

let folder: string;
let proof: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "dplaned-environment-"));
  proof = join(folder, "was-here");
  const evil = `require("node:fs").appendFileSync(${JSON.stringify(proof)}, "x");\nexport {};\n`;
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
  write("evil.ts", evil);
  write("bunfig.toml", 'preload = ["./evil.ts"]\n[run]\npreload = ["./evil.ts"]\n[test]\npreload = ["./evil.ts"]\n');
  for (const name of [".env", ".env.local", ".env.production"]) {
    write(
      name,
      [
        `DPLANED_DAEMON_SOCKET=${join(folder, "env.sock")}`,
        "DPLANED_KERNEL_PROTOCOL=77",
        "BUN_OPTIONS=--preload=./evil.ts",
        "BUN_BE_BUN=1",
        "BUN_INSPECT=127.0.0.1:0",
        "NODE_OPTIONS=--require=./evil.ts",
      ].join("\n"),
    );
  }
  // Every module that the program imports by a bare name would be this one.
  const packages = ["hono", "zod", "smol-toml", "@logtape/logtape", "@optique/core", "@hono/node-server", "node:fs"];
  const paths = Object.fromEntries(packages.map((name) => [name, ["./evil.ts"]]));
  write("tsconfig.json", JSON.stringify({ compilerOptions: { baseUrl: ".", paths } }));
  const imports = Object.fromEntries(packages.map((name) => [`#${name}`, "./evil.ts"]));
  const overrides = { type: "module", main: "./evil.ts", imports, bun: { preload: ["./evil.ts"] } };
  write("package.json", JSON.stringify({ name: "dplaned", ...overrides }));
  for (const name of packages.filter((each) => !each.startsWith("node:"))) {
    mkdirSync(join(folder, "node_modules", name), { recursive: true });
    write(`node_modules/${name}/index.js`, evil);
    write(`node_modules/${name}/package.json`, JSON.stringify({ name, main: "./index.js" }));
  }
});
after(() => rmSync(folder, { recursive: true, force: true }));

describe("in a directory of somebody else", () => {
  it("a client command runs nothing of it and takes no settings from it", { skip: binarySkipReason() }, async () => {
    const environment = { DPLANED_DAEMON_SOCKET: undefined };
    const { status, stderr } = await runBinary(["show", "dplane"], { cwd: folder, environment });
    assert.equal(status, 3);
    assert.doesNotMatch(stderr, /env\.sock/);
    assert.ok(!existsSync(proof));
  });

  it("nor does the daemon, in none of its threads", { skip: daemonSkipReason() }, async () => {
    const ns = createNetns();
    const config = '[[provider]]\nname = "slow"\nkind = "test"\nthreaded = true\n';
    try {
      const daemon = await DaemonProcess.start({ netns: ns.name, config, cwd: folder });
      try {
        const health = await daemon.client.getJson<HealthJson>("/healthz");
        assert.deepEqual(
          health.workers.map(({ name, alive }) => [name, alive]),
          [
            ["dataplane", true],
            ["provider slow", true],
            ["monitor", true],
          ],
        );
        const result = await runBinary(["route", "install", "blackhole", "192.0.2.0/24", "--socket", daemon.socket], {
          cwd: folder,
        });
        assert.equal(result.status, 0, result.stderr);
        assert.match(ns.ip("route", "show", "proto", "210"), /blackhole 192\.0\.2\.0\/24/);
      } finally {
        await daemon.stop();
      }
      assert.ok(!existsSync(proof));
    } finally {
      ns.delete();
    }
  });

  it("the trap works: a program that Bun runs there falls into it", { skip: binarySkipReason() }, async () => {
    const { spawnSync } = await import("node:child_process");
    writeFileSync(join(folder, "innocent.ts"), "export {};\n");
    const { NODE_ENV: _, ...environment } = process.env;
    spawnSync(process.execPath, ["run", "./innocent.ts"], { cwd: folder, env: environment });
    assert.ok(existsSync(proof));
  });
});
