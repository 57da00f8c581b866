/**
 * Style as a test: what may import what, which words stay where, and that nothing of the machine on which the project was
 * written is left in it. The tables below are the rules; how they are checked is in tests/support/tidy_rules.ts. Each rule
 * is first shown to find a planted violation.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { VERSION } from "../core/constants.ts";
import { codeLines, findImports, tokenize } from "./support/source_lexer.ts";
import {
  type BannedCode,
  checkBannedCode,
  checkComments,
  checkCycles,
  checkDeadFiles,
  checkHeaders,
  checkImports,
  checkLengths,
  checkMirrors,
  checkNamedFiles,
  checkTraces,
  type ImportRule,
  type Tree,
} from "./support/tidy_rules.ts";

/** What every part of the core may use: limits, assertions, the clock. */
const BASE = ["core/constants.ts", "core/assert.ts", "core/errors.ts", "core/clock.ts"];
/** Logging and output, for what runs outside the cycle. */
const LOG = ["core/log.ts", "core/output.ts", "core/suggest.ts"];
/** Reading what nobody else may have changed. */
const TRUSTED_FILE = "core/trusted_file.ts";
const SHARED = [...BASE, "core/model/", "core/context/", "core/ring/"];
const RUNTIME_TYPES = ["ffi/runtime/runtime.ts"];
const PROVIDER_MAY = [
  ...BASE,
  "core/log.ts",
  "core/prng.ts",
  "core/dataplane/provider.ts",
  "core/context/",
  "core/model/",
  "providers/encode_context.ts",
  "providers/encode_nexthop.ts",
  "ffi/",
];

/** Data flows northbound → core → providers → ffi; nobody imports main.ts, tests, scripts or packaging. */
const IMPORT_RULES: readonly ImportRule[] = [
  { from: "main.ts", may: ["core/", "providers/", "ffi/"], packages: ["node:"] },

  { from: "core/model/", may: BASE, mayTypes: ["core/log.ts", "core/context/nexthop_object.ts"] },
  { from: "core/ring/", may: BASE },
  { from: "core/context/netlink_route.ts", may: [...BASE, "core/model/", "ffi/netlink/"] },
  { from: "core/context/", may: [...BASE, "core/model/", "core/ring/"] },
  {
    from: "core/rib/",
    // The numbers of errors are a table, and what a refused route waits for depends on them.
    may: [...SHARED, ...LOG, "core/dataplane/", "ffi/libc/errno.ts"],
    mayTypes: RUNTIME_TYPES,
  },
  // Neither reads the time or sets a timer but by the clock that it is given (core/clock.ts).
  { from: "core/dataplane/", may: [...SHARED, ...LOG], mayTypes: RUNTIME_TYPES },
  {
    from: "core/config/",
    may: [...BASE, ...LOG, TRUSTED_FILE, "core/model/", "core/plugin/"],
    packages: ["node:", "smol-toml", "zod"],
  },
  { from: "core/plugin/", may: [...BASE, TRUSTED_FILE], packages: ["node:"] },
  { from: "core/daemon/", may: ["core/"], packages: ["node:"] },
  {
    from: "core/northbound/",
    may: ["core/", "ffi/netlink/", "ffi/fpm/", "ffi/libc/errno.ts"],
    mayTypes: RUNTIME_TYPES,
    packages: ["*"],
  },
  { from: "core/", may: BASE, packages: ["node:", "@logtape/logtape"] },

  { from: "providers/encode_context.ts", may: PROVIDER_MAY },
  { from: "providers/encode_nexthop.ts", may: PROVIDER_MAY },
  { from: "providers/kernel/", may: PROVIDER_MAY, packages: ["node:"] },
  { from: "providers/fpm/", may: PROVIDER_MAY, packages: ["node:"] },
  { from: "providers/test/", may: PROVIDER_MAY, packages: ["node:"] },
  { from: "providers/record/", may: PROVIDER_MAY, packages: ["node:"] },
  { from: "providers/plugin/", may: [...PROVIDER_MAY, TRUSTED_FILE, "core/plugin/"], packages: ["node:"] },

  { from: "ffi/netlink/dump.ts", may: ["ffi/netlink/", "ffi/libc/errno.ts"] },
  { from: "ffi/netlink/socket.ts", may: ["ffi/netlink/", "ffi/libc/"], mayTypes: RUNTIME_TYPES },
  { from: "ffi/netlink/", may: [] },
  { from: "ffi/fpm/", may: ["ffi/netlink/"] },
  { from: "ffi/runtime/bun.ts", may: ["ffi/runtime/runtime.ts", "ffi/libc/"], packages: ["bun", "bun:", "node:"] },
  { from: "ffi/runtime/deno.ts", may: ["ffi/runtime/runtime.ts", "ffi/libc/"], packages: ["node:"] },
  { from: "ffi/runtime/", may: ["ffi/libc/"], packages: ["node:"] },
  { from: "ffi/libc/", may: [], mayTypes: RUNTIME_TYPES },

  // As a user has them: beside the contract, and nothing else.
  { from: "docs/examples/providers/", may: [], packages: ["node:"] },
  {
    from: "tests/",
    may: ["docs/examples/", "core/", "providers/", "ffi/", "scripts/", "packaging/", "main.ts"],
    packages: ["*"],
  },
  { from: "scripts/", may: ["core/", "providers/", "ffi/", "tests/", "packaging/"], packages: ["*"] },
  { from: "packaging/", may: ["core/", "scripts/"], packages: ["*"] },
];

const TESTS = ["tests/"];
const PRODUCT = ["main.ts", "core/", "providers/", "ffi/"];

const BANNED_CODE: readonly BannedCode[] = [
  {
    pattern: /(?<![\w$.])(?:Bun|Deno)\b(?!:)/,
    instead: "belongs behind the interface of ffi/runtime/",
    except: ["ffi/runtime/", "tests/ffi/runtime/"],
  },
  {
    pattern: /\bconsole\.\w+/,
    instead: "use core/log.ts or core/output.ts: Bun's console loses lines on a full pipe",
    within: PRODUCT,
    except: [],
  },
  {
    pattern: /(?:describe|it|test|suite)\.only\b|\bonly:true\b/,
    instead: "hides all other tests",
    within: TESTS,
    except: [],
  },
  {
    pattern: /(?:describe|it|test|suite)\.skip\b|\bskip:true\b/,
    instead: 'give the reason: { skip: condition && "reason" }',
    within: TESTS,
    except: [],
  },
  {
    pattern: /\b(?:t|context|ctx)\.skip\(/,
    instead: "Deno counts it as passed: decide before the test, with { skip: condition && reason }",
    within: TESTS,
    except: [],
  },
  {
    pattern: /new Promise(?:<[^>]*>)?\(\(?(\w+)(?::[^)]*)?\)?=>\{?setTimeout\(\1\b/,
    instead: "wait for the condition, not for the time (tests/support has the waiting)",
    within: TESTS,
    except: ["tests/support/", "tests/bench/"],
  },
  {
    pattern:
      /(?:^|[;{}\s(])(?:private|protected|public) ?(?:static|readonly|async|get|set|override)? ?[\w#$[]+ ?[(:=;?!,)]/,
    instead: "use #name",
    except: [],
  },
  {
    pattern: /(?:^|[;{}\s])(?:const )?enum \w+\{/,
    instead: "use a const object and a type of the same name",
    except: [],
  },
];

/** Files over the limit for a reason, which stands beside them. */
const LONG_FILES: readonly string[] = [];
const LINES_MAX = 600;

/** Modules that the program does not import: the tool that tests print messages with, what it writes as a text, and declarations of types. */
const UNREACHED_FILES: readonly string[] = [
  "ffi/netlink/describe.ts",
  "core/plugin/skeleton/harness.ts",
  "core/northbound/web/globals.d.ts",
  "core/northbound/web/text.d.ts",
];

// Put together here, so that this file holds none of them.
const TRACES = [
  new RegExp(String.raw`(?<![\w.-])/${"wo"}rk/`),
  new RegExp(String.raw`/tmp/${"la"}b\b|/tmp/${"bri"}ef`),
  new RegExp(`"${"resol"}ved" *:`),
  new RegExp(String.raw`\b${"regis"}try\.\w+\.(?:org|com)|^ *(?:@\w+:)?${"regis"}try *=`, "m"),
];

const ROOT = fileURLToPath(new URL("..", import.meta.url).href);

/** Every text file that is or will be committed. */
function readProject(): Tree {
  const list = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: ROOT,
    encoding: "utf8",
    maxBuffer: 64 << 20,
  });
  const tree = new Map<string, string>();
  for (const path of list.split("\0")) {
    if (path === "" || !existsSync(join(ROOT, path))) continue;
    const bytes = readFileSync(join(ROOT, path));
    if (!bytes.includes(0)) tree.set(path, bytes.toString("utf8"));
  }
  return tree;
}

function treeOf(files: Record<string, string>): Tree {
  return new Map(Object.entries(files));
}

const hasGit = existsSync(join(ROOT, ".git"));
const tree: Tree = hasGit ? readProject() : new Map();
const needsGit = { skip: hasGit ? false : "this is not a git checkout, so there is no list of the project's files" };

describe("the project", needsGit, () => {
  const checks: Record<string, () => string[]> = {
    "imports only along the data flow": () => checkImports(tree, IMPORT_RULES),
    "has no circles of imports": () => checkCycles(tree),
    "has no dead files": () => checkDeadFiles(tree, "main.ts", PRODUCT, UNREACHED_FILES),
    "has banned code nowhere": () => checkBannedCode(tree, BANNED_CODE),
    "puts nothing off in comments": () => checkComments(tree),
    "says in each file what it owns": () => checkHeaders(tree),
    "has no file that is too long": () => checkLengths(tree, LINES_MAX, LONG_FILES),
    "mirrors sources in tests": () => checkMirrors(tree, ["core/", "providers/", "ffi/"]),
    "names existing files in core/README.md": () => checkNamedFiles(tree, "core/README.md"),
    "holds no traces of a machine": () => checkTraces(tree, TRACES),
  };
  for (const [name, check] of Object.entries(checks)) it(name, () => assert.deepEqual(check(), []));

  it("has one version", () => {
    assert.equal((JSON.parse(tree.get("package.json")!) as { version: string }).version, VERSION);
  });
});

describe("source lexer", () => {
  it("tells comments, strings, templates and regular expressions from code", () => {
    const source = "a(/[/'\"]`/g, `x ${b + `${'}'}`} // no`); // yes\nc = d / e / f; /* g */ h`";
    assert.deepEqual([...codeLines(tokenize(source.slice(0, -1))).values()], ['a("",""b+"""""""");', "c=d/e/f;h"]);
    assert.throws(() => tokenize(source), /does not end/);
  });

  it("finds each form of import and whether it is of types only", () => {
    const source = `
      import a, { type B } from "./a.ts"; import type { C } from './c.ts'; import "./d.ts";
      export * from "./e.ts"; export type { F } from "./f.ts"; const g = await import("./g.ts");
      import type from "./h.ts"; let i: import("./i.ts").I; // import "./no.ts"
      const from = "import './no.ts'"; Array.from("no");`;
    const found = findImports(tokenize(source)).map(({ specifier, typeOnly }) => specifier + (typeOnly ? " type" : ""));
    const expected = ["./a.ts", "./c.ts type", "./d.ts", "./e.ts", "./f.ts type", "./g.ts", "./h.ts", "./i.ts type"];
    assert.deepEqual(found, expected);
  });
});

describe("each rule finds a planted violation", () => {
  const importCases: [path: string, code: string][] = [
    ["core/model/x.ts", 'import "../ring/x.ts"'],
    ["core/ring/x.ts", 'import { readFileSync } from "node:fs"'],
    ["core/rib/x.ts", 'const x = await import("../northbound/x.ts")'],
    ["core/dataplane/x.ts", 'import { kernel } from "../../providers/kernel/x.ts"'],
    ["core/dataplane/x.ts", 'import { Runtime } from "../../ffi/runtime/runtime.ts"'],
    ["core/northbound/x.ts", 'export * from "../../providers/kernel/x.ts"'],
    ["providers/kernel/x.ts", 'import "../fpm/x.ts"'],
    ["providers/fpm/x.ts", 'import "../../core/dataplane/loop.ts"'],
    ["ffi/netlink/x.ts", 'import type { X } from "../libc/x.ts"'],
    ["ffi/libc/x.ts", 'import "../../core/model/x.ts"'],
    ["ffi/runtime/deno.ts", 'import { dlopen } from "bun:ffi"'],
    ["core/log.ts", 'import "../main.ts"'],
    ["elsewhere/x.ts", ""],
  ];
  const folders = ["core/model", "core/ring", "core/northbound", "providers/kernel", "providers/fpm", "ffi/libc"];
  const others = treeOf({
    ...Object.fromEntries(folders.map((folder) => [`${folder}/x.ts`, ""])),
    "core/dataplane/loop.ts": "",
    "ffi/runtime/runtime.ts": "",
    "main.ts": "",
  });
  for (const [path, code] of importCases) {
    it(`imports: ${path}: ${code || "a file in no known place"}`, () => {
      assert.deepEqual(checkImports(others, IMPORT_RULES), []);
      assert.equal(checkImports(new Map([...others, [path, code]]), IMPORT_RULES).length, 1);
    });
  }

  it("imports: types where only types are allowed, missing files", () => {
    const types = 'import type { Runtime } from "../../ffi/runtime/runtime.ts"';
    assert.deepEqual(checkImports(new Map([...others, ["core/dataplane/x.ts", types]]), IMPORT_RULES), []);
    assert.match(checkImports(treeOf({ "main.ts": 'import "./core/no.ts"' }), IMPORT_RULES)[0]!, /does not exist/);
  });

  it("cycles", () => {
    const code = treeOf({ "core/a.ts": 'import "./b.ts"', "core/b.ts": 'import "./a.ts"' });
    assert.deepEqual(checkCycles(code), ["circle: core/a.ts → core/b.ts → core/a.ts"]);
    assert.deepEqual(checkCycles(treeOf({ "core/a.ts": 'import type A from "./a.ts"' })), []);
  });

  it("dead files", () => {
    const code = treeOf({
      "main.ts": 'await import("./core/a.ts")',
      "core/a.ts": "",
      "core/b.ts": "",
      "core/c.ts": "",
    });
    assert.deepEqual(checkDeadFiles(code, "main.ts", PRODUCT, ["core/c.ts"]).length, 1);
  });

  const bannedCases: [path: string, bad: string, good: string][] = [
    ["core/x.ts", "Bun.sleep(1)", "// Bun.sleep(1)"],
    ["core/x.ts", '"Deno" in globalThis ? Deno.pid : 0', '"Deno.pid"'],
    ["tests/core/x_test.ts", "const runtime = Deno", "a.Deno"],
    ["core/x.ts", "console.log(1)", "this.console(1)"],
    ["tests/core/x_test.ts", 'it.only("x", () => {})', 'it("only", () => {})'],
    ["tests/core/x_test.ts", 'it("x", { only: true }, f)', 'it("x", { only: false }, f)'],
    ["tests/core/x_test.ts", 'describe.skip("x", f)', 'it("x", { skip: isRoot ? false : "not root" }, f)'],
    ["tests/core/x_test.ts", 'it("x", { skip: true }, f)', "stream.skip(1)"],
    ["tests/core/x_test.ts", 't.skip("late")', "bit.skipped()"],
    ["tests/core/x_test.ts", "await new Promise((wake) => setTimeout(wake, 10))", "setTimeout(stop, 10)"],
    [
      "tests/core/x_test.ts",
      "await new Promise<void>((wake) => { setTimeout(wake, 10); })",
      "new Promise((ok) => f(ok))",
    ],
    ["core/x.ts", "class A { private x = 1 }", "class A { #x = 1 }"],
    ["core/x.ts", "class A { constructor(private readonly x: number) {} }", "const a = { private: true }"],
    ["core/x.ts", "enum A { B }", 'z.enum(["a"])'],
    ["core/x.ts", "export const enum A { B }", "const enumA = {}"],
  ];
  for (const [path, bad, good] of bannedCases) {
    it(`banned code: ${bad}`, () => {
      assert.equal(checkBannedCode(treeOf({ [path]: bad }), BANNED_CODE).length, 1);
      assert.deepEqual(checkBannedCode(treeOf({ [path]: good }), BANNED_CODE), []);
    });
  }

  it("comments, headers, lengths", () => {
    const bad = treeOf({ "core/a.ts": 'const a = "TODO";\n// TODO: b\n' });
    assert.deepEqual([checkComments(bad).length, checkHeaders(bad).length, checkLengths(bad, 1, []).length], [1, 1, 1]);
    const good = treeOf({
      "core/a.ts": '#!/usr/bin/env bun\n/** Owns a; FRR has a TODO here. */\nconst a = "TODO:";\n',
    });
    assert.deepEqual([...checkComments(good), ...checkHeaders(good), ...checkLengths(good, 3, [])], []);
  });

  it("mirrors", () => {
    const names = ["core/ring/spsc_ring.ts", "tests/core/ring/spsc_ring_wrap_test.ts", "tests/core/ring/ring_test.ts"];
    const code = treeOf(Object.fromEntries([...names, "tests/core/ring/gone_test.ts"].map((name) => [name, ""])));
    assert.equal(checkMirrors(code, ["core/"]).length, 1);
  });

  it("named files", () => {
    const code = treeOf({ "core/a.ts": "", "core/README.md": "`core/a.ts`, `a.ts`, `core/`, `core/b.ts`, `gone/`" });
    assert.equal(checkNamedFiles(code, "core/README.md").length, 2);
  });

  for (const trace of [`/wo${"rk"}/main`, `"resol${"ved"}": "x"`, `regis${"try"}=https://x`, `/tmp/la${"b"}/x`]) {
    it(`traces: ${trace}`, () => {
      assert.equal(checkTraces(treeOf({ "docs/a.md": `in\n${trace}` }), TRACES).length, 1);
      assert.deepEqual(
        checkTraces(treeOf({ "docs/a.md": "network/work done, the registry of providers" }), TRACES),
        [],
      );
    });
  }
});
