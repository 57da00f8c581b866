/**
 * The parts of the documentation that are made from the program's own tables, and so cannot fall behind it. Each stands in its
 * document between two comments, `<!-- made by scripts/gen_docs.ts: NAME -->` and `<!-- end: NAME -->`, or those of roff.
 */
import { configReference } from "../core/config/schema.ts";
import { VERSION } from "../core/constants.ts";
import { createOpenapiDocument } from "../core/northbound/openapi.ts";
import { shortExamples } from "../core/northbound/openapi_examples.ts";
import { UPDATE_ERRORS } from "../core/northbound/update_error.ts";
import { FUZZ_TARGETS } from "../tests/fuzz/table.ts";
import { readAllMetrics } from "../tests/support/all_metrics.ts";
import { createManSections } from "./man_page.ts";

const GENERATOR = "scripts/gen_docs.ts";

/** How the places of sections are marked: in Markdown, and in the man page, where an empty line would be a line of its output. */
const MARKDOWN = { open: (what: string) => `<!-- ${what} -->`, gap: "\n" };
const ROFF = { open: (what: string) => `.\\" ${what}`, gap: "" };
const marksOf = (text: string) => (text.startsWith('.\\"') ? ROFF : MARKDOWN);

/** Every section by its document and name. */
export async function createSections(): Promise<Map<string, Map<string, string>>> {
  return new Map([
    [
      "docs/api.md",
      new Map([
        ["endpoints", describeEndpoints()],
        ["parameters", describeParameters()],
        ["update-errors", describeUpdateErrors()],
        ["examples", describeExamples()],
      ]),
    ],
    [
      "docs/operations.md",
      new Map([
        ["config", describeConfig()],
        ["metrics", describeMetrics(await readAllMetrics())],
      ]),
    ],
    ["packaging/man/dplaned.8", createManSections()],
    ["docs/reliability.md", new Map([["fuzz-targets", describeFuzzTargets()]])],
  ]);
}

/** The document with its sections as they should be; `maker` is what makes them. Throws where the place of one is missing. */
export function replaceSections(markdown: string, sections: ReadonlyMap<string, string>, maker = GENERATOR): string {
  let text = markdown;
  for (const [name, body] of sections) {
    const { before, after } = findSection(text, name, maker);
    const { gap } = marksOf(text);
    text = `${before}\n${gap}${body}${gap}${after}`;
  }
  return text;
}

/** What is in a section, and the text before and after that. */
export function findSection(markdown: string, name: string, maker = GENERATOR) {
  const { open } = marksOf(markdown);
  const opening = open(`made by ${maker}: ${name}`);
  const [start, end] = [markdown.indexOf(opening), markdown.indexOf(open(`end: ${name}`))];
  if (start < 0 || end < start) throw new Error(`Cannot place the section ${name}: "${opening}" is missing`);
  const bodyStart = start + opening.length;
  return { before: markdown.slice(0, bodyStart), body: markdown.slice(bodyStart, end), after: markdown.slice(end) };
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`;
  return line(head) + line(head.map(() => "---")) + rows.map(line).join("");
}

const code = (text: string) => `\`${text}\``;

function describeEndpoints(): string {
  const rows = Object.entries(createOpenapiDocument(VERSION).paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { summary, responses }]) => [
      code(`${method.toUpperCase()} ${path}`),
      `${summary}.`,
      // What every call may be answered with stands beside the table.
      Object.keys(responses)
        .filter((status) => status !== "default")
        .join(", "),
    ]),
  );
  return table(["call", "does", "answers"], rows);
}

interface Parameter {
  name: string;
  required: boolean;
  description: string;
  schema: { type: string; enum?: string[]; default?: unknown; minimum?: number; maximum?: number };
}

function describeParameters(): string {
  const rows = Object.entries(createOpenapiDocument(VERSION).paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, { parameters = [] }]) =>
      (parameters as Parameter[]).map(({ name, required, description, schema }) => [
        code(`${method.toUpperCase()} ${path}`),
        code(name),
        schema.enum?.map(code).join(", ") ?? describeType(schema),
        required ? "required" : schema.default === undefined ? "" : code(String(schema.default)),
        description,
      ]),
    ),
  );
  return table(["call", "parameter", "value", "default", "meaning"], rows);
}

function describeType({ type, minimum, maximum }: Parameter["schema"]): string {
  if (type === "boolean") return "`true`, `false`";
  return minimum === undefined ? "text" : `number, ${minimum} to ${maximum}`;
}

function describeUpdateErrors(): string {
  return table(
    ["`error.code`", "meaning"],
    Object.entries(UPDATE_ERRORS).map(([name, meaning]) => [code(name), meaning]),
  );
}

/** The commands that make calls, without the socket's path. */
function describeExamples(): string {
  const lines = Object.values(createOpenapiDocument(VERSION).paths).flatMap((methods) =>
    Object.values(methods).flatMap(({ operationId }) =>
      shortExamples(operationId).map(({ label, command }) => `# ${label}\n${command}\n`),
    ),
  );
  return `\`\`\`sh\n${lines.join("")}\`\`\`\n`;
}

function describeConfig(): string {
  const keys = configReference();
  const sections = [...new Set(keys.map(({ section }) => section))];
  return sections
    .map((section) => {
      const own = keys.filter((each) => each.section === section);
      const isNamed = own.some(({ environment }) => environment !== undefined);
      const head = ["key", "value", "default", ...(isNamed ? ["environment"] : []), "meaning"];
      const rows = own.map(({ key, type, default: value, environment, description }) => [
        code(key),
        type,
        value === undefined ? "" : code(value),
        ...(isNamed ? [code(environment ?? "")] : []),
        description,
      ]);
      return `### ${code(section)}\n\n${table(head, rows)}`;
    })
    .join("\n");
}

function describeFuzzTargets(): string {
  return table(
    ["target", "decoders in", "cases in `make test`"],
    FUZZ_TARGETS.map(({ name, reads, smoke }) => [
      code(name),
      reads.map(code).join(", "),
      smoke.toLocaleString("en-US"),
    ]),
  );
}

function describeMetrics(text: string): string {
  const rows = [...text.matchAll(/^# HELP (\S+) (.*)\n# TYPE \S+ (\S+)$/gm)].map(([, name, help, type]) => {
    const samples = [...text.matchAll(new RegExp(`^${name!}(?:_bucket)?\\{(.*)\\}`, "gm"))];
    const labels = samples.flatMap(([, pairs]) => [...pairs!.matchAll(/(\w+)="/g)].map(([, label]) => label!));
    return [code(name!), type!, [...new Set(labels)].map(code).join(", "), help!];
  });
  return table(["metric", "type", "labels", "meaning"], rows);
}
