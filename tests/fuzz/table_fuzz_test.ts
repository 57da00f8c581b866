/**
 * Every target of the table for some cases, with a seed that is printed; and canaries: faults that are put in on purpose, of
 * different kinds, each of which must be found, and found again by the seed that is told.
 */
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import process from "node:process";
import { describe, it } from "node:test";
import { createSplitter } from "../../core/northbound/line_splitter.ts";
import type { UpdateSplitter } from "../../core/northbound/splitter.ts";
import { decodeRoute } from "../../ffi/netlink/route_decode.ts";
import { createHarness } from "../support/api_harness.ts";
import { FuzzFailure, type FuzzReport, type FuzzTarget, formatReport, fuzz } from "../support/fuzz.ts";
import { FUZZ_TARGETS } from "./table.ts";
import { apiTarget } from "./targets/api.ts";
import { netlinkTarget } from "./targets/kernel_and_fpm.ts";
import { bodyTarget } from "./targets/updates.ts";

/** What makes a file one that decodes. */
const DECODES =
  /^export (?:async )?function\*? (?:decode|parse)[A-Z]|^export class \w*(?:Decoder|Parser|Splitter|Reader)\b/m;
const NOT_FROM_OUTSIDE: Readonly<Record<string, string>> = {
  "core/context/attrs.ts": "reads records of the arena, which the main thread writes",
  "core/model/shared_text.ts": "reads what another thread of ours writes",
  "core/northbound/outcome.ts": "reads contexts",
  "core/northbound/cli/grammar.ts": "reads the command line of whoever runs it",
};

const SEED = Number(process.env["FUZZ_SEED"] ?? Date.now() & 0x7fff_ffff);

describe(`fuzz targets (FUZZ_SEED=${SEED})`, () => {
  for (const target of FUZZ_TARGETS) {
    it(`${target.name}: ${target.smoke} cases`, async () => {
      const report = await fuzz(target, { seed: SEED, cases: target.smoke });
      process.stderr.write(`${formatReport(report)}\n`);
      assert.equal(report.cases, target.smoke);
      assertTempered(report);
    });
  }

  it("reach every file that decodes, but those that read what we wrote ourselves", () => {
    assert.equal(new Set(FUZZ_TARGETS.map(({ name }) => name)).size, FUZZ_TARGETS.length);
    const reached = new Set(FUZZ_TARGETS.flatMap(({ reads }) => reads));
    for (const path of [...reached, ...Object.keys(NOT_FROM_OUTSIDE)]) assert.ok(existsSync(path), path);
    const files = globSync("{core,ffi,providers}/**/*.ts").filter((path) => DECODES.test(readFileSync(path, "utf8")));
    assert.ok(files.length > 20);
    const missing = files.filter((path) => !reached.has(path) && !(path in NOT_FROM_OUTSIDE));
    assert.deepEqual(missing, [], "give each a target, or say why it needs none");
  });
});

/** Cases that are all refused at the door, or all taken, test little. */
function assertTempered({ target, cases, accepted }: FuzzReport): void {
  assert.ok(accepted >= cases / 50, `${target}: only ${accepted} of ${cases} cases were taken: they are too wild`);
  const isTame = accepted > cases * 0.98 && target !== "fpm-client" && target !== "record";
  assert.ok(!isTame, `${target}: ${accepted} of ${cases} cases were taken: they are too tame`);
}

/** Loses the first byte of a chunk that begins with a line's end. */
function forgetful(splitter: UpdateSplitter): UpdateSplitter {
  return new Proxy(splitter, {
    get: (original, key) => {
      if (key === "push") {
        return (chunk: Uint8Array) => original.push(chunk[0] === 0x0a && chunk.length > 1 ? chunk.subarray(1) : chunk);
      }
      const value = Reflect.get(original, key, original) as unknown;
      return typeof value === "function" ? (value as () => unknown).bind(original) : value;
    },
  });
}

/** Believes an attribute's length, also where it leads out of the message. */
function trusting(view: DataView, offset: number, length: number): number | null {
  if (length < 32) return null;
  const attribute = view.getUint16(offset + 28, true);
  return view.getUint8(offset + 28 + Math.max(0, attribute - 1));
}

/** Answers a query parameter of this value with a fault. */
async function brittleApi() {
  const harness = await createHarness({ queueLimit: 1024 });
  const request = harness.app.request.bind(harness.app);
  Object.assign(harness.app, {
    request: (path: string, init: RequestInit) =>
      path.includes("dryRun=true") && path.includes("ack=none")
        ? new Response("", { status: 500 })
        : request(path, init),
  });
  return harness;
}

describe(`canaries (FUZZ_SEED=${SEED})`, () => {
  const canaries: Record<string, FuzzTarget> = {
    "a splitter that loses a byte where chunks meet": bodyTarget("ndjson", (format) =>
      forgetful(createSplitter(format)),
    ),
    "a decoder that reads beyond its message": netlinkTarget([decodeRoute, trusting]),
    "a decoder that throws on a rare type of message": netlinkTarget([
      (view, offset, length) => {
        if (length >= 20 && view.getUint8(offset + 16) === 10 && view.getUint8(offset + 17) > 128)
          throw new Error("canary");
        return null;
      },
    ]),
    "an API that fails on one combination of parameters": apiTarget(brittleApi),
  };
  for (const [name, target] of Object.entries(canaries)) {
    it(`find ${name}`, async () => {
      const failure = await fuzz(target, { seed: SEED, cases: 100_000 }).then(
        () => null,
        (error: unknown) => error,
      );
      assert.ok(failure instanceof FuzzFailure, `nothing was found: ${String(failure)}`);
      assert.match(failure.message, new RegExp(`make fuzz TARGET=${target.name} SEED=${failure.seed} CASES=1`));
      await assert.rejects(fuzz(target, { seed: failure.seed, cases: 1 }), FuzzFailure);
    });
  }
});
