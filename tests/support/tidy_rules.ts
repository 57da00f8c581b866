/**
 * The rules of the project's style that a program can check, each a function from the tree's files to the violations
 * found. The tables they go by stand in tests/tidy_test.ts, which runs them and proves that each can fail.
 */
import { posix } from "node:path";
import { codeLines, findImports, type Import, type Token, tokenize } from "./source_lexer.ts";

/** Files by their path from the project's root, with "/" between folders. */
export type Tree = ReadonlyMap<string, string>;

/** What the files below `from` may import. The first rule whose `from` a path starts with holds. */
export interface ImportRule {
  from: string;
  /** Paths, or folders with a slash at the end; always also what lies in the same folder `from`. */
  may: readonly string[];
  /** The same, where `import type` alone is allowed. */
  mayTypes?: readonly string[];
  /** Packages and `node:` modules; "node:" and "bun:" stand for all of them. "*" allows every one. */
  packages?: readonly string[];
}

export interface BannedCode {
  pattern: RegExp;
  /** What to do instead. */
  instead: string;
  /** Paths or folders in which the rule holds; everywhere when absent. */
  within?: readonly string[];
  except: readonly string[];
}

interface Source {
  path: string;
  text: string;
  tokens: readonly Token[];
}

const cache = new Map<string, { text: string; source: Source }>();

function parse(path: string, text: string): Source {
  const known = cache.get(path);
  if (known?.text === text) return known.source;
  const source = { path, text, tokens: tokenize(text) };
  cache.set(path, { text, source });
  return source;
}

function sources(tree: Tree): Source[] {
  return [...tree].filter(([path]) => path.endsWith(".ts")).map(([path, text]) => parse(path, text));
}

function isWithin(path: string, places: readonly string[]): boolean {
  return places.some((place) => (place.endsWith("/") ? path.startsWith(place) : path === place));
}

/** The project file that a relative specifier means, or undefined for a package. */
function resolveImport(path: string, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  return posix.normalize(posix.join(posix.dirname(path), specifier));
}

function packageAllowed(specifier: string, packages: readonly string[]): boolean {
  return packages.some(
    (each) =>
      each === "*" ||
      specifier === each ||
      specifier.startsWith(`${each}/`) ||
      (each.endsWith(":") && specifier.startsWith(each)),
  );
}

function importAllowed(path: string, each: Import, rule: ImportRule): boolean {
  const target = resolveImport(path, each.specifier);
  if (target === undefined) return packageAllowed(each.specifier, rule.packages ?? []);
  const own = rule.from.endsWith("/") && target.startsWith(rule.from);
  return own || isWithin(target, rule.may) || (each.typeOnly && isWithin(target, rule.mayTypes ?? []));
}

export function checkImports(tree: Tree, rules: readonly ImportRule[]): string[] {
  const found: string[] = [];
  for (const { path, tokens } of sources(tree)) {
    const rule = rules.find(({ from }) => isWithin(path, [from]));
    if (!rule) {
      found.push(`${path}: no import rule covers this place`);
      continue;
    }
    for (const each of findImports(tokens)) {
      const target = resolveImport(path, each.specifier);
      if (target !== undefined && !tree.has(target))
        found.push(`${path}:${each.line}: ${each.specifier} does not exist`);
      else if (!importAllowed(path, each, rule)) found.push(`${path}:${each.line}: may not import ${each.specifier}`);
    }
  }
  return found;
}

/** Circles of imports that exist at run time; those of types alone are harmless. */
export function checkCycles(tree: Tree): string[] {
  const found: string[] = [];
  const finished = new Set<string>();
  const graph = new Map<string, string[]>();
  for (const { path, tokens } of sources(tree)) {
    const targets = findImports(tokens).flatMap((each) =>
      each.typeOnly ? [] : (resolveImport(path, each.specifier) ?? []),
    );
    graph.set(path, targets);
  }
  const visit = (path: string, trail: readonly string[]) => {
    if (trail.includes(path)) found.push(`circle: ${[...trail.slice(trail.indexOf(path)), path].join(" → ")}`);
    if (finished.has(path) || trail.includes(path)) return;
    for (const target of graph.get(path) ?? []) visit(target, [...trail, path]);
    finished.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return found;
}

/** Files below `places` that nothing reaches from `entry`; none when there is no entry. */
export function checkDeadFiles(
  tree: Tree,
  entry: string,
  places: readonly string[],
  except: readonly string[],
): string[] {
  if (!tree.has(entry)) return [];
  const reached = new Set<string>();
  const queue = [entry];
  for (const path of queue) {
    if (reached.has(path) || !tree.has(path)) continue;
    reached.add(path);
    for (const { specifier } of findImports(parse(path, tree.get(path)!).tokens)) {
      const target = resolveImport(path, specifier);
      if (target) queue.push(target);
    }
  }
  const own = sources(tree).filter(({ path }) => isWithin(path, places) && !isWithin(path, except));
  return own.filter(({ path }) => !reached.has(path)).map(({ path }) => `${path}: nothing imports it from ${entry}`);
}

export function checkBannedCode(tree: Tree, banned: readonly BannedCode[]): string[] {
  const found: string[] = [];
  for (const { path, tokens } of sources(tree)) {
    const rules = banned.filter(({ within, except }) => (!within || isWithin(path, within)) && !isWithin(path, except));
    for (const [line, code] of codeLines(tokens)) {
      for (const { pattern, instead } of rules) {
        const match = pattern.exec(code);
        if (match) found.push(`${path}:${line}: ${match[0]}: ${instead}`);
      }
    }
  }
  return found;
}

/** Comments that put something off. */
export function checkComments(tree: Tree): string[] {
  return sources(tree).flatMap(({ path, tokens }) =>
    tokens
      .filter(
        ({ kind, text }) => kind === "comment" && /^[\W]*(?:TODO|FIXME|XXX)\b|\b(?:TODO|FIXME|XXX)[:(]/m.test(text),
      )
      .map(({ line }) => `${path}:${line}: do it now, or write down in docs/ that it is not done`),
  );
}

/** Of a test the name says it, and its first `describe`. */
export function checkHeaders(tree: Tree): string[] {
  return sources(tree)
    .filter(({ path }) => !path.endsWith("_test.ts"))
    .filter(({ tokens }) => tokens.find(({ text }) => !text.startsWith("#!"))?.kind !== "comment")
    .map(({ path }) => `${path}: begins without a comment that says what the file owns`);
}

export function checkLengths(tree: Tree, linesMax: number, except: readonly string[]): string[] {
  return sources(tree)
    .filter(({ path }) => !isWithin(path, except))
    .map(({ path, text }) => ({ path, lines: text.trimEnd().split("\n").length }))
    .filter(({ lines }) => lines > linesMax)
    .map(({ path, lines }) => `${path}: ${lines} lines, more than ${linesMax}: split it by what it owns`);
}

/**
 * Each unit test stands where the source stands that it tests: `tests/core/ring/spsc_ring_test.ts` for
 * `core/ring/spsc_ring.ts`, or `spsc_ring_<topic>_test.ts`, or a test named after the folder for all of it.
 */
export function checkMirrors(tree: Tree, places: readonly string[]): string[] {
  const found: string[] = [];
  for (const path of tree.keys()) {
    const [, folder, name] = /^tests\/(.+)\/([^/]+)_test\.ts$/.exec(path) ?? [];
    if (folder === undefined || name === undefined || !isWithin(`${folder}/`, places)) continue;
    const stems = name.split("_").map((_, index, words) => words.slice(0, index + 1).join("_"));
    const isFolder =
      stems.includes(posix.basename(folder)) && [...tree.keys()].some((each) => each.startsWith(`${folder}/`));
    if (!isFolder && !stems.some((stem) => tree.has(`${folder}/${stem}.ts`))) {
      found.push(`${path}: there is no ${folder}/${name}.ts that it could test`);
    }
  }
  return found;
}

/** Paths in back quotes in a document, which must exist: from the project's root, or beside the document. */
export function checkNamedFiles(tree: Tree, document: string): string[] {
  const found: string[] = [];
  const exists = (path: string) =>
    tree.has(path) || [...tree.keys()].some((each) => each.startsWith(`${path.replace(/\/$/, "")}/`));
  for (const [, name] of (tree.get(document) ?? "").matchAll(/`([\w./-]+(?:\.ts|\/))`/g)) {
    const beside = posix.join(posix.dirname(document), name!);
    if (!exists(name!) && !exists(beside)) found.push(`${document}: names ${name}, which does not exist`);
  }
  return found;
}

/** Text that ties the project to the machine or network on which it was written. */
export function checkTraces(tree: Tree, patterns: readonly RegExp[]): string[] {
  const found: string[] = [];
  for (const [path, text] of tree) {
    for (const pattern of patterns) {
      const match = pattern.exec(text);
      if (match) found.push(`${path}:${text.slice(0, match.index).split("\n").length}: ${match[0].trim()}`);
    }
  }
  return found;
}
