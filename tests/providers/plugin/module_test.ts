/** Plugins that keep to the contract, and what is said of those that do not. */
import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import {
  checkPlugin,
  describeException,
  describePlugin,
  loadPlugin,
  placeOf,
} from "../../../providers/plugin/module.ts";
import { PluginFolder } from "../../support/plugin_host.ts";

const folder = new PluginFolder();
after(() => folder.remove());

/** What is said of a module with this text. */
async function refusal(name: string, text: string): Promise<string> {
  const path = folder.writeFile(name, text);
  try {
    await loadPlugin(path);
  } catch (error) {
    return (error as Error).message.replaceAll(`${folder.path}/`, "");
  }
  return "";
}

describe("loading a plugin", () => {
  it("takes TypeScript with what it imports", async () => {
    folder.writeFile(
      "helper.ts",
      "export enum Answer { YES = 42 }\nexport const twice = (n: number): number => n * 2;\n",
    );
    folder.writeFile("data.json", '{"x":1}\n');
    const path = folder.writeFile(
      "good.ts",
      `import type { Nothing } from "./nowhere.d.ts";
import { readFileSync } from "node:fs";
import { twice } from "./helper.ts";
import data from "./data.json" with { type: "json" };
await Promise.resolve();
export default { apiVersion: 1, metrics: { seen: { type: "gauge", help: String(twice(data.x as number)) } } } satisfies object;
export type { Nothing };
void readFileSync;
`,
    );
    const plugin = await loadPlugin(path);
    assert.deepEqual(describePlugin(plugin, path), {
      decides: false,
      undoes: false,
      exports: false,
      metrics: [{ name: "seen", type: "gauge", help: "2" }],
    });
  });

  it("says where a module is wrong", async () => {
    assert.match(
      await refusal("syntax.ts", "export default {\n  apiVersion: 1,\n  update( }\n"),
      /^syntax\.ts:3:\d+: \w/,
    );
    assert.match(
      await refusal("throws.ts", 'const x: number = 1;\n\nthrow new Error("boom at load");\n'),
      /^throws\.ts:3:\d+: boom at load$/,
    );
    assert.match(
      await refusal("gone.ts", 'import x from "./gone_helper.ts";\nexport default x;\n'),
      /gone\.ts.*gone_helper\.ts/,
    );
    folder.writeFile("empty.ts", "export const a = 1;\n");
    assert.match(await refusal("nothing.ts", 'import { b } from "./empty.ts";\nexport default b;\n'), /'?b'?/);
    assert.match(
      await refusal("package.ts", 'import x from "left-pad-of-nobody";\nexport default x;\n'),
      /npm packages are not looked for: bundle them/,
    );
  });

  it("says in what a module does not keep to the contract", async () => {
    assert.match(await refusal("none.ts", "export const a = 1;\n"), /^none\.ts has no provider as its default export/);
    assert.equal(
      await refusal("old.ts", "export default { apiVersion: 2 };\n"),
      "old.ts is written for apiVersion 2; this dplaned has 1 (dplaned provider types)",
    );
    assert.match(await refusal("unversioned.ts", "export default {};\n"), /names no apiVersion; this dplaned has 1/);
  });

  const cases: [what: string, plugin: unknown, message: RegExp][] = [
    ["a member that there is not", { apiVersion: 1, updates() {} }, /no member "updates"; it has apiVersion, options/],
    ["a member of another type", { apiVersion: 1, update: 5 }, /update is not a function/],
    ["both ways to decide", { apiVersion: 1, update() {}, process() {} }, /both update and process; take one/],
    ["a function", () => {}, /no provider as its default export/],
  ];
  for (const [what, plugin, message] of cases) {
    it(`refuses ${what}`, () => assert.throws(() => checkPlugin(plugin, "x.ts"), message));
  }

  const metrics: [what: string, metrics: object, message: RegExp][] = [
    ["a name in capitals", { Bad: { type: "counter", help: "x" } }, /metric "Bad": a name has small letters/],
    ["another type", { a: { type: "histogram", help: "x" } }, /metric a: type is "counter" or "gauge"/],
    ["no help", { a: { type: "counter" } }, /metric a: help says what it counts/],
    ["nothing at all", { a: undefined }, /metric a: type/],
    ["the ending that counters get", { a_total: { type: "counter", help: "x" } }, /leave out _total/],
    [
      "too many",
      Object.fromEntries([...Array(65).keys()].map((number) => [`m${number}`, { type: "gauge", help: "x" }])),
      /65 metrics; there is room for 64/,
    ],
  ];
  for (const [what, wrong, message] of metrics) {
    it(`refuses metrics: ${what}`, () => {
      assert.throws(() => describePlugin(checkPlugin({ apiVersion: 1, metrics: wrong }, "x.ts"), "x.ts"), message);
    });
  }
});

describe("an exception of a plugin", () => {
  it("is told with its place, also where it came through dplaned", async () => {
    const path = folder.writeFile(
      "thrower.ts",
      'export default {\n  apiVersion: 1,\n  update() {\n    throw new Error("boom");\n  },\n};\n',
    );
    const plugin = await loadPlugin(path);
    let thrown: unknown;
    try {
      void plugin.update!(null as never, null as never);
    } catch (error) {
      thrown = error;
    }
    assert.match(describeException(thrown).replace(folder.path, ""), /^boom \(\/thrower\.ts:4:\d+\)$/);
  });

  it("is told as it is where it has none", () => {
    assert.equal(describeException("just a text"), "just a text");
    assert.equal(describeException(undefined), "undefined");
    assert.equal(placeOf(new Error("of dplaned's own")).includes("module.ts"), false);
  });
});
