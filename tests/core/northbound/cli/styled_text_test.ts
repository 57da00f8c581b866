import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type Column,
  encodeLine,
  formatTable,
  joinFitting,
  type Line,
  lengthOf,
  span,
} from "../../../../core/northbound/cli/styled_text.ts";

const plain = (line: Line): string => line.map(({ text }) => text).join("");

describe("encodeLine", () => {
  it("cuts to the width, and styles only where colours are wanted", () => {
    const line = [span("ready", "good"), span(" and waiting", "dim")];
    assert.equal(encodeLine(line, 80, true), "\x1b[32mready\x1b[0m\x1b[2m and waiting\x1b[0m");
    assert.equal(encodeLine(line, 80, false), "ready and waiting");
    assert.equal(encodeLine(line, 9, false), "ready an…");
    assert.equal(encodeLine(line, 5, false), "ready");
    assert.equal(encodeLine(line, 0, true), "");
  });

  it("spells out what would drive the terminal", () => {
    assert.equal(encodeLine([span("a\x1b[2Jb\n")], 80, true), "a\\x1b[2Jb\\x0a");
  });
});

describe("joinFitting", () => {
  it("leaves out whole spans from the end", () => {
    const spans = [span("first"), span("second"), span("third")];
    assert.equal(plain(joinFitting(spans, 80)), "first  second  third");
    assert.equal(plain(joinFitting(spans, 19)), "first  second");
    assert.equal(plain(joinFitting(spans, 3)), "first");
  });
});

describe("formatTable", () => {
  interface Row {
    name: string;
    count: number;
  }
  const columns: readonly Column<Row>[] = [
    { title: "NAME", spare: 0, cell: ({ name }) => span(name, "bold") },
    { title: "KIND", spare: 2, cell: () => span("x") },
    { title: "COUNT", align: "right", spare: 1, cell: ({ count }) => span(count) },
  ];
  const rows = [
    { name: "kernel", count: 5 },
    { name: "a", count: 1234567 },
  ];

  it("aligns columns, with a head as wide as the screen", () => {
    const lines = formatTable(columns, rows, 30);
    assert.deepEqual(lines.map(plain), [
      "NAME    KIND    COUNT".padEnd(30),
      "kernel  x           5",
      "a       x     1234567",
    ]);
    assert.equal(lines[1]![1]!.style, "bold");
  });

  it("leaves out columns where there is no room, and then cuts the first", () => {
    assert.deepEqual(formatTable(columns, rows, 20).map(plain), [
      "NAME      COUNT".padEnd(20),
      "kernel        5",
      "a       1234567",
    ]);
    assert.deepEqual(formatTable(columns, rows, 10).map(plain), ["NAME      ", "kernel", "a     "]);
    assert.deepEqual(formatTable(columns, rows, 5).map(plain), ["NAME ", "kern…", "a    "]);
    for (let width = 5; width < 40; width++) {
      for (const line of formatTable(columns, rows, width))
        assert.ok(lengthOf(line) <= width, `${width}: ${plain(line)}`);
    }
  });
});
