/** Contenders that are a process for each op, and end with it. */
import { RTPROT_DEFAULT } from "../../../core/constants.ts";
import { TABLE_DEVICE } from "../../../scripts/internet_table.ts";
import { runProgram } from "../../support/binary.ts";
import type { Contender } from "../contender.ts";
import { compilerSkipReason, type NativePrograms } from "../native.ts";
import type { CpuSeconds } from "../process_cost.ts";

export const NETLINK_LOOP = "plain C loop";
export const NETLINK_LOOP_OBJECTS = "C loop with nexthop objects";
export const IP_BATCH = "ip -batch";

export interface Measured {
  ms: number;
  cpu: CpuSeconds;
  peakBytes: number;
  /** What it printed. */
  output: string;
}

/** Runs a program to its end under measured.c. Throws where it fails. */
export async function runMeasured(native: NativePrograms, ...command: readonly string[]): Promise<Measured> {
  const { status, stdout, stderr } = await runProgram(native.path("measured"), command);
  if (status !== 0) throw new Error(`${command.join(" ")} ended with status ${status}: ${stderr.slice(-500)}`);
  const [nanoseconds, user, system, kibibytes] = stdout.split(" ").map(Number);
  const cpu = { user: user! / 1e6, system: system! / 1e6 };
  return { ms: nanoseconds! / 1e6, cpu, peakBytes: kibibytes! * 1024, output: stderr };
}

/** netlink_loop.c; from its first send to the last ack. With `objects` it is less plain, and makes nexthop objects. */
export function netlinkLoopContender(native: NativePrograms, { objects = false } = {}): Contender {
  return {
    name: objects ? NETLINK_LOOP_OBJECTS : NETLINK_LOOP,
    skipped: compilerSkipReason(),
    protocol: RTPROT_DEFAULT,
    open: async (netns) => {
      const [{ ifindex }] = netns.ipJson("link", "show", TABLE_DEVICE) as [{ ifindex: number }];
      let peakBytes = 0;
      return {
        run: async (feeds, op) => {
          const verb = op === "delete" ? "delete" : objects ? "add-objects" : "add";
          const command = [native.path("netlink_loop"), verb, feeds.path("records", op), String(ifindex)];
          const measured = await runMeasured(native, "ip", "netns", "exec", netns.name, ...command);
          peakBytes = Math.max(peakBytes, measured.peakBytes);
          const [, , seconds] = measured.output.trim().split(" ");
          return { ms: Number(seconds) * 1000, cpu: measured.cpu };
        },
        peakBytes: () => peakBytes,
        end: async () => undefined,
      };
    },
  };
}

/** iproute2's own way; from the start of the process to its end. */
export function ipBatchContender(native: NativePrograms): Contender {
  return {
    name: IP_BATCH,
    skipped: compilerSkipReason(),
    protocol: RTPROT_DEFAULT,
    open: async (netns) => {
      let peakBytes = 0;
      return {
        run: async (feeds, op) => {
          const measured = await runMeasured(native, "ip", "-n", netns.name, "-batch", feeds.path("iproute2", op));
          peakBytes = Math.max(peakBytes, measured.peakBytes);
          return measured;
        },
        peakBytes: () => peakBytes,
        end: async () => undefined,
      };
    },
  };
}
