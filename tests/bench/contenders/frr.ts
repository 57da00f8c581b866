/**
 * FRR's zebra, fed over its own API with messages that were made before. It tells what became of each route when the kernel
 * has answered, as dplaned does.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { TABLE_DEVICE } from "../../../scripts/internet_table.ts";
import { Frr, frrSkipReason } from "../../support/frr.ts";
import type { Contender } from "../contender.ts";
import { compilerSkipReason, type NativePrograms } from "../native.ts";
import { cpuOf, cpuSince, peakBytesOf } from "../process_cost.ts";
import { ZEBRA_STATIC_PROTOCOL, zapiHello } from "../zapi.ts";
import { expectAll, Feeder } from "./feed.ts";

export const FRR = "FRR zebra";

/** How many messages of a client, and updates for the kernel, zebra takes on in one go. */
const CONFIG = "zebra zapi-packets 10000\nzebra dplane limit 10000\n";

export function frrContender(native: NativePrograms): Contender {
  return {
    name: FRR,
    skipped: frrSkipReason() || compilerSkipReason(),
    protocol: ZEBRA_STATIC_PROTOCOL,
    open: async (netns) => {
      const [{ ifindex }] = netns.ipJson("link", "show", TABLE_DEVICE) as [{ ifindex: number }];
      const frr = await Frr.start(netns, { configs: { zebra: CONFIG } });
      const feeder = new Feeder(native, "zapi", join(frr.directory, "zserv.api"));
      const hello = join(frr.directory, "hello");
      writeFileSync(hello, zapiHello(true));
      await feeder.send(hello, 0);
      const pid = frr.pid("zebra");
      return {
        run: async (feeds, op) => {
          const file = feeds.path("zapi", op, ifindex);
          const before = cpuOf(pid);
          const { ms, client, good } = await feeder.send(file, feeds.routes);
          expectAll(FRR, good, feeds.routes);
          return { ms, cpu: cpuSince(pid, before), client };
        },
        peakBytes: () => peakBytesOf(pid),
        end: async () => {
          await feeder.end();
          await frr.stop("SIGKILL");
        },
      };
    },
  };
}
