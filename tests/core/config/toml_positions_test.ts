/** Places of keys in TOML documents, by hand and over generated documents. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parse, stringify } from "smol-toml";
import { type TomlPath, TomlPositions } from "../../../core/config/toml_positions.ts";

function place(source: string, ...path: TomlPath): string | undefined {
  const position = new TomlPositions(source).find(path);
  return position === undefined ? undefined : `${position.line}:${position.column}`;
}

/** Paths of all values in a table, tables and list elements included. */
function* allPaths(value: unknown, path: TomlPath = []): Generator<TomlPath> {
  if (path.length > 0) yield path;
  if (Array.isArray(value)) for (const [index, element] of value.entries()) yield* allPaths(element, [...path, index]);
  else if (typeof value === "object" && value !== null && !(value instanceof Date)) {
    for (const [key, element] of Object.entries(value)) yield* allPaths(element, [...path, key]);
  }
}

describe("TomlPositions", () => {
  it("finds keys in tables, nested and dotted ones too", () => {
    const source = "top = 1\n[a]\n  b = 2\n[a.c]\nd.e = 3\n";
    assert.equal(place(source, "top"), "1:1");
    assert.equal(place(source, "a"), "2:1");
    assert.equal(place(source, "a", "b"), "3:3");
    assert.equal(place(source, "a", "c"), "4:1");
    assert.equal(place(source, "a", "c", "d", "e"), "5:1");
  });

  it("tells the elements of an array of tables apart", () => {
    const source = "[[owner]]\nname = 'a'\n[[owner]]\nname = 'b'\n[owner.x]\ny = 1\n[[owner]]\n";
    assert.equal(place(source, "owner"), "1:1");
    assert.equal(place(source, "owner", 0, "name"), "2:1");
    assert.equal(place(source, "owner", 1), "3:1");
    assert.equal(place(source, "owner", 1, "name"), "4:1");
    assert.equal(place(source, "owner", 1, "x", "y"), "6:1");
    assert.equal(place(source, "owner", 2), "7:1");
  });

  it("finds the elements of lists and inline tables over several lines", () => {
    const source = 'a = [1, # one ] [\n  "]",\n  { b = "}", c = [2] },\n]\nd = 4\n';
    assert.equal(place(source, "a", 0), "1:6");
    assert.equal(place(source, "a", 1), "2:3");
    assert.equal(place(source, "a", 2, "c"), "3:14");
    assert.equal(place(source, "d"), "5:1");
  });

  it("is not misled by what strings and comments hold", () => {
    const source = [
      'a = """',
      "[x]",
      'y = 1 \\""" z',
      '"""',
      "b = '''",
      "[x]",
      "''''",
      "# c = 1",
      'c = "\\"[x] = # "',
      "'quoted key' = 2",
      '"d\\u0065" = 3',
    ].join("\n");
    assert.deepEqual(Object.keys(parse(source)), ["a", "b", "c", "quoted key", "de"]);
    assert.equal(place(source, "b"), "5:1");
    assert.equal(place(source, "c"), "9:1");
    assert.equal(place(source, "quoted key"), "10:1");
    assert.equal(place(source, "de"), "11:1");
    assert.equal(place(source, "x"), undefined);
  });

  it("gives the nearest place around what is not written", () => {
    assert.equal(place("[[provider]]\nkind = 'x'\n", "provider", 0, "path"), "1:1");
    assert.equal(place("", "daemon", "socket"), undefined);
  });

  it("reads line ends of Windows", () => {
    assert.equal(place("a = 1\r\n[b]\r\nc = 2\r\n", "b", "c"), "3:1");
  });

  it("finds every value of any document", () => {
    const key = fc.stringMatching(/^[A-Za-z0-9_ "'#=.[\]-]{1,8}$/);
    const leaf = fc.oneof(fc.string(), fc.integer(), fc.boolean());
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 3 },
        leaf,
        fc.array(leaf, { maxLength: 3 }),
        tie("table"),
        fc.array(tie("table"), { minLength: 1, maxLength: 3 }),
      ),
      table: fc.dictionary(key, tie("any"), { maxKeys: 4, noNullPrototype: true }),
    })).table as fc.Arbitrary<Record<string, unknown>>;
    fc.assert(
      fc.property(value, (table) => {
        const source = stringify(table);
        const lines = source.split("\n");
        const positions = new TomlPositions(source);
        for (const path of allPaths(parse(source))) {
          const found = positions.find(path);
          assert.ok(found !== undefined, `${JSON.stringify(path)} in ${source}`);
          const rest = lines[found.line - 1]!.slice(found.column - 1);
          const name = path.findLast((part) => typeof part === "string")!;
          const written = [String(name), JSON.stringify(name).slice(1, -1)];
          if (typeof path.at(-1) === "string")
            assert.ok(
              written.some((text) => rest.includes(text)),
              `${name} at ${rest}`,
            );
        }
      }),
    );
  });
});
