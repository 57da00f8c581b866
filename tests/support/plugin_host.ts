/** Plugins in tests: how their process is started, where their files are, and what their provider is given. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { ProviderPriority, type ProviderSpec } from "../../core/dataplane/provider.ts";
import {
  createPluginCounterStorage,
  type PluginCounterName,
  readPluginCounters,
} from "../../core/model/plugin_counters.ts";
import { createSharedTextStorage, SharedTextWriter } from "../../core/model/shared_text.ts";
import type { PluginOptions } from "../../providers/plugin/provider.ts";

const MAIN = fileURLToPath(new URL("../../main.ts", import.meta.url).href);

/** Starts the program of this project, on the runtime of the test, as the process of a plugin. */
export function pluginHostCommand(): string[] {
  const run = "Deno" in globalThis ? ["run", "-A", "--no-check", "--quiet"] : [];
  return [process.execPath, ...run, MAIN, "plugin-host"];
}

/** Files of plugins, in a folder of their own. */
export class PluginFolder {
  readonly path: string = mkdtempSync(join(tmpdir(), "dplaned-plugin-"));

  /** Writes a plugin whose default export has these members, and returns its path. */
  write(name: string, members: string): string {
    return this.writeFile(name, `export default {\n  apiVersion: 1,\n${members}\n};\n`);
  }

  writeFile(name: string, text: string): string {
    const path = join(this.path, name);
    writeFileSync(path, text, { mode: 0o644 });
    return path;
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** The spec of a plugin, with limits that a test can wait for, and what is counted of it. */
export class PluginSpec {
  readonly spec: ProviderSpec;
  readonly #storage = createPluginCounterStorage();
  readonly names: SharedTextWriter;

  constructor(
    path: string,
    {
      priority = ProviderPriority.PRE_KERNEL,
      name = "plugin",
      ...options
    }: Partial<PluginOptions> & {
      priority?: ProviderPriority;
      name?: string;
    } = {},
  ) {
    const names = createSharedTextStorage(64 << 10);
    this.names = new SharedTextWriter(names);
    this.names.write(JSON.stringify({ links: { 3: "v0" }, owners: ["default"] }));
    const all: PluginOptions = {
      path,
      options: {},
      failClosed: false,
      timeBudgetMs: 100,
      hangTimeMs: 3000,
      answerTimeMs: 10_000,
      errorBudget: 10,
      memoryLimit: 256 << 20,
      privileged: true,
      counters: this.#storage,
      names,
      restartMinMs: 100,
      ...options,
    };
    this.spec = { kind: "plugin", name, priority, threaded: true, options: all as unknown as ProviderSpec["options"] };
  }

  count(name: PluginCounterName): number {
    return readPluginCounters(this.#storage)[name];
  }
}

/** Processes of plugins that this process, or one of its threads, has started. */
export function pluginProcesses(parent: number = process.pid): number[] {
  return readdirSync("/proc")
    .filter((pid) => /^\d+$/.test(pid))
    .map(Number)
    .filter((pid) => {
      try {
        const [, ppid] = readFileSync(`/proc/${pid}/stat`, "latin1")
          .replace(/^.*\) /s, "")
          .split(" ");
        const isHost = readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("plugin-host");
        return Number(ppid) === parent && isHost && existsSync(`/proc/${pid}`);
      } catch {
        return false;
      }
    });
}
