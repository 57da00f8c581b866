/**
 * Lines for a terminal, as spans of text with a style, that are cut to a width before anything drives the terminal: what
 * others have named things cannot. Tables of such cells, which leave columns out where there is no room for all. Pure.
 */
import { escapeControls } from "../../output.ts";

export type Style = "bold" | "dim" | "good" | "warn" | "bad" | "head";

export interface Span {
  text: string;
  style?: Style;
}

export type Line = readonly Span[];

/** SGR parameters (ECMA-48); colours are those of the terminal's own palette, so they fit its background. */
const SGR: Readonly<Record<Style, string>> = {
  bold: "1",
  dim: "2",
  good: "32",
  warn: "33",
  bad: "31;1",
  head: "7",
};
/** Where colours are unwanted, what is left of them: a table's head is told by its place. */
const PLAIN_SGR: Readonly<Partial<Record<Style, string>>> = { head: "7" };

export function span(text: string | number, style?: Style): Span {
  const words = escapeControls(String(text));
  return style === undefined ? { text: words } : { text: words, style };
}

/** Columns that a line takes; characters of double width are not known. */
export function lengthOf(line: Line): number {
  return line.reduce((sum, { text }) => sum + [...text].length, 0);
}

/** The line as text of at most `columns` columns. */
export function encodeLine(line: Line, columns: number, colours: boolean): string {
  let room = columns;
  let encoded = "";
  for (const { text, style } of line) {
    if (room <= 0) break;
    const characters = [...text];
    const shown = characters.length <= room ? text : `${characters.slice(0, room - 1).join("")}…`;
    room -= Math.min(characters.length, room);
    const sgr = style === undefined ? undefined : (colours ? SGR : PLAIN_SGR)[style];
    encoded += sgr === undefined ? shown : `\x1b[${sgr}m${shown}\x1b[0m`;
  }
  return encoded;
}

/** As many of the spans as fit, with two blanks between them; the first is there in any case. */
export function joinFitting(spans: readonly Span[], columns: number): Line {
  const line: Span[] = [];
  let length = 0;
  for (const [index, each] of spans.entries()) {
    const needed = lengthOf([each]) + (index === 0 ? 0 : 2);
    if (index > 0 && length + needed > columns) break;
    if (index > 0) line.push({ text: "  " });
    line.push(each);
    length += needed;
  }
  return line;
}

export interface Column<Row> {
  title: string;
  align?: "left" | "right";
  /** Left out the earlier the higher, where there is no room; 0 for never. */
  spare: number;
  cell: (row: Row) => Span;
}

/** A head and a line for each row, of exactly `columns` columns or fewer. */
export function formatTable<Row>(table: readonly Column<Row>[], rows: readonly Row[], columns: number): Line[] {
  let shown = table.map((column) => {
    const cells = rows.map((row) => column.cell(row));
    return { ...column, cells, width: Math.max(column.title.length, ...cells.map((cell) => lengthOf([cell]))) };
  });
  const total = (): number => shown.reduce((sum, { width }) => sum + width, 2 * (shown.length - 1));
  while (total() > columns) {
    const most = Math.max(...shown.map(({ spare }) => spare));
    if (most === 0) break;
    shown = shown.filter(({ spare }) => spare < most);
  }
  const over = total() - columns;
  const [first] = shown;
  if (over > 0 && first !== undefined) first.width = Math.max(4, first.width - over);
  const lay = (cells: readonly Span[]): Span[] =>
    cells.flatMap((cell, index) => {
      const { width, align = "left" } = shown[index]!;
      const characters = [...cell.text];
      const text = characters.length > width ? `${characters.slice(0, width - 1).join("")}…` : cell.text;
      const blanks = " ".repeat(Math.max(0, width - [...text].length));
      const gap = index === 0 ? "" : "  ";
      const shownCell = { ...cell, text };
      return align === "right" ? [{ text: gap + blanks }, shownCell] : [{ text: gap }, shownCell, { text: blanks }];
    });
  const head = lay(shown.map(({ title }) => ({ text: title })))
    .map(({ text }) => text)
    .join("");
  const lines = rows.map((_, index) => lay(shown.map(({ cells }) => cells[index]!)));
  return [[{ text: head.padEnd(columns), style: "head" }], ...lines];
}
