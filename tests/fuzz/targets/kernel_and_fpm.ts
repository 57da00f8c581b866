/** Messages of the kernel, and FPM from both of its ends. */
import assert from "node:assert/strict";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createFpmClientCounterStorage } from "../../../core/model/fpm_client_counters.ts";
import { createRouteUpdate } from "../../../core/model/route.ts";
import { FpmRouteReader } from "../../../core/northbound/fpm/fpm_route.ts";
import { FrameError, FrameReader } from "../../../ffi/fpm/frame.ts";
import { decodeAck } from "../../../ffi/netlink/ack.ts";
import { decodeAddress } from "../../../ffi/netlink/address.ts";
import { describeDatagram } from "../../../ffi/netlink/describe.ts";
import { decodeLink } from "../../../ffi/netlink/link.ts";
import { align4, messageLength } from "../../../ffi/netlink/message.ts";
import { decodeNexthop } from "../../../ffi/netlink/nexthop.ts";
import { decodeRoute } from "../../../ffi/netlink/route_decode.ts";
import { FpmConnection } from "../../../providers/fpm/connection.ts";
import { FpmCounters } from "../../../providers/fpm/counters.ts";
import { ChangeDecoder } from "../../../providers/kernel/changes.ts";
import { mutatedStreams } from "../../support/fpm_mutants.ts";
import { type FuzzTarget, mutate } from "../../support/fuzz.ts";
import { fpmFrames, fpmTopics } from "../../support/golden_fpm.ts";
import { goldenMessages, goldenTopics } from "../../support/golden_netlink.ts";
import { createQuietLog } from "../../support/quiet_log.ts";
import { until } from "../../support/wait.ts";

const CAPTURES = fpmTopics().map(fpmFrames);
const MESSAGES = goldenTopics()
  .flatMap(goldenMessages)
  .map((view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
/** Bytes that look like attributes, behind what a decoder is given. */
const BEHIND = 256;

type Decoder = (view: DataView, offset: number, length: number) => unknown;

const DECODERS: readonly Decoder[] = [decodeRoute, decodeNexthop, decodeLink, decodeAddress, decodeAck];

/** No decoder throws, and none looks at what lies behind its message. */
export function netlinkTarget(decoders: readonly Decoder[] = DECODERS): FuzzTarget {
  return {
    name: "netlink",
    reads: [
      "ffi/netlink/route_decode.ts",
      "ffi/netlink/nexthop.ts",
      "ffi/netlink/link.ts",
      "ffi/netlink/address.ts",
      "ffi/netlink/ack.ts",
      "providers/kernel/changes.ts",
    ],
    smoke: 4000,
    open: () => {
      const changes = new ChangeDecoder({ protocol: 210, isOwnPort: () => false, wantsAllRoutes: () => true });
      return {
        run: (prng, feed) => {
          const bytes = mutate(prng, prng.pick(MESSAGES), MESSAGES);
          // Most of them should get past the check of the message's own length.
          if (prng.chance(0.8) && bytes.length >= 4) new DataView(bytes.buffer).setUint32(0, bytes.length, true);
          feed(bytes);
          const alone = new DataView(bytes.buffer);
          const room = new DataView(new Uint8Array(bytes.length + BEHIND).fill(4).buffer);
          new Uint8Array(room.buffer).set(bytes);
          let accepted = false;
          for (const decode of decoders) {
            const message = decode(alone, 0, bytes.length);
            assert.deepEqual(decode(room, 0, bytes.length), message);
            accepted ||= message !== null;
          }
          assert.equal(typeof describeDatagram(alone, 0, bytes.length).join("\n"), "string");
          if (bytes.length >= 16) changes.decode(room, 0, bytes.length);
          return accepted;
        },
      };
    },
  };
}

/** What the FPM server reads of a peer. */
export function fpmTarget(): FuzzTarget {
  return {
    name: "fpm-server",
    reads: [
      "ffi/fpm/frame.ts",
      "core/northbound/fpm/fpm_route.ts",
      "ffi/netlink/route_decode.ts",
      "ffi/netlink/nexthop.ts",
    ],
    smoke: 500,
    open: () => {
      const mapping = { tables: new Map(), links: new Map(), metric: 20, acceptKernel: false, deviceIndex: () => 0 };
      const routes = new FpmRouteReader(mapping, false);
      const update = createRouteUpdate();
      return {
        run: (prng, feed) => {
          const chunks = mutatedStreams(prng, CAPTURES).next().value;
          const frames = new FrameReader();
          let taken = 0;
          try {
            for (const chunk of chunks) {
              feed(chunk);
              frames.push(chunk);
              while (frames.next()) {
                const { view, start, end } = frames;
                assert.ok(start <= end && end <= view.byteLength, "a frame lies in what has come");
                for (let at = start, length = 0; at < end; at += align4(length)) {
                  length = messageLength(view, at, end);
                  if (length === 0) break;
                  assert.ok(at + length <= end, "a message ends with its frame");
                  const message = decodeRoute(view, at, length);
                  decodeNexthop(view, at, length);
                  if (message !== null && routes.read(message, update) === null) taken += 1;
                }
              }
            }
          } catch (error) {
            if (!(error instanceof FrameError)) throw error;
          }
          return taken > 0;
        },
      };
    },
  };
}

/** What the FPM client reads of the server that it exports to: nonsense ends that connection, and the next one is made. */
export function fpmClientTarget(): FuzzTarget {
  return {
    name: "fpm-client",
    reads: ["providers/fpm/connection.ts", "ffi/fpm/frame.ts"],
    smoke: 100,
    open: async () => {
      let peer: Socket | null = null;
      const server = createServer((socket) => {
        socket.on("error", () => {});
        socket.resume();
        peer = socket;
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
      let isConnected = false;
      const storage = createFpmClientCounterStorage();
      const connection = new FpmConnection({
        host: "127.0.0.1",
        port: (server.address() as AddressInfo).port,
        retryMinMs: 1,
        onConnect: () => {
          isConnected = true;
          connection.markGood();
        },
        onClose: () => {
          isConnected = false;
        },
        onWritten: () => {},
        counters: new FpmCounters(storage),
        log: createQuietLog(),
      });
      connection.open();
      return {
        run: async (prng, feed) => {
          await until("it is connected", () => isConnected && peer !== null);
          const socket = peer!;
          for (const chunk of mutatedStreams(prng, CAPTURES).next().value) {
            feed(chunk);
            socket.write(chunk);
          }
          peer = null;
          socket.end();
          await until("the connection is over", () => !isConnected || peer !== null);
          return true;
        },
        close: async () => {
          connection.close();
          await new Promise((resolve) => server.close(resolve));
        },
      };
    },
  };
}
