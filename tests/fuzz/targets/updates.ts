/** Bodies of updates in their three formats, and single updates by both ways of reading them. */
import assert from "node:assert/strict";
import { createRouteUpdate } from "../../../core/model/route.ts";
import { BodyFormat, createSplitter } from "../../../core/northbound/line_splitter.ts";
import { parseNexthopGroup } from "../../../core/northbound/nexthop_group_json.ts";
import { formatRejection } from "../../../core/northbound/result_json.ts";
import { decode, SplitKind, type UpdateSplitter } from "../../../core/northbound/splitter.ts";
import { UPDATE_ERRORS } from "../../../core/northbound/update_error.ts";
import { parseUpdate } from "../../../core/northbound/update_text.ts";
import { corpusOf, cut, type FuzzTarget, mutate } from "../../support/fuzz.ts";
import { checkSound } from "../../support/sound_update.ts";
import { comparePaths, createBytesPath, snapshot, TEST_RESOLVER } from "../../support/update_paths.ts";

const OBJECTS = [
  '{"prefix":"203.0.113.0/24","nexthops":[{"via":"10.0.0.2","dev":"v0"}]}',
  '{"op":"delete","prefix":"2001:db8::/32","table":100,"metric":1}',
  '{"prefix":"10.0.0.0/8","nexthops":[{"via":"10.0.0.2","dev":"v0","weight":1},{"via":"fe80::1","dev":"v1","weight":3,"onlink":true}]}',
  '{"prefix":"::/0","type":"blackhole","tag":7,"distance":200,"protocol":"bgp"}',
  '{"prefix":"198.51.100.0/24","nexthops":[{"via":"10.0.0.2","labels":[100,200]}],"mtu":1400,"prefsrc":"10.0.0.1"}',
  '{"prefix":"2001:db8:1::/48","source":"2001:db8:2::/48","nexthops":[{"dev":"v0","seg6":{"mode":"encap","segs":["2001:db8::9"]}}]}',
  '{ "prefix" : "192.0.2.0/24" , "vrf" : "red" , "nexthopGroup" : 4294967295 }',
];
const LINES = [
  "route add 203.0.113.0/24 via 10.0.0.2 dev v0",
  "route replace default nexthop via 10.0.0.2 weight 1 nexthop via 10.0.0.3 dev v1 weight 3 metric 5",
  "-6 route add 2001:db8::/32 via fe80::1 dev v0 table 100 mtu lock 1400 proto bgp",
  "route del blackhole 192.0.2.0/24 \\\n table 5 # a comment",
  "route add 10.0.0.0/8 encap mpls 100/200 via inet6 fe80::1 dev v0 onlink",
  "route add 2001:db8:1::/48 from 2001:db8:2::/48 encap seg6 mode encap segs 2001:db8::9,2001:db8::a dev v0 src 2001:db8::1",
];
const WORDS = [
  '"prefix":',
  '"nexthops":[',
  '"via":"::1"',
  '"weight":257',
  '"table":0',
  '"\\u0000"',
  "\\\n",
  "\r\n",
  "\n\n",
  "null",
  "1e999",
  "nexthop ",
  "via ",
  "encap ",
  "metric ",
  " 4294967296",
  "999999999999999999999",
  "/33",
  "fe80::%",
  "é",
  "\ufeff",
  "}{",
  "][",
  "[[[[",
];

const FORMATS = {
  ndjson: {
    format: BodyFormat.NDJSON,
    corpus: corpusOf([...OBJECTS.map((text) => `${text}\n`), `${OBJECTS.join("\n")}\n`]),
  },
  json: {
    format: BodyFormat.JSON,
    corpus: corpusOf([`[${OBJECTS.join(",")}]`, ...OBJECTS.map((text) => `[${text}]`), OBJECTS.join(" ")]),
  },
  iproute2: {
    format: BodyFormat.LINES,
    corpus: corpusOf([...LINES.map((text) => `${text}\n`), `${LINES.join("\n")}\n`]),
  },
} as const;

/** What a body comes to, a text for each of its updates. */
function takeApart(
  format: BodyFormat,
  chunks: readonly Uint8Array[],
  splitter: UpdateSplitter,
): { found: string[]; good: number } {
  const into = createRouteUpdate();
  const found: string[] = [];
  let good = 0;
  const drain = (): void => {
    for (let kind = splitter.next(); kind !== SplitKind.NONE; kind = splitter.next()) {
      const error = parseUpdate(kind, splitter, format, into, TEST_RESOLVER);
      if (error === null) {
        checkSound(into);
        good += 1;
        found.push(`${splitter.number} ${JSON.stringify(snapshot(into))}`);
        continue;
      }
      assert.ok(error.code in UPDATE_ERRORS, error.code);
      const rejection = formatRejection(splitter.number, into, error);
      assert.equal((JSON.parse(rejection) as { line: number }).line, splitter.number);
      assert.ok(rejection.length < 2000, "a rejection is short, whatever was sent");
      found.push(rejection);
    }
  };
  for (const chunk of chunks) {
    splitter.push(chunk);
    drain();
  }
  splitter.end();
  drain();
  return { found, good };
}

/** A body in chunks comes to what it comes to as a whole. `create` makes the splitter, which a canary replaces. */
export function bodyTarget(name: keyof typeof FORMATS, create = createSplitter): FuzzTarget {
  const { format, corpus } = FORMATS[name];
  return {
    name: `body-${name}`,
    reads: [
      "core/northbound/line_splitter.ts",
      "core/northbound/update_text.ts",
      "core/model/prefix.ts",
      ...(name === "json" ? ["core/northbound/json_splitter.ts"] : []),
      ...(name === "iproute2"
        ? ["core/northbound/update_line.ts", "core/northbound/line_words.ts"]
        : ["core/northbound/update_json.ts"]),
    ],
    smoke: 2000,
    open: () => ({
      run: (prng, feed) => {
        const body = mutate(prng, prng.pick(corpus), corpus, WORDS);
        feed(body);
        const whole = takeApart(format, [body], createSplitter(format));
        const pieces = takeApart(format, cut(prng, body), create(format));
        assert.deepEqual(pieces.found, whole.found);
        return whole.good > 0;
      },
    }),
  };
}

/** An update from its bytes is what it is as text. */
export function updateBytesTarget(): FuzzTarget {
  const corpus = corpusOf(OBJECTS);
  return {
    name: "update-bytes",
    reads: [
      "core/northbound/update_bytes.ts",
      "core/northbound/json_bytes.ts",
      "core/northbound/nexthop_bytes.ts",
      "core/northbound/update_memo.ts",
    ],
    smoke: 4000,
    open: () => {
      const into = createRouteUpdate();
      const path = createBytesPath();
      return {
        run: (prng, feed) => {
          const bytes = mutate(prng, prng.pick(corpus), corpus, WORDS);
          feed(bytes);
          return comparePaths(bytes, 0, bytes.length, into, path);
        },
      };
    },
  };
}

const GROUPS = corpusOf([
  '{"members":[{"via":"10.0.0.2","dev":"v0"}]}',
  '{"members":[{"via":"10.0.0.2","dev":"v0","weight":2},{"via":"fe80::1","dev":"v1"}],"backup":[{"via":"10.0.0.9"}]}',
  '{"members":[{"dev":"v0"}],"resilient":{"buckets":64,"idleTimer":10,"unbalancedTimer":0}}',
]);

/** Definitions of nexthop groups. */
export function nexthopGroupTarget(): FuzzTarget {
  return {
    name: "nexthop-group",
    reads: ["core/northbound/nexthop_group_json.ts"],
    smoke: 2000,
    open: () => ({
      run: (prng, feed) => {
        const bytes = mutate(prng, prng.pick(GROUPS), GROUPS, WORDS);
        feed(bytes);
        let value: unknown;
        try {
          value = JSON.parse(decode(bytes) ?? "");
        } catch {
          return false;
        }
        const definition = parseNexthopGroup(value, TEST_RESOLVER);
        if ("code" in definition) {
          assert.ok(definition.code in UPDATE_ERRORS && definition.message.length < 500);
          return false;
        }
        assert.ok(definition.members.length > 0 && definition.members.length <= 512);
        return true;
      },
    }),
  };
}
