/**
 * Whether the file of a plugin, and what it imports, may be run with the daemon's rights: nobody but root and the daemon's own
 * user can have written it (core/trusted_file.ts). Looked at without running it: by `dplaned check-config`, at the start, and
 * before each start of the plugin's process.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { resolveTrustedFile } from "../trusted_file.ts";

/** Files that one plugin may be made of; whoever needs more bundles them. */
const FILES_MAX = 1000;

/** Where a module may be meant that is imported without its ending. */
const ENDINGS = ["", ".ts", ".js", ".mjs", ".mts", ".json", "/index.ts", "/index.js"];

/** A text behind `from`, `import` or `require` that is a path; in comments too, which does no harm. */
const IMPORTS = /\b(?:from|import|require)\s*\(?\s*(["'`])(\.{1,2}\/[^"'`\n]+|\/[^"'`\n]+)\1/g;

/** Where the path leads, symbolic links resolved, or why it is not run. */
export function findPluginDistrust(path: string): { ok: true; path: string } | { ok: false; message: string } {
  const entry = resolveTrustedFile(path);
  if (!entry.ok) return { ok: false, message: describe(entry.message, entry.code) };
  const seen = new Set([entry.path]);
  for (const file of seen) {
    if (seen.size > FILES_MAX) return { ok: false, message: `it imports more than ${FILES_MAX} files; bundle them` };
    for (const imported of importedFiles(file)) {
      const trusted = resolveTrustedFile(imported);
      if (!trusted.ok) {
        return { ok: false, message: `it imports ${imported}: ${describe(trusted.message, trusted.code)}` };
      }
      seen.add(trusted.path);
    }
  }
  return { ok: true, path: entry.path };
}

function describe(message: string, code: string | undefined): string {
  if (code === "ENOENT") return "there is no such file";
  if (code === "EACCES") return "the daemon's user may not read it";
  return code === "EISDIR" ? "it is a directory" : message;
}

/** The files that one imports by their paths, as far as they exist: the import of the others fails by itself. */
function importedFiles(file: string): string[] {
  if (!/\.[mc]?[jt]sx?$/.test(file)) return [];
  const found: string[] = [];
  for (const [, , specifier] of readFileSync(file, "utf8").matchAll(IMPORTS)) {
    const base = resolve(dirname(file), specifier!.replace(/[?#].*$/, ""));
    const target = ENDINGS.map((ending) => base + ending).find((each) => existsSync(each) && statSync(each).isFile());
    if (target !== undefined) found.push(target);
  }
  return found;
}
