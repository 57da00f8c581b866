/** dplaned, by each of the ways in: a daemon of its own for each session. */
import { setTimeout } from "node:timers";
import { RTPROT_DEFAULT } from "../../../core/constants.ts";
import type { DplaneJson, FpmJson } from "../../../core/northbound/api_types.ts";
import { BINARY, DaemonProcess } from "../../../scripts/daemon_process.ts";
import { TABLE_DEVICE } from "../../../scripts/internet_table.ts";
import { binarySkipReason, runProgram } from "../../support/binary.ts";
import type { Contender, Session, Timing } from "../contender.ts";
import type { Feeds, Op } from "../feeds.ts";
import { compilerSkipReason, type NativePrograms } from "../native.ts";
import { cpuOf, cpuSince } from "../process_cost.ts";
import { expectAll, Feeder } from "./feed.ts";
import { runMeasured } from "./process.ts";

export const DPLANED_HTTP = "dplaned, NDJSON over HTTP";
export const DPLANED_LOAD = "dplaned route load";
export const DPLANED_FPM = "dplaned, FPM";

/** Between two looks at how far the daemon is. */
const RESULTS_POLL_MS = 10;

interface Way {
  run(feeds: Feeds, op: Op): Promise<Omit<Timing, "cpu">>;
  end(): Promise<void>;
}

function sessionOf(daemon: DaemonProcess, way: Way): Session {
  return {
    run: async (feeds, op) => {
      const before = cpuOf(daemon.pid);
      const timing = await way.run(feeds, op);
      return { ...timing, cpu: cpuSince(daemon.pid, before) };
    },
    peakBytes: () => daemon.memoryBytes("VmHWM"),
    end: async () => {
      await way.end();
      await daemon.stop();
    },
  };
}

/** As a controller does it: one request with all updates, the answer read as it comes. */
export function httpContender(native: NativePrograms): Contender {
  return {
    name: DPLANED_HTTP,
    skipped: binarySkipReason() || compilerSkipReason(),
    protocol: RTPROT_DEFAULT,
    open: async (netns) => {
      const daemon = await DaemonProcess.start({ netns: netns.name });
      const feeder = new Feeder(native, "http", daemon.socket, "/v1/routes?ack=all");
      return sessionOf(daemon, {
        run: async (feeds, op) => {
          const fed = await feeder.send(feeds.path("ndjson", op), feeds.routes);
          expectAll(DPLANED_HTTP, fed.good, feeds.routes);
          return fed;
        },
        end: () => feeder.end(),
      });
    },
  };
}

/** Loads a file by `dplaned route load`, to the end of that process. Throws where not every route is programmed. */
export async function loadFile(socket: string, file: string, ...words: readonly string[]): Promise<void> {
  const { status, stderr } = await runProgram(BINARY, ["route", "load", file, "--socket", socket, ...words]);
  if (status !== 0) throw new Error(`dplaned route load ${file} ended with status ${status}: ${stderr.slice(-500)}`);
}

/** By `dplaned route load`; from the start of that process to its end. */
export function loadContender(native: NativePrograms): Contender {
  return {
    name: DPLANED_LOAD,
    skipped: binarySkipReason() || compilerSkipReason(),
    protocol: RTPROT_DEFAULT,
    open: async (netns) => {
      const daemon = await DaemonProcess.start({ netns: netns.name });
      return sessionOf(daemon, {
        run: async (feeds, op) => {
          const words = ["route", "load", feeds.path("ndjson", op), "--socket", daemon.socket];
          const { ms, cpu } = await runMeasured(native, BINARY, ...words);
          return { ms, client: cpu };
        },
        end: async () => undefined,
      });
    },
  };
}

/** As zebra's `dplane_fpm_nl` sends its routes. There is no answer over FPM: the daemon is asked how many results there are. */
export function fpmContender(native: NativePrograms): Contender {
  return {
    name: DPLANED_FPM,
    skipped: binarySkipReason() || compilerSkipReason(),
    protocol: RTPROT_DEFAULT,
    open: async (netns) => {
      const [{ ifindex }] = netns.ipJson("link", "show", TABLE_DEVICE) as [{ ifindex: number }];
      const config = '[fpm]\nlisten = "127.0.0.1:0"\n';
      const daemon = await DaemonProcess.start({ netns: netns.name, config });
      const { server } = await daemon.client.getJson<FpmJson>("/v1/fpm");
      const feeder = new Feeder(native, "send", server!.listen);
      return sessionOf(daemon, {
        run: async (feeds, op) => {
          const file = feeds.path("fpm", op, ifindex);
          const before = await countResults(daemon);
          const startedAt = performance.now();
          const { client } = await feeder.send(file, feeds.routes);
          while ((await countResults(daemon)) - before < feeds.routes) {
            await new Promise((wake) => setTimeout(wake, RESULTS_POLL_MS));
          }
          return { ms: performance.now() - startedAt, client };
        },
        end: () => feeder.end(),
      });
    },
  };
}

/** Results of the daemon's life so far, of whatever kind. */
async function countResults(daemon: DaemonProcess): Promise<number> {
  const { results } = await daemon.client.getJson<DplaneJson>("/v1/dplane");
  return Object.values(results).reduce((sum, count) => sum + count, 0);
}
