/** Names of routing tables as iproute2 knows them, for updates that say `table NAME`. */
import { readdirSync, readFileSync } from "node:fs";

const DIRECTORIES = ["/usr/share/iproute2", "/etc/iproute2"];

/** Reads the names of this machine: a later directory wins over an earlier one. */
export function readTableNames(directories: readonly string[] = DIRECTORIES): Map<string, number> {
  const names = new Map<string, number>();
  for (const directory of directories) {
    for (const file of tableFiles(directory)) {
      for (const [number, name] of parseTableFile(readFileSync(file, "utf8"))) names.set(name, number);
    }
  }
  return names;
}

function tableFiles(directory: string): string[] {
  const list = (folder: string): string[] => {
    try {
      return readdirSync(folder).map((name) => `${folder}/${name}`);
    } catch {
      return [];
    }
  };
  const main = list(directory).filter((file) => file.endsWith("/rt_tables"));
  const parts = list(`${directory}/rt_tables.d`).filter((file) => file.endsWith(".conf"));
  return [...main, ...parts.sort()];
}

/** Lines of `NUMBER NAME`, decimal or 0x…; `#` begins a comment. Others are left out, as iproute2 does. */
export function parseTableFile(text: string): [number: number, name: string][] {
  const found: [number, string][] = [];
  for (const line of text.split("\n")) {
    const match = /^\s*(0x[0-9a-fA-F]+|\d+)\s+([^\s#]+)/.exec(line);
    if (match !== null) found.push([Number(match[1]), match[2]!]);
  }
  return found;
}
