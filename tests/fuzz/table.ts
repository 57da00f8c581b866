/**
 * Every decoder that meets bytes from outside, once: what feeds it, how many cases `make test` tries, and which files it reads
 * with. `make fuzz` goes on for longer, with seeds of its own (MINUTES, TARGET, SEED, CASES). Properties of single decoders
 * have tests of their own beside this table.
 */
import type { FuzzTarget } from "../support/fuzz.ts";
import { apiTarget } from "./targets/api.ts";
import { certificateTarget, configTarget, namesTarget, recordTarget } from "./targets/files.ts";
import { eventTarget, gateTarget, httpTarget } from "./targets/http.ts";
import { fpmClientTarget, fpmTarget, netlinkTarget } from "./targets/kernel_and_fpm.ts";
import { pluginTarget, pluginWordsTarget } from "./targets/plugin.ts";
import { bodyTarget, nexthopGroupTarget, updateBytesTarget } from "./targets/updates.ts";

export const FUZZ_TARGETS: readonly FuzzTarget[] = [
  httpTarget(),
  gateTarget(),
  apiTarget(),
  bodyTarget("ndjson"),
  bodyTarget("json"),
  bodyTarget("iproute2"),
  updateBytesTarget(),
  nexthopGroupTarget(),
  configTarget(),
  fpmTarget(),
  fpmClientTarget(),
  netlinkTarget(),
  pluginTarget(),
  pluginWordsTarget(),
  recordTarget(),
  eventTarget(),
  certificateTarget(),
  namesTarget(),
];
