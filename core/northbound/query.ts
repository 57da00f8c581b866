/**
 * Query parameters: each call of the API has a table of those it takes, from which requests are checked and the
 * OpenAPI document is made. Pure; any thread.
 */
import { suggest } from "../suggest.ts";
import { Problem } from "./problem.ts";

export interface QueryParameter {
  description: string;
  required?: boolean;
  /** JSON Schema of the value, as the OpenAPI document shows it; of it, `enum` and integer ranges are checked here. */
  schema: {
    type: "string" | "integer" | "boolean";
    enum?: readonly string[];
    minimum?: number;
    maximum?: number;
    default?: string | number | boolean;
    maxLength?: number;
  };
}

export type QueryParameters = Readonly<Record<string, QueryParameter>>;

/** The request's parameters. Throws a {@linkcode Problem} for one that does not exist, is there twice, or has no such value. */
export function readQuery<Names extends string>(
  url: string,
  known: Readonly<Record<Names, QueryParameter>>,
): { [name in Names]?: string } {
  const values: { [name in Names]?: string } = {};
  const search = url.indexOf("?");
  const given = search < 0 ? [] : new URLSearchParams(url.slice(search + 1));
  for (const [name, value] of given) {
    if (!Object.hasOwn(known, name)) throw unknownParameter(name, Object.keys(known));
    const key = name as Names;
    if (values[key] !== undefined) throw new Problem(400, `The parameter ${name} is given more than once`);
    checkValue(name, value, known[key]);
    values[key] = value;
  }
  for (const name of Object.keys(known) as Names[]) {
    if (known[name].required === true && values[name] === undefined) {
      throw new Problem(400, `The parameter ${name} is missing`, known[name].description);
    }
  }
  return values;
}

function unknownParameter(name: string, known: readonly string[]): Problem {
  const detail = `There is no parameter ${JSON.stringify(name)}`;
  if (known.length === 0) return new Problem(400, detail, "this call takes none");
  const near = suggest(name, known);
  return new Problem(400, detail, near === undefined ? `it takes ${known.join(", ")}` : `did you mean ${near}?`);
}

function checkValue(name: string, value: string, { schema }: QueryParameter): void {
  const words = schema.type === "boolean" ? ["true", "false"] : schema.enum;
  if (words !== undefined && !words.includes(value)) {
    const near = suggest(value, words);
    const hint = near === undefined ? `it is ${words.join(", ")}` : `did you mean ${near}?`;
    throw new Problem(400, `${name} cannot be ${JSON.stringify(value)}`, hint);
  }
  if (schema.type !== "integer") return;
  const { minimum = 0, maximum = Number.MAX_SAFE_INTEGER } = schema;
  if (!/^\d{1,16}$/.test(value) || Number(value) < minimum || Number(value) > maximum) {
    throw new Problem(
      400,
      `${name} cannot be ${JSON.stringify(value)}`,
      `it is a number from ${minimum} to ${maximum}`,
    );
  }
}
