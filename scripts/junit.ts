/**
 * Reads the JUnit reports of `bun test` and `deno test` and counts them alike. Owns what a report means; running the
 * tests is scripts/test.ts. One report holds one test file, because neither runtime names the file of a nested test well
 * enough to tell two apart. Runs under the bundled bun.
 */

export interface TestCase {
  /** Names of the suites around the test and its own, outermost first, joined by " > ". */
  name: string;
  outcome: "passed" | "failed" | "skipped";
  /** What the report says about a failure; empty otherwise. */
  message: string;
}

/** One skip as scripts/skip_recorder.ts wrote it: neither runtime's report holds the reason. */
export interface RecordedSkip {
  name: string;
  reason: string;
}

/** What became of one test file under one runtime. */
export interface FileResult {
  passed: number;
  failures: { name: string; message: string }[];
  skips: RecordedSkip[];
}

interface Element {
  name: string;
  attributes: Map<string, string>;
  children: Element[];
}

const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

function decodeEntities(text: string): string {
  return text.replace(/&(#x[0-9a-f]+|#[0-9]+|[a-z]+);/gi, (entity, body: string) => {
    if (body.startsWith("#x") || body.startsWith("#X")) return String.fromCodePoint(Number.parseInt(body.slice(2), 16));
    if (body.startsWith("#")) return String.fromCodePoint(Number.parseInt(body.slice(1), 10));
    return ENTITIES[body] ?? entity;
  });
}

/** Parses the elements of a report. Text between tags is dropped: messages are in attributes. Throws when tags do not match. */
function parseXml(xml: string): Element {
  const root: Element = { name: "", attributes: new Map(), children: [] };
  const open = [root];
  const tag = /<(\/?)([\w:-]+)((?:\s+[\w:-]+="[^"]*")*)\s*(\/?)>/g;
  for (const [, closing, name, attributes, selfClosing] of xml.matchAll(tag)) {
    if (closing) {
      if (open.length < 2 || open.pop()!.name !== name)
        throw new Error(`Cannot read the report: unexpected </${name}>`);
      continue;
    }
    const element: Element = { name: name!, attributes: new Map(), children: [] };
    for (const [, key, value] of attributes!.matchAll(/([\w:-]+)="([^"]*)"/g)) {
      element.attributes.set(key!, decodeEntities(value!));
    }
    open.at(-1)!.children.push(element);
    if (!selfClosing) open.push(element);
  }
  if (open.length > 1) throw new Error(`Cannot read the report: <${open.at(-1)!.name}> is not closed`);
  return root;
}

function toTestCase(element: Element, name: string): TestCase {
  const bad = element.children.find((child) => child.name === "failure" || child.name === "error");
  if (bad) return { name, outcome: "failed", message: bad.attributes.get("message") ?? "" };
  const skipped = element.children.some((child) => child.name === "skipped");
  return { name, outcome: skipped ? "skipped" : "passed", message: "" };
}

/** Bun nests a `testsuite` for each `describe`; the outermost one is the file. */
function bunCases(suite: Element, path: readonly string[], into: TestCase[]): void {
  for (const child of suite.children) {
    const name = child.attributes.get("name") ?? "";
    if (child.name === "testsuite") bunCases(child, [...path, name], into);
    if (child.name === "testcase") into.push(toTestCase(child, [...path, name].join(" > ")));
  }
}

/**
 * Deno reports every `describe` and every test with subtests as a test case of its own, beside the cases inside it, which
 * carry its name and " > " before theirs. Such a parent counts only where it failed by itself, as in an `after` hook.
 */
function denoCases(report: Element): TestCase[] {
  const cases: TestCase[] = [];
  for (const suite of report.children) {
    for (const element of suite.children) {
      if (element.name === "testcase") cases.push(toTestCase(element, element.attributes.get("name") ?? ""));
    }
  }
  return cases.filter((each) => {
    const isParent = cases.some((other) => other.name.startsWith(`${each.name} > `));
    return !isParent || (each.outcome === "failed" && !/^\d+ test steps? failed/.test(each.message));
  });
}

/** All tests of one report, each once. */
export function parseReport(runtime: "bun" | "deno", xml: string): TestCase[] {
  const suites = parseXml(xml).children.find((child) => child.name === "testsuites");
  if (!suites) throw new Error("Cannot read the report: it has no <testsuites>");
  if (runtime === "deno") return denoCases(suites);
  const cases: TestCase[] = [];
  for (const file of suites.children) bunCases(file, [], cases);
  return cases;
}

/** How the process of one test file ended, in words; empty when it ended well. */
export interface Ending {
  exitCode: number | null;
  signal: string | null;
  timedOutMs: number | null;
  leftProcesses: boolean;
}

function describeEnding(ending: Ending): string {
  if (ending.timedOutMs !== null) return `was stopped after ${ending.timedOutMs / 1000} s without an end`;
  if (ending.signal !== null) return `was killed by ${ending.signal}`;
  return ending.exitCode === 0 ? "" : `ended with exit status ${ending.exitCode}`;
}

/**
 * Judges one test file by its report, its recorded skips and the way its process ended. Whatever the report does not
 * explain is a failure: a file that does not load, a runner that dies, a hook that throws, a file without a test.
 */
export function judgeFile(
  report: readonly TestCase[] | null,
  recorded: readonly RecordedSkip[],
  ending: Ending,
): FileResult {
  const result: FileResult = { passed: 0, failures: [], skips: [] };
  const reasons = new Map(recorded.map((skip) => [skip.name, skip.reason]));
  for (const { name, outcome, message } of report ?? []) {
    if (outcome === "passed") result.passed++;
    if (outcome === "failed") result.failures.push({ name, message });
    if (outcome === "skipped") result.skips.push({ name, reason: reasons.get(name) ?? "no reason given" });
  }
  // Bun leaves a skipped `describe` out of its report.
  for (const skip of recorded) {
    if (!result.skips.some((known) => known.name === skip.name)) result.skips.push(skip);
  }
  const end = describeEnding(ending);
  const seen = result.passed + result.failures.length + result.skips.length;
  if (report === null) {
    result.failures.push({ name: "(file)", message: end || "ended without a report: did a test call process.exit()?" });
  } else if (end !== "" && (result.failures.length === 0 || ending.exitCode === null || ending.timedOutMs !== null)) {
    result.failures.push({ name: "(file)", message: `${end}, and no test of its report failed` });
  } else if (seen === 0) {
    result.failures.push({ name: "(file)", message: "holds no test" });
  }
  if (ending.leftProcesses)
    result.failures.push({ name: "(file)", message: "left processes behind, which were killed" });
  return result;
}
