/** Files: the configuration, recordings, tables of names, tokens and certificates. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { formatConfigProblem, loadConfig } from "../../../core/config/config.ts";
import { parseTableFile } from "../../../core/daemon/table_names.ts";
import { certificateNames } from "../../../core/northbound/certificate_names.ts";
import { UpdateSource } from "../../../core/northbound/cli/update_source.ts";
import { parseToken } from "../../../core/token_file.ts";
import { corpusOf, cut, type FuzzTarget, mutate } from "../../support/fuzz.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url).href);
const SHIPPED = readFileSync(join(ROOT, "packaging/dplaned.toml"), "utf8").replace(/^#(?=[a-z[])/gm, "");
const TOML_WORDS = [
  "[[owner]]\n",
  "[daemon]\n",
  "[a.b]\n",
  '"""',
  "'''",
  " = ",
  "1979-05-27T07:32:00Z",
  "inf",
  "0x1F",
  "[1, ",
  "{ a = 1 }",
  "\\u0041",
  "http = ",
  "99999999999999999999",
  "true",
  '""',
  "\u0000",
  "\r\n",
  "é",
];

export function configTarget(): FuzzTarget {
  const sections = SHIPPED.split(/\n(?=\[)/).map((text) => `${text}\n`);
  const corpus = corpusOf([SHIPPED, ...sections, ""]);
  return {
    name: "config",
    reads: ["core/config/config.ts", "core/config/schema.ts", "core/config/toml_positions.ts"],
    smoke: 300,
    open: () => {
      const directory = mkdtempSync(join(tmpdir(), "dplaned-fuzz-"));
      const path = join(directory, "dplaned.toml");
      return {
        run: (prng, feed) => {
          const bytes = mutate(prng, prng.pick(corpus), corpus, TOML_WORDS);
          feed(bytes);
          writeFileSync(path, bytes, { mode: 0o600 });
          const lines = readFileSync(path, "utf8").split(/\r?\n/).length;
          const result = loadConfig({ path, environment: {} });
          if (result.ok) return true;
          assert.ok(result.problems.length > 0);
          for (const problem of result.problems) {
            assert.ok((problem.line ?? 1) >= 1 && (problem.line ?? 1) <= lines, formatConfigProblem(problem));
            assert.ok(problem.message !== "", "it says what is wrong");
          }
          return false;
        },
        close: () => rmSync(directory, { recursive: true }),
      };
    },
  };
}

/** A recording, or any file of updates, on its way to the daemon: it is sent as it is, in pieces that end with a line. */
export function recordTarget(): FuzzTarget {
  const lines = [
    '{"op":"install","prefix":"203.0.113.0/24","table":254,"metric":20,"nexthops":[{"via":"10.0.0.2","dev":"v0"}]}\n',
    '{"op":"delete","prefix":"203.0.113.0/24","table":254,"metric":20}\n',
  ];
  const corpus = corpusOf([
    ...lines,
    lines.join("").repeat(20),
    "# comment\nroute add 10.0.0.0/8 via 10.0.0.2\n",
    '\ufeff[{"prefix":"::/0"}]',
  ]);
  return {
    name: "record",
    reads: ["core/northbound/cli/update_source.ts"],
    smoke: 500,
    open: () => ({
      run: async (prng, feed) => {
        const bytes = mutate(prng, prng.pick(corpus), corpus, ["\n", "\r\n", "# ", "[", "{"]);
        feed(bytes);
        const source = new UpdateSource("fuzz", Readable.from(cut(prng, bytes)), bytes.length);
        const format = await source.detectFormat();
        const sent: Uint8Array[] = [];
        for await (const piece of source.pieces(format)) sent.push(piece);
        assert.deepEqual(Buffer.concat(sent), Buffer.from(bytes));
        for (const piece of sent.slice(0, -1)) assert.ok(format === "json" || piece.at(-1) === 0x0a, "whole lines");
        return format !== "iproute2";
      },
    }),
  };
}

/** Small files of the machine. */
export function namesTarget(): FuzzTarget {
  const corpus = corpusOf(["255\tlocal\n254\tmain\n0x64 blue # vrf\n", "0123456789abcdef\n", "-1 x\n4294967296 y\n"]);
  return {
    name: "names",
    reads: ["core/daemon/table_names.ts", "core/token_file.ts"],
    smoke: 500,
    open: () => ({
      run: (prng, feed) => {
        const bytes = mutate(prng, prng.pick(corpus), corpus);
        feed(bytes);
        const text = new TextDecoder().decode(bytes);
        for (const [number, name] of parseTableFile(text)) assert.ok(number >= 0 && /^[^\s#]+$/.test(name));
        const token = parseToken(text);
        if (token.ok) assert.match(token.token, /^[!-~]+$/);
        return token.ok;
      },
    }),
  };
}

/** What a client shows in the handshake. */
export function certificateTarget(): FuzzTarget {
  const corpus = readFileSync(join(ROOT, "tests/golden/certificates.hex"), "utf8")
    .trim()
    .split("\n")
    .map((line) => Uint8Array.from(Buffer.from(line, "hex")));
  return {
    name: "certificate",
    reads: ["core/northbound/certificate_names.ts"],
    smoke: 2000,
    open: () => ({
      run: (prng, feed) => {
        const bytes = mutate(prng, prng.pick(corpus), corpus);
        feed(bytes);
        const names = certificateNames(bytes);
        for (const name of names) assert.match(name, /^(?:CN=|DNS:|URI:|EMAIL:|IP:)[ -~]+$/);
        return names.length > 0;
      },
    }),
  };
}
