/** Holds answers of the API to the OpenAPI document: status, content type, and what is in them. */
import { createOpenapiDocument, type Operation } from "../../core/northbound/openapi.ts";
import { SCHEMAS } from "../../core/northbound/openapi_schemas.ts";
import { checkSchema } from "./json_schema.ts";

export const DOCUMENT = createOpenapiDocument("1.2.3");

export interface DescribedCall {
  method: string;
  path: string;
  operation: Operation;
}

/** Every call that is described. */
export const CALLS: readonly DescribedCall[] = Object.entries(DOCUMENT.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
);

const PATTERNS = CALLS.map((call) => {
  const pattern = call.path.replace(/[.]/g, "\\.").replace(/\{\w+\}/g, "[^/]+");
  return { call, pattern: new RegExp(`^${pattern}$`) };
});

/** The call that a request is. */
export function findCall(method: string, path: string): DescribedCall | undefined {
  const wanted = method === "HEAD" ? "GET" : method;
  return PATTERNS.find(({ call, pattern }) => call.method === wanted && pattern.test(path))?.call;
}

/** What errors any request may be answered with: no such path, no such method, a fault of ours. */
const ANYWHERE: readonly number[] = [404, 405, 500];
/** And one that is no call at all, where it looks like a write over TCP. */
const NO_CALL: readonly number[] = [...ANYWHERE, 403];

export interface GivenAnswer {
  status: number;
  contentType: string;
  /** Undefined where it was not read. */
  body?: string;
}

/** What is wrong with an answer; empty if nothing is. */
export function checkAnswer(method: string, path: string, { status, contentType, body }: GivenAnswer): string {
  const call = findCall(method, path);
  const name = `${method} ${path}: ${status}`;
  if (call === undefined) return NO_CALL.includes(status) ? "" : `${name}: this call is not described`;
  const described = call.operation.responses[String(status)];
  if (described === undefined) return ANYWHERE.includes(status) ? "" : `${name}: this status is not described`;
  const [type = ""] = contentType.split(";");
  const { content } = described;
  if (content === undefined) return (body ?? "") === "" ? "" : `${name}: has a body of type ${type}`;
  const schema = content[type]?.schema;
  if (schema === undefined) return `${name}: the type "${type}" is not described`;
  if (body === undefined || body === "") return "";
  const problems = valuesOf(type, body).map((value) => checkSchema(value, schema, SCHEMAS));
  const problem = problems.find((each) => each !== "");
  return problem === undefined ? "" : `${name}: ${problem}`;
}

/** The JSON that a body has: one value, one a line, one an event; none in a text. */
function valuesOf(type: string, body: string): unknown[] {
  if (type.endsWith("json") && !type.includes("ndjson")) return [JSON.parse(body)];
  const lines = body.split("\n").filter((line) => line !== "");
  if (type.includes("ndjson")) return lines.map((line) => JSON.parse(line));
  if (type !== "text/event-stream") return [body];
  return lines.filter((line) => line.startsWith("data: ")).map((line) => JSON.parse(line.slice("data: ".length)));
}
