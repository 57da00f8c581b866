/** Checks JSON against as much of JSON Schema as our OpenAPI document uses; returns what is wrong, or an empty string. */
import type { Schema } from "../../core/northbound/openapi_schemas.ts";

export function checkSchema(value: unknown, schema: Schema, all: Readonly<Record<string, Schema>>, path = "$"): string {
  if (schema.$ref !== undefined) {
    const target = all[schema.$ref.replace("#/components/schemas/", "")];
    return target === undefined ? `${path}: there is no ${schema.$ref}` : checkSchema(value, target, all, path);
  }
  if (schema.anyOf !== undefined) {
    const problems = schema.anyOf.map((option) => checkSchema(value, option, all, path));
    return problems.includes("") ? "" : problems.join(" / ");
  }
  if (schema.enum !== undefined && !schema.enum.includes(value as string)) return `${path}: ${value} is not listed`;
  if (typeof value === "number") {
    if (schema.minimum !== undefined && value < schema.minimum) return `${path}: ${value} is too small`;
    if (schema.maximum !== undefined && value > schema.maximum) return `${path}: ${value} is too large`;
  }
  if (schema.type !== undefined && !isOfType(value, schema.type)) return `${path}: ${value} is no ${schema.type}`;
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      const problem = schema.items === undefined ? "" : checkSchema(item, schema.items, all, `${path}[${index}]`);
      if (problem !== "") return problem;
    }
  } else if (typeof value === "object" && value !== null) {
    return checkObject(value as Record<string, unknown>, schema, all, path);
  }
  return "";
}

function checkObject(
  value: Readonly<Record<string, unknown>>,
  { properties = {}, required = [], additionalProperties }: Schema,
  all: Readonly<Record<string, Schema>>,
  path: string,
): string {
  const missing = required.find((name) => value[name] === undefined);
  if (missing !== undefined) return `${path}: ${missing} is missing`;
  for (const [name, member] of Object.entries(value)) {
    const schema = properties[name];
    if (schema === undefined) {
      if (additionalProperties === false) return `${path}: ${name} is not in the schema`;
      continue;
    }
    const problem = checkSchema(member, schema, all, `${path}.${name}`);
    if (problem !== "") return problem;
  }
  return "";
}

function isOfType(value: unknown, type: string | readonly string[]): boolean {
  if (typeof type !== "string") return type.some((one) => isOfType(value, one));
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object") return typeof value === "object" && value !== null && !Array.isArray(value);
  if (type === "integer") return Number.isInteger(value);
  return typeof value === type;
}
