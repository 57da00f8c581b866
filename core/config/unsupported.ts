/**
 * Settings that the configuration's format has, but that this version does nothing with. Whoever sets one must hear of
 * it: a limit or a listener that is accepted and not there is worse than none. Main thread.
 */
import { VERSION } from "../constants.ts";
import type { Config, ConfigProblem } from "./config.ts";

/** One problem for each such setting. */
export function findUnsupported(config: Config): ConfigProblem[] {
  const origin = config.path ?? "configuration";
  const found: string[] = [];
  for (const { kind } of config.providers) {
    if (kind === "plugin") found.push(`[[provider]] kind = "${kind}"`);
  }
  return found.map((key) => ({ origin, key, message: `dplaned ${VERSION} does not have this yet; remove it` }));
}
