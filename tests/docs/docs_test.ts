/** The documentation says what the program does: its links, commands, examples, and the tables that are made from the code. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { formatConfigProblem, loadConfig } from "../../core/config/config.ts";
import { VERSION } from "../../core/constants.ts";
import { DPLANE_ERROR_NAMES } from "../../core/context/layout.ts";
import { createRouteUpdate } from "../../core/model/route.ts";
import { parseArguments } from "../../core/northbound/cli/grammar.ts";
import { toListQuery, toLookupQuery, toUpdateLine } from "../../core/northbound/cli/route_words.ts";
import { SCHEMAS } from "../../core/northbound/openapi_schemas.ts";
import { UPDATE_ERRORS } from "../../core/northbound/update_error.ts";
import { parseUpdateObject } from "../../core/northbound/update_json.ts";
import { StagingError } from "../../core/rib/sync.ts";
import { createSections, replaceSections } from "../../scripts/docs_sections.ts";
import { anchors, type CodeBlock, codeBlocks, consoleCommands, links } from "../support/markdown.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url).href);

const documents = ["README.md", "core/README.md", ...globSync("docs/*.md", { cwd: ROOT })].sort();
const texts = new Map(documents.map((path) => [path, readFileSync(join(ROOT, path), "utf8")]));
const sections = await createSections();

function blocksOf(...languages: string[]): (CodeBlock & { path: string })[] {
  return [...texts].flatMap(([path, text]) =>
    codeBlocks(text)
      .filter(({ language }) => languages.includes(language))
      .map((block) => ({ ...block, path })),
  );
}

/** What a shell would run: each `dplaned …` of a line, without what is piped, redirected or put behind it. */
function dplanedCommands(script: string): string[] {
  const lines = script.replace(/<<'END'\n[\s\S]*?^END$/gm, "").replace(/(^|\s)#.*$/gm, "");
  const commands = lines.matchAll(/(?:^|[;|&(]|\bsudo)\s*dplaned ((?:(?![|;&<>\n)]).)*)/gm);
  return [...commands].map(([, words]) => words!.replace(/\s\d$/, "").trim());
}

const shellBlocks = blocksOf("sh");
const allCommands = [
  ...shellBlocks.flatMap(({ path, line, text }) =>
    dplanedCommands(text).map((command) => ({ place: `${path}:${line}`, command })),
  ),
  ...[...texts].flatMap(([path, text]) =>
    consoleCommands(text).flatMap(({ command, line }) =>
      dplanedCommands(command).map((each) => ({ place: `${path}:${line}`, command: each })),
    ),
  ),
  ...[...texts].flatMap(([path, text]) =>
    [...text.replace(/^```[\s\S]*?^```$/gm, "").matchAll(/`dplaned ([a-z-]+(?: [^`…]*)?)`/g)].map(([, command]) => ({
      place: path,
      command: command!.replace(/\bFILE\b/, "file").replace(/\bPREFIX\b/, "192.0.2.0/24"),
    })),
  ),
];

describe("documentation", () => {
  it("has links that lead somewhere", () => {
    for (const [path, text] of texts) {
      for (const target of links(text)) {
        if (/^https?:/.test(target)) continue;
        const [file = "", anchor] = target.split("#");
        const linked = file === "" ? path : join(dirname(path), file);
        assert.ok(existsSync(join(ROOT, linked)), `${path}: ${target} does not exist`);
        if (anchor === undefined) continue;
        const found = anchors(readFileSync(join(ROOT, linked), "utf8"));
        assert.ok(found.includes(anchor), `${path}: ${target}: no such heading among ${found.join(", ")}`);
      }
    }
  });

  it("names files that exist", () => {
    for (const [path, text] of texts) {
      for (const [, name] of text.matchAll(
        /(?:`|(?<!\/)\b)((?:core|providers|ffi|tests|scripts|packaging|docs)\/[\w/.-]+\.\w+)/g,
      )) {
        assert.ok(existsSync(join(ROOT, name!)), `${path}: names ${name}, which does not exist`);
      }
    }
  });

  it("has command lines that the program takes", () => {
    assert.ok(allCommands.length > 30, `found only ${allCommands.length}`);
    for (const { place, command } of allCommands) {
      const invocation = parseArguments(command.split(/\s+/));
      if (!("command" in invocation)) {
        assert.equal(invocation.exitStatus, 0, `${place}: dplaned ${command}: ${invocation.stderr}`);
        continue;
      }
      const parsed = invocation.command;
      if (parsed.kind === "route-install") toUpdateLine("install", parsed.words, parsed.owner);
      if (parsed.kind === "route-delete") toUpdateLine("delete", parsed.words, parsed.owner);
      if (parsed.kind === "route-list") toListQuery(parsed.words, parsed);
      if (parsed.kind === "route-lookup") toLookupQuery(parsed.words);
    }
  });

  it("has configurations that the daemon takes", () => {
    const blocks = blocksOf("toml").filter(({ path }) => path === "docs/frr.md");
    assert.ok(blocks.length >= 5, `found only ${blocks.length}`);
    const folder = mkdtempSync(join(tmpdir(), "dplaned-docs-"));
    try {
      const file = join(folder, "dplaned.toml");
      for (const { path, line, text } of blocks) {
        writeFileSync(file, text);
        const result = loadConfig({ path: file, environment: {} });
        const problems = result.ok ? [] : result.problems.map(formatConfigProblem);
        assert.deepEqual(problems, [], `${path}:${line}`);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("has JSON that is JSON, and updates that are updates", () => {
    const resolver = { deviceIndex: () => 1, vrfTable: () => 100 };
    let updates = 0;
    const inline = [...texts.values()].join("\n").match(/'\{"(?:op|prefix)".*?\}'|^> \{.*\}$/gm) ?? [];
    const lines = blocksOf("json").flatMap(({ text }) => text.trimEnd().split("\n"));
    for (const line of [...lines, ...inline.map((text) => text.replace(/^> |^'|'$/g, ""))]) {
      const value = JSON.parse(line) as Record<string, unknown>;
      if (!("prefix" in value) || "status" in value || "plan" in value) continue;
      const error = parseUpdateObject(value, createRouteUpdate(), resolver);
      // The README shows what happens to one that is wrong.
      if (line === '{"prefix":"10.3.0.1/16"}') assert.equal(error?.code, "HOST_BITS_SET");
      else assert.equal(error, null, line);
      updates += 1;
    }
    assert.ok(updates > 5, `found only ${updates} updates`);
  });

  for (const [document, made] of sections) {
    it(`${document} is up to date with the code (bun scripts/gen_docs.ts makes it so)`, () => {
      const text = readFileSync(join(ROOT, document), "utf8");
      assert.equal(replaceSections(text, made), text);
    });
  }

  it("finds a section that is out of date, or has no place", () => {
    const text = "a\n<!-- made by scripts/gen_docs.ts: x -->\n\nold\n\n<!-- end: x -->\nb\n";
    assert.match(replaceSections(text, new Map([["x", "new\n"]])), /^a\n<!-- .* -->\n\nnew\n\n<!-- end: x -->\nb\n$/);
    assert.throws(() => replaceSections(text, new Map([["y", "new\n"]])), /Cannot place the section y/);
    const roff = '.\\" made by scripts/gen_docs.ts: x\nold\n.\\" end: x\n';
    assert.equal(replaceSections(roff, new Map([["x", "new\n"]])), roff.replace("old", "new"));
  });
});

describe("docs/api.md", () => {
  const text = texts.get("docs/api.md")!;
  const rows = (heading: string) =>
    [
      ...text
        .slice(text.indexOf(heading))
        .split(/\n#/)[0]!
        .matchAll(/^\| `(\w+)` \|/gm),
    ].map(([, name]) => name!);

  it("has every error code, and none that there is not", () => {
    const rejected = [...Object.keys(UPDATE_ERRORS), ...Object.keys(StagingError), "DATAPLANE_FAILED", "SHUTTING_DOWN"];
    assert.deepEqual(rows("### Error codes of rejected updates"), rejected);
    assert.deepEqual(rows("### Error codes of failed updates").sort(), Object.values(DPLANE_ERROR_NAMES).sort());
  });

  it("has every field of an update and a nexthop, and none that there is not", () => {
    const fieldsOf = (name: string) => Object.keys((SCHEMAS[name] as { properties: object }).properties);
    const fields = [...fieldsOf("Update"), ...fieldsOf("Nexthop")];
    assert.deepEqual(rows("## Updates").sort(), fields.sort());
  });
});

describe("docs/operations.md", () => {
  const text = texts.get("docs/operations.md")!;

  it("names error codes that there are", () => {
    const known = new Set([...Object.keys(UPDATE_ERRORS), ...Object.values(DPLANE_ERROR_NAMES), "DATAPLANE_FAILED"]);
    const table = text.slice(text.indexOf("### An update fails"));
    const named = [...table.matchAll(/^\| ((?:`[A-Z_]+`(?:, )?)+) \|/gm)].flatMap(
      ([, cell]) => cell!.match(/[A-Z_]+/g)!,
    );
    assert.ok(named.length > 10);
    for (const code of named) assert.ok(known.has(code) || /^E[A-Z]+$/.test(code), code);
  });
});

describe("docs/architecture.md", () => {
  it("names for each invariant tests that hold it", () => {
    const rows = [...texts.get("docs/architecture.md")!.matchAll(/^\| (\d) \| .* \| (.*) \|$/gm)];
    assert.deepEqual(
      rows.map(([, number]) => number),
      ["1", "2", "3", "4", "5", "6", "7", "8"],
    );
    for (const [, number, files] of rows) {
      for (const [, file] of files!.matchAll(/`([^`]+)`/g)) {
        const source = readFileSync(resolve(ROOT, file!), "utf8");
        assert.match(
          source,
          new RegExp(`\\b(?:it|describe)\\([\`"]invariant ${number}:`),
          `${file} and invariant ${number}`,
        );
      }
    }
  });
});

describe("deno.json", () => {
  it("has tasks that do what the targets of the same name do", () => {
    const { tasks } = JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8")) as {
      tasks: Record<string, { command: string }>;
    };
    const targets = [...readFileSync(join(ROOT, "Makefile"), "utf8").matchAll(/^([a-z]+):(?!=)/gm)].map(
      ([, name]) => name!,
    );
    for (const name of ["build", "run", "test", "check"]) assert.ok(name in tasks, name);
    for (const [name, { command }] of Object.entries(tasks)) {
      if (name === "cli") continue;
      assert.equal(command, `make ${name}`);
      assert.ok(targets.includes(name), `the Makefile has no target ${name}`);
    }
  });

  it("has the program itself as a task", () => {
    // By its path: what `deno` alone names in a task is a script of npm's to it, and ours is no script.
    const args = ["task", "--quiet", "cli", "version"];
    const { status, stdout, stderr } = spawnSync("node_modules/.bin/deno", args, { cwd: ROOT, encoding: "utf8" });
    assert.deepEqual([status, stdout.trim()], [0, `dplaned ${VERSION}`], stderr);
  });
});
