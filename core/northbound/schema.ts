/** JSON Schema, as much of it as the OpenAPI document uses, and the words to write it with. Pure. */

/** As much of JSON Schema as is used here. */
export interface Schema {
  $ref?: string;
  type?: "object" | "array" | "string" | "integer" | "number" | "boolean" | readonly string[];
  description?: string;
  properties?: Readonly<Record<string, Schema>>;
  required?: readonly string[];
  additionalProperties?: false;
  items?: Schema;
  enum?: readonly (string | number | null)[];
  const?: boolean;
  anyOf?: readonly Schema[];
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  default?: unknown;
}

export const U32_MAX = 0xffff_ffff;
export const string = (description: string): Schema => ({ type: "string", description });
export const count = (description: string): Schema => ({ type: "integer", minimum: 0, description });
export const range = (minimum: number, maximum: number, description: string): Schema => ({
  type: "integer",
  minimum,
  maximum,
  description,
});
export const words = (names: readonly string[], description: string): Schema => ({
  type: "string",
  enum: names,
  description,
});
export const reference = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });

/** An object that has these members and no others; those named in `optional` may be missing. */
export function object(properties: Readonly<Record<string, Schema>>, optional: readonly string[] = []): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: "object", properties, required, additionalProperties: false };
}

export const time = count("Milliseconds since 1970.");
