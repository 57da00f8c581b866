/** What tests read out of the documentation: code blocks, the commands in console blocks with their output, links. Pure. */

export interface CodeBlock {
  /** What stands behind the opening fence, such as `console` or `json`. */
  language: string;
  text: string;
  /** Line of the opening fence, from 1. */
  line: number;
}

/** One command of a `console` block: the line behind `$ `, with lines behind `> ` added, and the output below it. */
export interface ConsoleCommand {
  command: string;
  output: string;
  /** Line of the command, from 1. */
  line: number;
  /** Lines of the document that hold the output, from 0: the first, and the one behind the last. */
  outputStart: number;
  outputEnd: number;
}

const FENCE = "```";

export function codeBlocks(markdown: string): CodeBlock[] {
  const blocks: CodeBlock[] = [];
  let open: { language: string; line: number; lines: string[] } | null = null;
  for (const [index, line] of markdown.split("\n").entries()) {
    if (!line.startsWith(FENCE)) open?.lines.push(line);
    else if (open === null) open = { language: line.slice(FENCE.length).trim(), line: index + 1, lines: [] };
    else {
      blocks.push({ language: open.language, text: open.lines.map((each) => `${each}\n`).join(""), line: open.line });
      open = null;
    }
  }
  return blocks;
}

/** Every command of the document's `console` blocks, in order. */
export function consoleCommands(markdown: string): ConsoleCommand[] {
  const commands: ConsoleCommand[] = [];
  for (const { language, text, line } of codeBlocks(markdown)) {
    if (language !== "console") continue;
    let current: ConsoleCommand | undefined;
    for (const [index, each] of text.split("\n").slice(0, -1).entries()) {
      const number = line + index + 1;
      if (each.startsWith("$ ")) {
        current = { command: each.slice(2), output: "", line: number, outputStart: number, outputEnd: number };
        commands.push(current);
      } else if (current === undefined) throw new Error(`Line ${number}: a console block begins with a command`);
      else if (each.startsWith("> ") && current.output === "") {
        current.command += `\n${each.slice(2)}`;
        current.outputStart = number;
        current.outputEnd = number;
      } else {
        current.output += `${each}\n`;
        current.outputEnd = number;
      }
    }
  }
  return commands;
}

/** Targets of links, without those in code blocks. */
export function links(markdown: string): string[] {
  const prose = markdown.replace(/^```[\s\S]*?^```$/gm, "");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!);
}

/** The anchors that headings make, as GitHub names them. */
export function anchors(markdown: string): string[] {
  const prose = markdown.replace(/^```[\s\S]*?^```$/gm, "");
  return [...prose.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replace(/\s/g, "-"),
  );
}
