/** One update by both ways: from its bytes straight, with what falls back from there, and as text by `JSON.parse`. */
import assert from "node:assert/strict";
import { createRouteUpdate, EncapType, Family, type Nexthop, type RouteUpdate } from "../../core/model/route.ts";
import { BodyFormat } from "../../core/northbound/line_splitter.ts";
import { formatRejection } from "../../core/northbound/result_json.ts";
import { decode, SplitKind, type UpdateSplitter } from "../../core/northbound/splitter.ts";
import { UpdateBytesParser } from "../../core/northbound/update_bytes.ts";
import type { NameResolver } from "../../core/northbound/update_rules.ts";
import { parseUpdate } from "../../core/northbound/update_text.ts";

const DEVICES: Readonly<Record<string, number>> = { lo: 1, v0: 3, v1: 4, "eth0.100": 5 };

export const TEST_RESOLVER: NameResolver = {
  deviceIndex: (name) => (Object.hasOwn(DEVICES, name) ? DEVICES[name]! : 0),
  vrfTable: (name) => (name === "red" ? 100 : 0),
};

/** The parser from bytes, or what a test puts in its place. */
export type BytesPath = (bytes: Uint8Array, from: number, to: number, into: RouteUpdate) => boolean;

export function createBytesPath(resolver = TEST_RESOLVER): BytesPath {
  const parser = new UpdateBytesParser();
  return (bytes, from, to, into) => parser.parse(bytes, from, to, into, resolver);
}

/** An update without the fields that mean nothing, which may hold what was there before. */
export function snapshot(update: RouteUpdate): object {
  const { prefix, source, prefsrc, nexthops, ...plain } = update;
  return {
    ...plain,
    prefix: [...prefix],
    source: [...source],
    prefsrc: update.prefsrcFamily === Family.NONE ? null : [...prefsrc],
    nexthops: nexthops.map(snapshotNexthop),
  };
}

function snapshotNexthop({ via, labels, seg6Mode, segments, ...plain }: Nexthop): object {
  return {
    ...plain,
    via: plain.viaFamily === Family.NONE ? null : [...via],
    labels: plain.encap === EncapType.MPLS ? [...labels] : null,
    seg6: plain.encap === EncapType.SEG6 ? [seg6Mode, ...segments.map((segment) => [...segment])] : null,
  };
}

/**
 * Takes `bytes[from..to)` by both ways, and finds that they come to the same: the same update, or the same error and the
 * same line about it. `into` is what the way from bytes fills, with whatever updates before have left in it. Returns
 * whether the bytes went straight.
 */
export function comparePaths(
  bytes: Uint8Array,
  from: number,
  to: number,
  into: RouteUpdate,
  bytesPath: BytesPath,
  resolver: NameResolver = TEST_RESOLVER,
): boolean {
  const splitter: UpdateSplitter = {
    bytes,
    from,
    to,
    text: decode(bytes.subarray(from, to)),
    number: 1,
    push: () => {},
    end: () => {},
    next: () => SplitKind.NONE,
  };
  const asText = (update: RouteUpdate) => {
    return parseUpdate(SplitKind.TEXT, splitter, BodyFormat.NDJSON, update, resolver);
  };
  const wanted = createRouteUpdate();
  const wantedError = asText(wanted);
  const isStraight = bytesPath(bytes, from, to, into);
  if (isStraight) assert.equal(wantedError, null, "what is wrong is not taken");
  const error = isStraight ? null : asText(into);
  assert.deepEqual(error, wantedError);
  if (error === null) assert.deepEqual(snapshot(into), snapshot(wanted));
  else assert.equal(formatRejection(1, into, error), formatRejection(1, wanted, error));
  return isStraight;
}
