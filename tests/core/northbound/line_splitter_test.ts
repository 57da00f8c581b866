/** Taking bodies apart: the same updates come out however the bytes are cut. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LINE_BYTES_MAX } from "../../../core/constants.ts";
import { createRouteUpdate } from "../../../core/model/route.ts";
import { BodyFormat, createSplitter, detectFormat } from "../../../core/northbound/line_splitter.ts";
import { SplitKind, type UpdateSplitter } from "../../../core/northbound/splitter.ts";
import { isBlankUpdate, parseUpdate } from "../../../core/northbound/update_text.ts";

const encoder = new TextEncoder();
type Found = [number, string];

function bytesText({ bytes, from, to }: UpdateSplitter): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(from, to));
  } catch {
    return null;
  }
}

/** Splits `bytes` given in chunks that end at `cuts`; what was found, as `[number, text or kind]`. */
function split(format: BodyFormat, bytes: Uint8Array, cuts: number[] = []): Found[] {
  const splitter = createSplitter(format);
  const found: Found[] = [];
  const drain = () => {
    for (let kind = splitter.next(); kind !== SplitKind.NONE; kind = splitter.next()) {
      const isText = kind === SplitKind.TEXT;
      const { text } = splitter;
      // Where nothing has to be joined, it is the text that tells of bad bytes.
      found.push([splitter.number, isText ? (text ?? `kind ${SplitKind.INVALID_UTF8}`) : `kind ${kind}`]);
      if (isText && format !== BodyFormat.LINES) assert.equal(bytesText(splitter), text);
    }
  };
  const ends = [...cuts, bytes.length].sort((a, b) => a - b);
  let start = 0;
  for (const end of ends) {
    const chunk = bytes.slice(start, end);
    splitter.push(chunk);
    drain();
    chunk.fill(0x58); // The chunk may be reused once next() returned NONE.
    start = end;
  }
  splitter.end();
  drain();
  assert.equal(splitter.next(), SplitKind.NONE);
  return found;
}

function everyChunking(format: BodyFormat, bytes: Uint8Array, expected: Found[]): void {
  for (let cut = 0; cut <= bytes.length; cut++) {
    for (let second = cut; second <= bytes.length; second++) {
      assert.deepEqual(split(format, bytes, [cut, second]), expected, `cut at ${cut} and ${second}`);
    }
  }
  assert.deepEqual(split(format, bytes, Array.from(bytes.keys())), expected, "byte by byte");
}

describe("LineSplitter", () => {
  it("finds the same lines however the body is cut", () => {
    const bytes = encoder.encode('\ufeff{"a":1}\r\n\n  \nzwölf €😀\nlast');
    const expected: Found[] = [
      [1, '{"a":1}'],
      [2, ""],
      [3, "  "],
      [4, "zwölf €😀"],
      [5, "last"],
    ];
    everyChunking(BodyFormat.NDJSON, bytes, expected);
  });

  it("reports bad bytes for their own line only", () => {
    const bytes = Uint8Array.from([...encoder.encode("one\n"), 0xff, 0xfe, 0x0a, ...encoder.encode("three\n"), 0xc3]);
    const bad = `kind ${SplitKind.INVALID_UTF8}`;
    everyChunking(BodyFormat.NDJSON, bytes, [
      [1, "one"],
      [2, bad],
      [3, "three"],
      [4, bad],
    ]);
  });

  it("joins lines that end with a backslash, under the number of the first", () => {
    const bytes = encoder.encode("a \\\nb\\\r\nc\nd # e \\\nf\n\\\n");
    const expected: Found[] = [
      [1, "a bc"],
      [4, "d # e \\"],
      [5, "f"],
      [6, `kind ${SplitKind.TRUNCATED}`],
    ];
    everyChunking(BodyFormat.LINES, bytes, expected);
    assert.deepEqual(split(BodyFormat.NDJSON, encoder.encode("a\\\nb")), [
      [1, "a\\"],
      [2, "b"],
    ]);
  });

  it("skips a line that is too long, and goes on behind it", () => {
    const long = "x".repeat(LINE_BYTES_MAX + 1);
    const fits = "y".repeat(LINE_BYTES_MAX);
    const bytes = encoder.encode(`a\n${long}\n${fits}\nb\n${long}${long}`);
    const expected: Found[] = [
      [1, "a"],
      [2, `kind ${SplitKind.TOO_LONG}`],
      [3, fits],
      [4, "b"],
      [5, `kind ${SplitKind.TOO_LONG}`],
    ];
    for (const step of [bytes.length, 65_536, 70_001]) {
      const cuts = Array.from({ length: Math.floor(bytes.length / step) }, (_, index) => index * step);
      const found = split(BodyFormat.NDJSON, bytes, cuts);
      assert.deepEqual(
        found.map(([number, text]) => [number, text.slice(0, 9), text.length]),
        expected.map(([number, text]) => [number, text.slice(0, 9), text.length]),
      );
    }
  });

  it("finds what String.split finds", () => {
    const piece = fc.constantFrom("\n", "\n", "a", "ä", "{}", " ", "long ".repeat(20_000));
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), fc.array(fc.nat(), { maxLength: 5 }), (pieces, cuts) => {
        const text = pieces.join("");
        const bytes = encoder.encode(text);
        const lines = text.split("\n");
        if (lines.at(-1) === "") lines.pop();
        const found = split(
          BodyFormat.NDJSON,
          bytes,
          cuts.map((cut) => cut % (bytes.length + 1)),
        );
        assert.deepEqual(
          found,
          lines.map((line, index) => [index + 1, line]),
        );
      }),
      { numRuns: 100 },
    );
  });
});

describe("JsonSplitter", () => {
  it("finds the same elements however an array is cut", () => {
    const bytes = encoder.encode('\ufeff [ {"a":"]},\\"{"} ,{"b":[1,{"c":[]}]},\n7 , "x,y"]\n');
    const expected: Found[] = [
      [1, '{"a":"]},\\"{"} '],
      [2, '{"b":[1,{"c":[]}]}'],
      [3, "7 "],
      [4, '"x,y"'],
    ];
    everyChunking(BodyFormat.JSON, bytes, expected);
  });

  it("finds objects that span lines, one behind the other", () => {
    const bytes = encoder.encode('{\n "a": {"b":"}"}\n}\n{"c":1}{"d":2}\n');
    const expected: Found[] = [
      [1, '{\n "a": {"b":"}"}\n}'],
      [2, '{"c":1}'],
      [3, '{"d":2}'],
    ];
    everyChunking(BodyFormat.JSON, bytes, expected);
  });

  const truncated = `kind ${SplitKind.TRUNCATED}`;
  const cases: [string, Found[]][] = [
    ["", []],
    ["[]", []],
    [" [ ] ", []],
    ["[{}", [[1, truncated]]],
    [
      "[{},",
      [
        [1, "{}"],
        [2, truncated],
      ],
    ],
    ["[", [[1, truncated]]],
    [
      "[{},]",
      [
        [1, "{}"],
        [2, ","],
      ],
    ],
    [
      "[,{}]",
      [
        [1, ","],
        [2, "{}"],
      ],
    ],
    [
      "[{}}, {}]",
      [
        [1, "{}}"],
        [2, "{}"],
      ],
    ],
    ["[{} {}]", [[1, "{} {}"]]],
    ['[{"a', [[1, truncated]]],
    [
      "[{}] x",
      [
        [1, "{}"],
        [2, "x"],
      ],
    ],
    ["{", [[1, truncated]]],
    ["null", [[1, "null"]]],
    [
      "}\n{}",
      [
        [1, "}"],
        [2, "{}"],
      ],
    ],
  ];
  for (const [text, expected] of cases) {
    it(`splits ${JSON.stringify(text)}`, () => everyChunking(BodyFormat.JSON, encoder.encode(text), expected));
  }

  it("skips an element that is too long, and goes on behind it", () => {
    const bytes = encoder.encode(`[{},{"a":"${"x".repeat(LINE_BYTES_MAX)}"},{}]`);
    const expected: Found[] = [
      [1, "{}"],
      [2, `kind ${SplitKind.TOO_LONG}`],
      [3, "{}"],
    ];
    assert.deepEqual(split(BodyFormat.JSON, bytes), expected);
    assert.deepEqual(split(BodyFormat.JSON, bytes, [1000, 500_000, 1_048_570]), expected);
  });

  it("finds what JSON.parse finds", () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue(), { minLength: 1 }), fc.array(fc.nat(), { maxLength: 5 }), (values, cuts) => {
        const bytes = encoder.encode(JSON.stringify(values));
        const found = split(
          BodyFormat.JSON,
          bytes,
          cuts.map((cut) => cut % (bytes.length + 1)),
        );
        assert.deepEqual(
          found.map(([, text]) => JSON.parse(text)),
          JSON.parse(JSON.stringify(values)),
        );
      }),
      { numRuns: 300 },
    );
  });
});

describe("detectFormat", () => {
  const cases: [string, string, BodyFormat][] = [
    ["", '\ufeff \n{"prefix"', BodyFormat.NDJSON],
    ["", " [", BodyFormat.JSON],
    ["", "route add", BodyFormat.LINES],
    ["", "# comment", BodyFormat.LINES],
    ["", " \n", BodyFormat.UNKNOWN],
    ["application/x-www-form-urlencoded", "{", BodyFormat.NDJSON],
    ["text/plain; charset=utf-8", "[", BodyFormat.JSON],
    ["application/json; charset=utf-8", "{", BodyFormat.JSON],
    ["application/x-ndjson", "garbage", BodyFormat.NDJSON],
    ["Text/X-Iproute2", "", BodyFormat.LINES],
  ];
  for (const [type, start, expected] of cases) {
    it(`${JSON.stringify(type)} ${JSON.stringify(start)}`, () => {
      assert.equal(detectFormat(type, encoder.encode(start)), expected);
    });
  }
});

describe("parseUpdate", () => {
  const resolver = { deviceIndex: () => 3, vrfTable: () => 0 };

  /** `number code` of each update in `text`, "ok" for those without error. */
  function results(format: BodyFormat, text: string): string[] {
    const splitter = createSplitter(format);
    const into = createRouteUpdate();
    const lines: string[] = [];
    splitter.push(encoder.encode(text));
    splitter.end();
    for (let kind = splitter.next(); kind !== SplitKind.NONE; kind = splitter.next()) {
      if (kind === SplitKind.TEXT && isBlankUpdate(splitter, format)) continue;
      const error = parseUpdate(kind, splitter, format, into, resolver);
      lines.push(`${splitter.number} ${error === null ? "ok" : error.code}`);
    }
    return lines;
  }

  it("goes on behind every bad line", () => {
    const good = '{"prefix":"10.0.0.0/8","nexthops":[{"dev":"v0"}]}';
    assert.deepEqual(results(BodyFormat.NDJSON, `${good}\n{oops\n\n5\n${good}\n`), [
      "1 ok",
      "2 INVALID_JSON",
      "4 WRONG_TYPE",
      "5 ok",
    ]);
    assert.deepEqual(results(BodyFormat.JSON, `[${good},,${good}`), ["1 ok", "2 INVALID_JSON", "3 TRUNCATED"]);
    assert.deepEqual(results(BodyFormat.LINES, "# all\nroute add 10.0.0.0/8 dev v0\nbogus\nroute del 10.0.0.0/8"), [
      "2 ok",
      "3 INVALID_LINE",
      "4 ok",
    ]);
  });
});
