/**
 * Why an update is rejected: the codes that result lines carry in `error.code`, each with what it means. The API's
 * documentation lists this table. Pure; any thread.
 */

/** Every code of a rejected update. Codes of failed ones are the kernel's errno names. */
export const UPDATE_ERRORS = {
  INVALID_JSON: "The line, or the element of the array, is not JSON.",
  INVALID_LINE: "The line is not a route command as `ip -batch` takes it.",
  INVALID_UTF8: "The line has bytes that are not UTF-8.",
  LINE_TOO_LONG: "The line, or the element of the array, is longer than an update may be.",
  TRUNCATED: "The body ended inside of an update or before the end of the array.",
  WRONG_TYPE: "A value is of another JSON type than the field's.",
  UNKNOWN_FIELD: "An update or a part of it has a field that does not exist.",
  UNKNOWN_WORD: "A route command has a word that does not exist.",
  UNSUPPORTED: "iproute2 knows the word, but dplaned cannot do what it asks for.",
  MISSING_FIELD: "A field that the update needs is not there.",
  DUPLICATE_FIELD: "A route command says the same thing twice.",
  INVALID_VALUE: "A value is none of the words that the field takes.",
  OUT_OF_RANGE: "A number, or the number of elements, is outside of the range.",
  INVALID_PREFIX: "The text is not a prefix.",
  HOST_BITS_SET: "The prefix has bits set beyond its length.",
  INVALID_ADDRESS: "The text is not an address, or the address cannot be used there.",
  FAMILY_MISMATCH: "Addresses of IPv4 and IPv6 are combined in a way that the kernel does not route.",
  CONFLICT: "Two fields of the update exclude each other.",
  UNKNOWN_DEVICE: "No interface has the name.",
  UNKNOWN_VRF: "No VRF has the name.",
  UNKNOWN_TABLE: "No routing table has the name.",
  MISSING_NEXTHOP: "A unicast route has neither nexthops nor a nexthop group.",
  DUPLICATE_NEXTHOP: "Two nexthops of the route are the same.",
} as const;

export type UpdateErrorCode = keyof typeof UPDATE_ERRORS;

/** What is wrong with one update. */
export interface UpdateError {
  code: UpdateErrorCode;
  /** Path of the field (`nexthops[3].weight`); empty where no field is to blame. */
  field: string;
  message: string;
  /** What to write instead. */
  hint?: string;
}

export function createUpdateError(code: UpdateErrorCode, field: string, message: string, hint?: string): UpdateError {
  return hint === undefined ? { code, field, message } : { code, field, message, hint };
}

/** A client's text as messages quote it: JSON's quotes, and cut where it is long. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text);
}
