/**
 * Splits TypeScript source into tokens, well enough to tell code from comments, strings and regular expressions, and finds
 * its imports. Serves tests/tidy_test.ts alone: TypeScript 7 has no parser to import, and Bun's does not run on Deno.
 */

export type TokenKind = "word" | "number" | "punctuator" | "string" | "template" | "regex" | "comment";

export interface Token {
  kind: TokenKind;
  /** The source text; of a template only the parts outside `${}`, whose tokens follow as their own. */
  text: string;
  line: number;
}

export interface Import {
  specifier: string;
  line: number;
  /** `import type` or `export type`: gone at run time. */
  typeOnly: boolean;
}

/** After one of these words a slash begins a regular expression, after any other it divides. */
const BEFORE_REGEX = new Set(
  "return typeof case in of do else void delete throw new instanceof await yield extends default".split(" "),
);

const PATTERNS: readonly (readonly [TokenKind | "space", RegExp])[] = [
  ["space", /\s+/y],
  ["comment", /\/\/[^\n]*|\/\*[\s\S]*?\*\/|^#![^\n]*/y],
  ["string", /"(?:[^"\\\n]|\\[\s\S])*"|'(?:[^'\\\n]|\\[\s\S])*'/y],
  ["word", /[#\p{ID_Start}$_@][\p{ID_Continue}$\u200c\u200d]*/uy],
  ["number", /\d[\w.]*/y],
];
const REGEX = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/\w*/y;
const TEMPLATE_PART = /(?:[^`\\$]|\\[\s\S]|\$(?!\{))*/y;

function matchAt(pattern: RegExp, source: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(source)?.[0];
}

function divides(previous: Token | undefined): boolean {
  if (!previous) return false;
  if (previous.kind === "word") return !BEFORE_REGEX.has(previous.text);
  if (previous.kind === "punctuator") return previous.text === ")" || previous.text === "]" || previous.text === "}";
  return true;
}

export function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  /** Open braces; true where closing it goes on with a template. */
  const braces: boolean[] = [];
  let previous: Token | undefined;
  let line = 1;
  let at = 0;
  const take = (kind: TokenKind | "space", text: string) => {
    if (kind !== "space") tokens.push({ kind, text, line });
    if (kind !== "space" && kind !== "comment") previous = tokens.at(-1);
    for (const character of text) if (character === "\n") line++;
    at += text.length;
  };
  const takeTemplate = () => {
    take("template", matchAt(TEMPLATE_PART, source, at) ?? "");
    if (source[at] === "`") at++;
    else if (source.startsWith("${", at)) {
      at += 2;
      braces.push(true);
      previous = undefined;
    } else throw new Error(`Cannot read the source: the template before line ${line} does not end`);
  };
  next: while (at < source.length) {
    for (const [kind, pattern] of PATTERNS) {
      const text = matchAt(pattern, source, at);
      if (text !== undefined) {
        take(kind, text);
        continue next;
      }
    }
    const character = source[at]!;
    const regex = character === "/" && !divides(previous) ? matchAt(REGEX, source, at) : undefined;
    if (regex !== undefined) take("regex", regex);
    else if (character === "`") {
      at++;
      takeTemplate();
    } else if (character === "}" && braces.pop()) {
      at++;
      takeTemplate();
    } else {
      if (character === "{") braces.push(false);
      take("punctuator", character);
    }
  }
  return tokens;
}

/** Every static import, re-export, dynamic import, `require` and `import("…")` type whose specifier is a plain string. */
export function findImports(tokens: readonly Token[]): Import[] {
  const code = tokens.filter((token) => token.kind !== "comment");
  const imports: Import[] = [];
  const add = (token: Token | undefined, typeOnly: boolean) => {
    if (token?.kind === "string") imports.push({ specifier: token.text.slice(1, -1), line: token.line, typeOnly });
  };
  code.forEach((token, index) => {
    const [before, after, second] = [code[index - 1], code[index + 1], code[index + 2]];
    if (token.kind !== "word" || before?.text === ".") return;
    if (token.text === "import" && after?.text === "(") {
      add(second, before?.text === ":" || before?.text === "typeof");
    } else if (token.text === "require" && after?.text === "(") {
      add(second, false);
    } else if (token.text === "import" && after?.kind === "string") {
      add(after, false);
    } else if (token.text === "from" && after?.kind === "string") {
      add(after, isTypeOnly(code, index));
    }
  });
  return imports;
}

/** Whether the `import … from` or `export … from` whose `from` stands at `index` begins with `import type`. */
function isTypeOnly(code: readonly Token[], index: number): boolean {
  let start = index;
  while (start > 0 && code[start]!.text !== "import" && code[start]!.text !== "export") start--;
  const follows = code[start + 2];
  return code[start + 1]?.text === "type" && follows?.text !== "from" && follows?.text !== ",";
}

/** The code with comments dropped and the content of strings, templates and regular expressions blanked, a line a line. */
export function codeLines(tokens: readonly Token[]): Map<number, string> {
  const lines = new Map<number, string>();
  for (const { kind, text, line } of tokens) {
    if (kind === "comment") continue;
    const shown = kind === "word" || kind === "number" || kind === "punctuator" ? text : '""';
    const before = lines.get(line);
    const glue = before && /[\w$]$/.test(before) && /^[\w$]/.test(shown) ? " " : "";
    lines.set(line, `${before ?? ""}${glue}${shown}`);
  }
  return lines;
}
