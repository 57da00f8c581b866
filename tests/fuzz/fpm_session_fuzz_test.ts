/**
 * The FPM server against recorded streams that were changed and cut at random, over real connections: it stays up, programs
 * nothing that no readable message asked for, and when the peer stays away everything is as before.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { describe, it } from "node:test";
import { formatPrefix } from "../../core/model/prefix.ts";
import { createRouteUpdate, UpdateOp } from "../../core/model/route.ts";
import { FpmRouteReader } from "../../core/northbound/fpm/fpm_route.ts";
import { Prng } from "../../core/prng.ts";
import { FPM_TYPE_NETLINK, FrameReader } from "../../ffi/fpm/frame.ts";
import { align4, messageLength } from "../../ffi/netlink/message.ts";
import { decodeRoute } from "../../ffi/netlink/route_decode.ts";
import { FpmBench } from "../support/fpm_bench.ts";
import { mutatedStreams } from "../support/fpm_mutants.ts";
import { fpmFrames, fpmTopics } from "../support/golden_fpm.ts";
import { until } from "../support/wait.ts";

/** Bytes sent in `make test`; FPM_FUZZ_BYTES for more. */
const BYTES = Number(process.env["FPM_FUZZ_BYTES"] ?? 10_000_000);
/** FPM_FUZZ_SEED repeats a run. */
const SEED = Number(process.env["FPM_FUZZ_SEED"] ?? Date.now() % 0x7fff_ffff);
const CAPTURES = fpmTopics().map(fpmFrames);
/** Connections at which the peer ends, with time to be found gone in between. */
const LIVES = 4;

const MAPPING = { tables: new Map(), links: new Map(), metric: 20, acceptKernel: false, deviceIndex: () => 0 };

const STREAMS_A_CONNECTION = 12;

/** What the readable messages of a stream ask for, by key of {@linkcode FpmBench.routes}. Stops where it cannot be read on. */
function askedFor(chunks: readonly Uint8Array[], asked: Set<string>): void {
  const frames = new FrameReader();
  const routes = new FpmRouteReader(MAPPING, false);
  const update = createRouteUpdate();
  try {
    for (const chunk of chunks) {
      frames.push(chunk);
      while (frames.next()) {
        if (frames.type !== FPM_TYPE_NETLINK) continue;
        const { view, end } = frames;
        for (let at = frames.start, length = 0; at < end; at += align4(length)) {
          length = messageLength(view, at, end);
          if (length === 0) break;
          const message = decodeRoute(view, at, length);
          if (message === null || routes.read(message, update) !== null || update.op !== UpdateOp.INSTALL) continue;
          const prefix = formatPrefix(update.family, update.prefix, 0, update.prefixLength);
          asked.add(update.table === 254 ? prefix : `${prefix} table ${update.table}`);
        }
      }
    }
  } catch {
    // The server ends the connection here.
  }
}

/** Sends so many bytes over connections of some streams each; a stream that was cut short swallows a bit of the next. */
async function sendStreams(
  bench: FpmBench,
  streams: Generator<Uint8Array[], never>,
  bytes: number,
  asked: Set<string>,
) {
  for (let sent = 0, connections = 0; sent < bytes; connections++) {
    const chunks = Array.from({ length: STREAMS_A_CONNECTION }, () => streams.next().value).flat();
    askedFor(chunks, asked);
    const peer = await bench.connect(1 + (connections % 3));
    for (const chunk of chunks) {
      sent += chunk.length;
      if (!(await peer.write(chunk))) break;
    }
    await peer.end();
  }
}

describe(`an FPM server that is told nonsense (FPM_FUZZ_SEED=${SEED})`, () => {
  it(`${BYTES} bytes: it stays up, programs what was asked for, and forgets it all in the end`, async () => {
    const bench = await FpmBench.start({ quietTimeMs: 50, holdTimeMs: 250, mapping: MAPPING }, 512);
    const { rib, groups, log } = bench.harness;
    const streams = mutatedStreams(new Prng(SEED), CAPTURES);
    const asked = new Set<string>();
    for (let life = 0; life < LIVES; life++) {
      await sendStreams(bench, streams, BYTES / LIVES, asked);
      await until("the connection is over", () => bench.peer.state === "down" || bench.peer.state === "gone");
      const strange = [...bench.routes.keys()].filter((key) => !asked.has(key.replace(/ from .*/, "")));
      assert.deepEqual(strange, [], `FPM_FUZZ_SEED=${SEED}`);
      await until("the hold time is over", () => bench.peer.state === "gone", 60_000);
      await until("all is withdrawn", () => bench.routes.size === 0 && rib.counts().ipv4 + rib.counts().ipv6 === 0);
      await until("all groups are gone", () => groups.count === 0 && groups.objects.count === 0, 60_000);
    }
    const failures = log.records.filter(({ level, message }) => level === "error" && !/cannot be read/.test(message));
    assert.deepEqual(failures, [], `FPM_FUZZ_SEED=${SEED}`);
    const { errors, routes, deletes } = bench.peer;
    assert.ok(errors > 100 && routes > 1000 && deletes > 100, `too tame, or too wild: ${JSON.stringify(bench.peer)}`);
    // The last ones go with the answers to the deletions of the groups' objects.
    await until("no attributes are left", () => rib.counts().attrs === 0);
    await bench.close();
  });
});
