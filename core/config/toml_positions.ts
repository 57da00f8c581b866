/**
 * Where each key of a TOML document stands. The parser (smol-toml) gives values without places, and an error about a value
 * is worth little without its line. This scanner only runs over documents that the parser accepted, so it reads the
 * structure and trusts it. Pure; any thread.
 */

export interface TomlPosition {
  /** Both from 1. */
  line: number;
  column: number;
}

export type TomlPath = readonly (string | number)[];

export class TomlPositions {
  readonly #source: string;
  readonly #offsets = new Map<string, number>();
  /** Elements so far of each array of tables (`[[name]]`), by path. */
  readonly #tableCounts = new Map<string, number>();
  #at = 0;

  constructor(source: string) {
    this.#source = source;
    let table: TomlPath = [];
    for (this.#skipBlank(); this.#at < source.length; this.#skipBlank()) {
      if (source[this.#at] === "[") table = this.#header();
      else this.#keyValue(table);
    }
  }

  /** The place of `path`, or of the nearest thing around it that is written in the document. */
  find(path: TomlPath): TomlPosition | undefined {
    for (let length = path.length; length > 0; length--) {
      const offset = this.#offsets.get(pathKey(path.slice(0, length)));
      if (offset !== undefined) return this.#position(offset);
    }
    return undefined;
  }

  #position(offset: number): TomlPosition {
    const before = this.#source.slice(0, offset);
    const lineStart = before.lastIndexOf("\n") + 1;
    return { line: before.split("\n").length, column: offset - lineStart + 1 };
  }

  #record(path: TomlPath, offset: number): void {
    const key = pathKey(path);
    if (!this.#offsets.has(key)) this.#offsets.set(key, offset);
  }

  /** `[a.b]` or `[[a.b]]`: the path that the keys below it belong to. */
  #header(): TomlPath {
    const start = this.#at;
    const isArray = this.#source.startsWith("[[", this.#at);
    this.#at += isArray ? 2 : 1;
    const names = this.#keyNames();
    this.#at += isArray ? 2 : 1;

    let path: TomlPath = [];
    for (const [index, name] of names.entries()) {
      path = [...path, name];
      const key = pathKey(path);
      this.#record(path, start);
      if (isArray && index === names.length - 1) {
        this.#tableCounts.set(key, (this.#tableCounts.get(key) ?? 0) + 1);
      }
      const count = this.#tableCounts.get(key);
      if (count !== undefined) path = [...path, count - 1];
    }
    this.#record(path, start);
    return path;
  }

  #keyValue(table: TomlPath): void {
    const start = this.#at;
    const names = this.#keyNames();
    for (let length = 1; length <= names.length; length++) this.#record([...table, ...names.slice(0, length)], start);
    this.#at++; // The equals sign, at which the names ended.
    this.#skipBlank();
    this.#value([...table, ...names]);
  }

  /** The names of a dotted key; ends on what follows it, past blanks. */
  #keyNames(): string[] {
    const names: string[] = [];
    for (;;) {
      this.#skipBlank();
      const start = this.#at;
      const quote = this.#source[start];
      if (quote === '"' || quote === "'") {
        this.#string();
        names.push(unquote(this.#source.slice(start, this.#at)));
      } else {
        this.#skip(/[A-Za-z0-9_-]*/y);
        names.push(this.#source.slice(start, this.#at));
      }
      this.#skipBlank();
      if (this.#source[this.#at] !== ".") return names;
      this.#at++;
    }
  }

  #value(path: TomlPath): void {
    const first = this.#source[this.#at];
    if (first === '"' || first === "'") this.#string();
    else if (first === "[") this.#array(path);
    else if (first === "{") this.#inlineTable(path);
    else this.#skip(/[^,\]}#\n]*/y);
  }

  #array(path: TomlPath): void {
    this.#at++;
    for (let index = 0; !this.#closes("]"); index++) {
      this.#record([...path, index], this.#at);
      this.#value([...path, index]);
      this.#skipComma();
    }
  }

  #inlineTable(path: TomlPath): void {
    this.#at++;
    while (!this.#closes("}")) {
      this.#keyValue(path);
      this.#skipComma();
    }
  }

  /** Whether the bracket comes next, and passes it if so; the end of the document closes everything. */
  #closes(bracket: string): boolean {
    this.#skipBlank();
    if (this.#at < this.#source.length && this.#source[this.#at] !== bracket) return false;
    this.#at++;
    return true;
  }

  #skipComma(): void {
    this.#skipBlank();
    if (this.#source[this.#at] === ",") this.#at++;
  }

  #string(): void {
    const quote = this.#source[this.#at]!;
    if (this.#source.startsWith(quote.repeat(3), this.#at)) {
      // Up to two quotes may stand right before the closing three.
      this.#skip(quote === '"' ? /"""(?:\\[\s\S]|[^\\])*?"""(?:"{0,2})/y : /'''[\s\S]*?'''(?:'{0,2})/y);
    } else {
      this.#skip(quote === '"' ? /"(?:\\.|[^"\\])*"/y : /'[^']*'/y);
    }
  }

  #skipBlank(): void {
    this.#skip(/(?:\s|#.*|\uFEFF)*/y);
  }

  /** Passes what the sticky pattern matches here; at least one character where it matches nothing but must. */
  #skip(pattern: RegExp): void {
    pattern.lastIndex = this.#at;
    this.#at += pattern.exec(this.#source)?.[0].length ?? 1;
  }
}

function pathKey(path: TomlPath): string {
  return path.join("\0");
}

/** A quoted key's name. JSON knows all of TOML's escapes but the long and hexadecimal ones, which stay as written. */
function unquote(text: string): string {
  if (text.startsWith("'")) return text.slice(1, -1);
  try {
    return JSON.parse(text) as string;
  } catch {
    return text.slice(1, -1);
  }
}
