/**
 * The files of plugins, as far as they can be judged without running them: whether they are there, and in nobody else's hands.
 * Main thread, at the start and for `dplaned check-config`.
 */
import { readFileSync } from "node:fs";
import { findPluginDistrust } from "../plugin/plugin_file.ts";
import type { Config, ConfigProblem } from "./config.ts";
import { TomlPositions } from "./toml_positions.ts";

/** One problem for each file that would not be run. */
export function checkPluginFiles({ path, providers }: Config): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  for (const [index, provider] of providers.entries()) {
    if (provider.kind !== "plugin") continue;
    const file = findPluginDistrust(provider.path);
    if (file.ok) continue;
    const position =
      path === null ? {} : new TomlPositions(readFileSync(path, "utf8")).find(["provider", index, "path"]);
    const message = `cannot run ${provider.path}: ${file.message}`;
    problems.push({ origin: path ?? "configuration", ...position, key: "[[provider]] path", message });
  }
  return problems;
}
