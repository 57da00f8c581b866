/** JSON Schema in words: types, and the fields of objects with what they mean. */
import { element } from "./dom.js";

/** @typedef {import("../schema.ts").Schema} Schema */
/** @typedef {{ name: string; in: string; required: boolean; description: string; schema: Schema }} Parameter */
/** @typedef {{ name: string; type: string; description: string; schema?: Schema; isRequired?: boolean }} Field */

/**
 * The place of a schema on the page.
 * @param {string} name
 */
export function schemaName(name) {
  return `schema-${name}`;
}

/** @param {Schema} schema */
function referenced({ $ref = "" }) {
  return $ref.replace("#/components/schemas/", "");
}

/**
 * `string`, `list of Route`, `Route or null`, `integer, 1 to 256`.
 * @param {Schema} schema
 * @returns {string}
 */
export function typeWords(schema) {
  if (schema.$ref !== undefined) return referenced(schema);
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeWords).join(" or ");
  if (schema.enum !== undefined) return schema.enum.map(String).join(", ");
  if (schema.type === "array") return schema.items === undefined ? "list" : `list of ${typeWords(schema.items)}`;
  const type = typeof schema.type === "string" ? schema.type : (schema.type ?? []).join(" or ");
  const { minimum, maximum } = schema;
  if (minimum !== undefined && maximum !== undefined) return `${type}, ${minimum} to ${maximum}`;
  if (minimum !== undefined && minimum > 0) return `${type}, from ${minimum}`;
  return schema.default === undefined ? type : `${type}, ${JSON.stringify(schema.default)} if left out`;
}

/**
 * Names of other schemas that it speaks of, as links.
 * @param {Schema} schema
 * @returns {string[]}
 */
function references(schema) {
  if (schema.$ref !== undefined) return [referenced(schema)];
  const parts = [...(schema.anyOf ?? []), ...(schema.items === undefined ? [] : [schema.items])];
  return parts.flatMap(references);
}

/**
 * What stands between backquotes becomes code.
 * @param {string} text
 */
export function inlineMarks(text) {
  return text.split("`").map((part, index) => (index % 2 === 1 ? element("code", {}, part) : part));
}

/**
 * Names with types and meanings; those given, or those of an object's schema.
 * @param {readonly Field[]} fields
 * @param {Schema} [schema]
 */
export function fieldList(fields, schema) {
  const rows = schema === undefined ? fields : fieldsOf(schema);
  const list = element("dl", { class: "fields" });
  for (const { name, type, description, schema: own, isRequired } of rows) {
    const mark = isRequired === true ? [" ", element("span", { class: "required" }, "required")] : [];
    const links = own === undefined ? [] : [...new Set(references(own))];
    list.append(
      element("dt", {}, name, ...mark),
      element(
        "dd",
        {},
        element("span", { class: "type" }, ...linked(type, links)),
        ...(description === "" ? [] : [element("div", {}, ...inlineMarks(description))]),
        ...nested(own),
      ),
    );
  }
  return list;
}

/**
 * @param {Schema} schema
 * @returns {Field[]}
 */
function fieldsOf(schema) {
  if (schema.properties === undefined) {
    return [{ name: "", type: typeWords(schema), description: "", schema }];
  }
  return Object.entries(schema.properties).map(([name, own]) => ({
    name,
    type: own.properties === undefined ? typeWords(own) : "object",
    description: own.description ?? own.items?.description ?? "",
    schema: own,
    isRequired: schema.required?.includes(name) ?? false,
  }));
}

/**
 * The fields of an object within an object.
 * @param {Schema | undefined} schema
 * @returns {HTMLElement[]}
 */
function nested(schema) {
  const inner = schema?.properties === undefined ? schema?.items : schema;
  return inner?.properties === undefined ? [] : [fieldList([], inner)];
}

/**
 * A type with the names of schemas in it as links to them.
 * @param {string} type
 * @param {readonly string[]} names
 */
function linked(type, names) {
  if (names.length === 0) return [type];
  return type
    .split(/\b/)
    .map((word) => (names.includes(word) ? element("a", { href: `#${schemaName(word)}` }, word) : word));
}
