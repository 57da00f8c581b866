/** `dplaned provider`: the contract is printed, and what init writes works as it is, on every runtime that there is. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { formatConfigProblem, loadConfig } from "../../../../core/config/config.ts";
import { checkPluginFiles } from "../../../../core/config/plugin_files.ts";
import { answerJson, CapturedIo, runCommandLine, startFakeDaemon } from "../../../support/cli_harness.ts";
import { codeBlocks } from "../../../support/markdown.ts";

const ROOT = fileURLToPath(new URL("../../../..", import.meta.url).href);
const folder = mkdtempSync(join(tmpdir(), "dplaned-init-"));
after(() => rmSync(folder, { recursive: true, force: true }));

async function run(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const io = new CapturedIo();
  const status = await runCommandLine(["provider", ...args], io);
  return { status, out: io.out, err: io.err };
}

/** Writes a new provider and returns its folder. */
async function init(name: string): Promise<string> {
  const dir = join(folder, name);
  const { status, err } = await run("init", name, "--dir", dir);
  assert.equal(status, 0, err);
  return dir;
}

describe("dplaned provider types", () => {
  it("prints the contract", async () => {
    const text = readFileSync(join(ROOT, "core/plugin/dplaned.d.ts"), "utf8");
    assert.deepEqual(await run("types"), { status: 0, out: text, err: "" });
    assert.equal(JSON.parse((await run("types", "--json")).out).text, text);
  });
});

describe("dplaned provider init", () => {
  it("writes the files of a provider, and says what to do with them", async () => {
    const dir = join(folder, "listed");
    const { out } = await run("init", "my_filter", "--dir", dir);
    const names = [
      "README.md",
      "dplaned.d.ts",
      "dplaned_harness.ts",
      "my_filter.ts",
      "my_filter_test.ts",
      "tsconfig.json",
    ];
    assert.deepEqual(readdirSync(dir).sort(), names);
    for (const name of names) {
      assert.ok(out.includes(`${join(dir, name)}\n`));
      assert.doesNotMatch(readFileSync(join(dir, name), "utf8"), /\bNAME\b(?!=)/, name);
    }
    assert.match(out, /Test it with `bun test`, `deno test` or `node --test` in /);
    const { files } = JSON.parse((await run("init", "other", "--dir", join(folder, "json"), "--json")).out);
    assert.equal(files.length, names.length);
  });

  it("overwrites nothing, and takes no name that does not fit", async () => {
    const dir = await init("once");
    writeFileSync(join(dir, "once.ts"), "mine");
    const again = await run("init", "once", "--dir", dir);
    assert.equal(again.status, 1);
    assert.match(again.err, /once\.ts, .* is there already/);
    assert.equal(readFileSync(join(dir, "once.ts"), "utf8"), "mine");
    for (const name of ["../x", "Filter", "a-b", "1st", ""]) {
      const { status, err } = await run("init", name, "--dir", join(folder, "never"));
      assert.deepEqual([status, /is no name of a provider/.test(err)], [2, true], name);
    }
    assert.equal(existsSync(join(folder, "never")), false);
  });

  it("writes what the type check takes", async () => {
    const dir = await init("typed");
    symlinkSync(join(ROOT, "node_modules"), join(dir, "node_modules"));
    const { status, stdout } = spawnSync(join(ROOT, "node_modules/.bin/tsc"), ["-p", dir], { encoding: "utf8" });
    assert.equal(status, 0, stdout);
  });

  const bun = join(ROOT, "node_modules/.bin/bun");
  const deno = join(ROOT, "node_modules/.bin/deno");
  const node = spawnSync("node", ["--version"], { encoding: "utf8" }).stdout ?? "";
  const [major = 0, minor = 0] = node.slice(1).split(".").map(Number);
  const nodeSkip =
    major > 22 || (major === 22 && minor >= 18) ? false : `node ${node.trim()} runs no TypeScript (22.18 does)`;
  const runners: [name: string, command: string[], skip: string | false][] = [
    ["bun", [bun, "test"], false],
    ["deno", [deno, "test", "--no-check", "--quiet"], false],
    ["node", ["node", "--test"], nodeSkip],
  ];
  for (const [name, [program, ...args], skip] of runners) {
    it(`writes tests that pass on ${name}, and fail when the provider is wrong`, { skip }, async () => {
      const dir = await init(`on_${name}`);
      const test = () =>
        spawnSync(program!, args, { cwd: dir, encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } });
      const good = test();
      assert.equal(good.status, 0, good.stdout + good.stderr);
      assert.match(good.stdout + good.stderr, /\b4 pass/);
      const path = join(dir, `on_${name}.ts`);
      const text = readFileSync(path, "utf8");
      writeFileSync(path, text.replace("update.prefixLength <= longest", "update.prefixLength >= longest"));
      assert.notEqual(test().status, 0);
    });
  }

  it("writes a README whose configuration is one", async () => {
    const dir = await init("configured");
    const blocks = codeBlocks(readFileSync(join(dir, "README.md"), "utf8"));
    const toml = blocks.find(({ language }) => language === "toml")!.text;
    const path = join(dir, "dplaned.toml");
    writeFileSync(path, toml.replace("providers/configured.ts", "configured.ts"), { mode: 0o640 });
    const loaded = loadConfig({ path, environment: {} });
    assert.ok(loaded.ok, loaded.ok ? "" : loaded.problems.map(formatConfigProblem).join("\n"));
    assert.deepEqual(checkPluginFiles(loaded.config), []);
    const commands = blocks.filter(({ language }) => language === "sh").map(({ text }) => text);
    assert.ok(commands.some((text) => text.includes("install -D -m 0644 configured.ts")));
  });
});

describe("dplaned provider restart", () => {
  it("asks the daemon, and says what came of it", async () => {
    const seen: string[] = [];
    const daemon = await startFakeDaemon((request, response) => {
      seen.push(`${request.method} ${request.url}`);
      if (request.url?.includes("broken")) {
        const problem = { title: "Conflict", status: 409, detail: "x.ts:3:1: Unexpected }", hint: "it goes on" };
        return answerJson(response, problem, 409, "application/problem+json");
      }
      answerJson(response, { provider: "filter", restarted: true });
    });
    const good = await run("restart", "filter", "--socket", daemon.socketPath);
    assert.deepEqual(good, { status: 0, out: "filter: a new process has taken over\n", err: "" });
    const broken = await run("restart", "broken", "--socket", daemon.socketPath);
    assert.equal(broken.status, 1);
    assert.match(broken.err, /x\.ts:3:1: Unexpected \}.*it goes on/s);
    assert.deepEqual(seen, ["POST /v1/providers/filter/restart", "POST /v1/providers/broken/restart"]);
    await daemon.close();
  });
});
