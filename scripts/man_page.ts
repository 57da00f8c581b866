/** The sections of dplaned(8) that are made from the command line's own grammar, as `--help` is: in mdoc, see groff_mdoc(7). */
import type { DocEntry, DocPage } from "@optique/core/doc";
import { formatMessage, type Message } from "@optique/core/message";
import { formatUsage } from "@optique/core/usage";
import { describeCommand } from "../core/northbound/cli/grammar.ts";

/** What all clients of the daemon take; the page explains it once. */
const COMMON_OPTIONS = ["--socket", "--json"];

interface LeafCommand {
  path: readonly string[];
  page: DocPage;
}

/** Every command that does something, below `path`, in the order of `--help`. */
function leafCommands(path: readonly string[] = []): LeafCommand[] {
  const page = describeCommand(path);
  if (page === undefined) throw new Error(`there is no command ${path.join(" ")}`);
  const below = page.sections.flatMap(({ entries }) =>
    entries.flatMap(({ term }) => (term.type === "command" ? [[...path, term.name]] : [])),
  );
  return below.length === 0 ? [{ path, page }] : below.flatMap((each) => leafCommands(each));
}

export function createManSections(): Map<string, string> {
  const commands = leafCommands();
  return new Map([
    ["synopsis", commands.map((command) => `.Nm\n${describeUsage(command)}`).join("")],
    ["commands", commands.map(describeLeaf).join("")],
  ]);
}

/** What roff would print as something else than what one types. */
const ROFF_ESCAPES: Readonly<Record<string, string>> = {
  "\\": "\\e",
  "-": "\\-",
  "'": "\\(aq",
  "`": "\\(ga",
  "~": "\\(ti",
  "^": "\\(ha",
};

/** Text as roff takes it, so that it can be copied from the page; no line looks like a request. */
function escapeRoff(text: string): string {
  return text.replace(/[\\\-'`~^]/g, (character) => ROFF_ESCAPES[character]!).replace(/^(?=\.)/gm, "\\&");
}

function plain(message: Message | undefined): string {
  return message === undefined ? "" : formatMessage(message, { colors: false, quotes: false });
}

function describeUsage({ path, page }: LeafCommand): string {
  const isClient = path[0] !== "run";
  const name = path.join(" ");
  const usage = formatUsage(name, page.usage ?? [], { maxWidth: Number.MAX_SAFE_INTEGER });
  // The usage begins with the program's name, for which that of the command was given, and the command's.
  const words = usage.slice(2 * name.length + 1).trim();
  const own = isClient ? words.replace("[--socket PATH] [--json]", "").trim() : words;
  return `.Cm ${name}\n${own === "" ? "" : `${escapeRoff(own)}\n`}`;
}

function describeLeaf(command: LeafCommand): string {
  const { path, page } = command;
  const isCommon = ({ term }: DocEntry) =>
    path[0] !== "run" && term.type === "option" && term.names.some((name) => COMMON_OPTIONS.includes(name));
  const entries = page.sections.flatMap((section) => section.entries).filter((entry) => !isCommon(entry));
  const list = entries.length === 0 ? "" : `.Bl -tag -width Ds\n${entries.map(describeEntry).join("")}.El\n`;
  return `.Ss ${path.join(" ")}\n${escapeRoff(plain(page.brief))}\n${list}${describeExamples(page)}`;
}

function describeEntry({ term, description }: DocEntry): string {
  const text = `${escapeRoff(plain(description))}\n`;
  if (term.type === "argument") return `.It Ar ${escapeRoff(term.metavar)}\n${text}`;
  if (term.type !== "option") throw new Error(`no words for a ${term.type}`);
  const names = term.names.map((name) => `Fl ${escapeRoff(name.slice(1))}`).join(" , ");
  return `.It ${names}${term.metavar === undefined ? "" : ` Ar ${escapeRoff(term.metavar)}`}\n${text}`;
}

/** The lines behind "Examples:". */
function describeExamples({ footer }: DocPage): string {
  const lines = plain(footer)
    .split("\n")
    .slice(1)
    .map((line) => escapeRoff(line.trim()));
  return lines.length === 0 ? "" : `.Pp\n.Bd -literal -offset indent -compact\n${lines.join("\n")}\n.Ed\n`;
}
