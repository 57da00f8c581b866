/** No bytes that a client sends make the parsers throw, and what they accept is sound. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LINE_BYTES_MAX } from "../../core/constants.ts";
import { createRouteUpdate } from "../../core/model/route.ts";
import { BodyFormat, createSplitter } from "../../core/northbound/line_splitter.ts";
import { formatRejection } from "../../core/northbound/result_json.ts";
import { SplitKind } from "../../core/northbound/splitter.ts";
import { UPDATE_ERRORS } from "../../core/northbound/update_error.ts";
import { parseUpdateObject } from "../../core/northbound/update_json.ts";
import { parseUpdate } from "../../core/northbound/update_text.ts";
import { checkSound } from "../support/sound_update.ts";

const resolver = { deviceIndex: (name: string) => (name === "v0" ? 3 : 0), vrfTable: (name: string) => name.length };
const FORMATS = [BodyFormat.NDJSON, BodyFormat.JSON, BodyFormat.LINES];

/** Takes a body apart and returns how many updates were accepted. */
function run(format: BodyFormat, chunks: Uint8Array[]): number {
  const splitter = createSplitter(format);
  const into = createRouteUpdate();
  let accepted = 0;
  const drain = () => {
    for (let kind = splitter.next(); kind !== SplitKind.NONE; kind = splitter.next()) {
      const error = parseUpdate(kind, splitter, format, into, resolver);
      if (error === null) {
        checkSound(into);
        accepted++;
      } else {
        assert.ok(error.code in UPDATE_ERRORS);
        const result = JSON.parse(formatRejection(splitter.number, into, error));
        assert.equal(result.line, splitter.number);
        assert.ok(JSON.stringify(result).length < 2000, "a rejection is short, whatever was sent");
      }
    }
  };
  for (const chunk of chunks) {
    splitter.push(chunk);
    drain();
  }
  splitter.end();
  drain();
  return accepted;
}

const address = fc.oneof(fc.constantFrom("10.0.0.2", "2001:db8::2", "fe80::1", "::", "10.0.0.0"), fc.ipV4(), fc.ipV6());
const junk = fc.oneof(fc.jsonValue(), fc.constantFrom(0, -1, 256, 4294967296, "", "v0", null, [], {}));
const maybe = (value: fc.Arbitrary<unknown>) =>
  fc.oneof({ weight: 40, arbitrary: value }, { weight: 1, arbitrary: junk });
const prefix = fc.oneof(
  fc.constantFrom("0.0.0.0/0", "::/0", "10.0.0.0/8", "2001:db8::/32"),
  fc.tuple(address, fc.constantFrom("/8", "/24", "/32", "/128", "")).map(([base, length]) => base + length),
);
const nexthop = fc.record(
  {
    via: maybe(address),
    dev: maybe(fc.constantFrom("v0", "v0", "v9")),
    weight: maybe(fc.integer({ min: 1, max: 256 })),
    onlink: maybe(fc.boolean()),
    labels: maybe(fc.array(fc.nat(2_000_000), { maxLength: 3 })),
    seg6: maybe(
      fc.record({ mode: maybe(fc.constantFrom("encap", "inline")), segs: maybe(fc.array(address, { maxLength: 3 })) }),
    ),
  },
  { requiredKeys: ["via"] },
);
/** A right update of one family, into which `updateObject` throws other fields. */
const plainObject = fc.constantFrom("10.0.0.0/8 10.0.0.2", "2001:db8::/32 2001:db8::2").map((text) => {
  const [to, via] = text.split(" ");
  return { prefix: to, nexthops: [{ via, dev: "v0" }] };
});
const otherFields = fc.record(
  {
    op: maybe(fc.constantFrom("install", "delete")),
    prefix: maybe(prefix),
    source: maybe(prefix),
    table: maybe(fc.nat()),
    vrf: maybe(fc.constantFrom("red", "")),
    type: maybe(fc.constantFrom("unicast", "blackhole")),
    nexthops: maybe(fc.array(nexthop, { maxLength: 12 })),
    nexthopGroup: maybe(fc.nat()),
    metric: maybe(fc.nat()),
    mtu: maybe(fc.integer({ min: 1200, max: 1500 })),
    prefsrc: maybe(address),
    protocol: maybe(fc.constantFrom("bgp", 4)),
  },
  { requiredKeys: [] },
);
const updateObject = fc
  .tuple(
    plainObject,
    otherFields,
    fc.subarray(["op", "prefix", "source", "table", "vrf", "type", "nexthops", "metric"]),
  )
  .map(([plain, other, kept]) => {
    const some = Object.entries(other).filter(([name]) => kept.length === 0 || kept.includes(name));
    return { ...plain, ...Object.fromEntries(some) };
  });
const word = fc.oneof(
  fc.constantFrom(
    "via",
    "dev",
    "v0",
    "nexthop",
    "weight",
    "table",
    "metric",
    "vrf",
    "encap",
    "mpls",
    "100/200",
    "seg6",
  ),
  fc.constantFrom(
    "mode",
    "segs",
    "src",
    "from",
    "to",
    "onlink",
    "default",
    "blackhole",
    "inet6",
    "mtu",
    "nhid",
    "#",
    '"',
    "\\",
  ),
  address,
  prefix,
  fc.nat().map(String),
  fc.string(),
);
const command = fc
  .tuple(fc.constantFrom("route add", "-6 route replace", "route del", "ip"), prefix, fc.array(word, { maxLength: 10 }))
  .map(([verb, to, words]) => [verb, to, ...words].join(" "));

describe("northbound parsers", () => {
  it("take any bytes in any chunks", () => {
    const bytes = fc.uint8Array({ maxLength: 200 });
    const nearJson = fc
      .array(fc.constantFrom("{", "}", "[", "]", ",", '"', "\\", "\n", '{"prefix":"::/0"}', "é"), { maxLength: 40 })
      .map((parts) => new TextEncoder().encode(parts.join("")));
    fc.assert(
      fc.property(fc.array(fc.oneof(bytes, nearJson), { maxLength: 4 }), (chunks) => {
        for (const format of FORMATS) run(format, chunks);
      }),
      { numRuns: 3000 },
    );
  });

  it("take any object, and accept only what is sound", () => {
    let accepted = 0;
    const into = createRouteUpdate();
    fc.assert(
      fc.property(updateObject, (value) => {
        if (parseUpdateObject(value, into, resolver) !== null) return;
        accepted++;
        checkSound(into);
      }),
      { numRuns: 5000 },
    );
    assert.ok(accepted > 50, `the generator makes good updates too: ${accepted}`);
  });

  it("take any command, and accept only what is sound", () => {
    let accepted = 0;
    fc.assert(
      fc.property(fc.array(command, { maxLength: 5 }), (lines) => {
        accepted += run(BodyFormat.LINES, [new TextEncoder().encode(lines.join("\n"))]);
      }),
      { numRuns: 3000 },
    );
    assert.ok(accepted > 50, `the generator makes good commands too: ${accepted}`);
  });

  it("take very long texts", () => {
    const long = "1".repeat(LINE_BYTES_MAX - 200);
    for (const text of [
      `{"prefix":"${long}"}`,
      `{"${long}":1}`,
      `route add ${long}`,
      `route add 10.0.0.0/8 dev v0 mtu ${long}`,
    ]) {
      for (const format of FORMATS) run(format, [new TextEncoder().encode(text)]);
    }
    run(BodyFormat.JSON, [new TextEncoder().encode("[".repeat(500_000))]);
    run(BodyFormat.NDJSON, [new TextEncoder().encode("[".repeat(500_000))]);
  });
});
