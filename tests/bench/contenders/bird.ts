/**
 * BIRD: the table as static routes of its configuration, exported to the kernel. It reads each configuration and does what
 * differs from the one before, and does not say when the kernel has it: that is taken to be when BIRD has gone idle.
 */
import { METRIC_DEFAULT } from "../../../core/constants.ts";
import { Bird, birdSkipReason } from "../../support/bird.ts";
import type { Contender } from "../contender.ts";
import { cpuOf, cpuSince, peakBytesOf, untilIdle } from "../process_cost.ts";

export const BIRD = "BIRD";
export const BIRD_START = "BIRD, started with the table";
/** RTPROT_BIRD */
const PROTOCOL = 12;
/** No scan of the kernel's tables falls into what is measured. */
const SCAN_SECONDS = 3600;

function config(table: string | undefined): string {
  const kernel = (family: 4 | 6) => {
    const channel = `ipv${family} { import none; export where source = RTS_STATIC; }`;
    return `protocol kernel { ${channel}; metric ${METRIC_DEFAULT}; scan time ${SCAN_SECONDS}; }`;
  };
  const device = `protocol device { scan time ${SCAN_SECONDS}; }`;
  const include = table === undefined ? "" : `include "${table}";`;
  return ["router id 10.64.0.1;", device, kernel(4), kernel(6), include, ""].join("\n");
}

export function birdContender(): Contender {
  return {
    name: BIRD,
    skipped: birdSkipReason(),
    protocol: PROTOCOL,
    open: async (netns) => {
      const bird = await Bird.start(netns, config(undefined));
      await untilIdle(bird.pid);
      return {
        run: async (feeds, op) => {
          const text = config(op === "delete" ? undefined : feeds.path("bird", op));
          const before = cpuOf(bird.pid);
          const startedAt = performance.now();
          bird.reconfigure(text);
          const endedAt = await untilIdle(bird.pid);
          return { ms: endedAt - startedAt, cpu: cpuSince(bird.pid, before) };
        },
        peakBytes: () => peakBytesOf(bird.pid),
        end: () => bird.stop(),
      };
    },
  };
}

/** BIRD that finds the table in the configuration that it is started with; from the start of the process. */
export function birdStartContender(): Contender {
  return {
    name: BIRD_START,
    skipped: birdSkipReason(),
    protocol: PROTOCOL,
    open: async (netns) => {
      let bird: Bird | undefined;
      return {
        run: async (feeds, op) => {
          const text = config(feeds.path("bird", op));
          const startedAt = performance.now();
          bird = await Bird.start(netns, text);
          const endedAt = await untilIdle(bird.pid);
          return { ms: endedAt - startedAt, cpu: cpuOf(bird.pid) };
        },
        peakBytes: () => (bird === undefined ? 0 : peakBytesOf(bird.pid)),
        end: async () => bird?.stop(),
      };
    },
  };
}
