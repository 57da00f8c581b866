/**
 * FRR's zebra, fed over its own API with messages that were made before. It tells what became of each route when the kernel
 * has answered, as dplaned does.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { TABLE_DEVICE } from "../../../scripts/internet_table.ts";
import { Frr, frrSkipReason, frrVersion } from "../../support/frr.ts";
import type { Contender } from "../contender.ts";
import { compilerSkipReason, type NativePrograms } from "../native.ts";
import { cpuOf, cpuSince, peakBytesOf, untilIdle } from "../process_cost.ts";
import { ZEBRA_STATIC_PROTOCOL, zapiHello } from "../zapi.ts";
import { expectAll, Feeder } from "./feed.ts";

export const FRR = "FRR zebra";
/** How many messages of a client, and updates for the kernel, zebra takes on in one go: the most that it can be told. */
const CONFIG = "zebra zapi-packets 10000\nzebra dplane limit 10000\n";

/** Numbers of ZAPI's messages differ between versions of FRR. */
function versionSkipReason(): string | false {
  const version = frrVersion();
  return /^8\.[2-5]\b/.test(version) ? false : `FRR ${version} may speak another ZAPI than FRR 8.2 to 8.5`;
}

export interface FrrOptions {
  name: string;
  /** Of zebra; none is FRR as it comes. */
  config: string;
  /** Whether zebra is asked to tell what became of each route. Where not, it is done when it has gone idle. */
  notify: boolean;
}

export function frrContender(native: NativePrograms, options: Partial<FrrOptions> = {}): Contender {
  const { name, config, notify }: FrrOptions = { name: FRR, config: CONFIG, notify: true, ...options };
  return {
    name,
    skipped: frrSkipReason() || versionSkipReason() || compilerSkipReason(),
    protocol: ZEBRA_STATIC_PROTOCOL,
    open: async (netns) => {
      const [{ ifindex }] = netns.ipJson("link", "show", TABLE_DEVICE) as [{ ifindex: number }];
      const frr = await Frr.start(netns, { configs: { zebra: config } });
      const feeder = new Feeder(native, notify ? "zapi" : "send", join(frr.directory, "zserv.api"));
      const hello = join(frr.directory, "hello");
      writeFileSync(hello, zapiHello(notify));
      await feeder.send(hello, 0);
      const pid = frr.pid("zebra");
      return {
        run: async (feeds, op) => {
          const file = feeds.path("zapi", op, ifindex);
          const before = cpuOf(pid);
          const startedAt = performance.now();
          const { ms, client, good } = await feeder.send(file, feeds.routes);
          if (notify) expectAll(name, good, feeds.routes);
          const endedAt = notify ? startedAt + ms : await untilIdle(pid);
          return { ms: endedAt - startedAt, cpu: cpuSince(pid, before), client };
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
