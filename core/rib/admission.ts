/** Which updates an owner may make. Pure; main thread. */
import { NO_ATTRS } from "../context/attrs.ts";
import type { Owner } from "./owners.ts";

/** Why an update could not be admitted. */
export const AdmissionError = {
  OUT_OF_ATTRS: "OUT_OF_ATTRS",
  OUT_OF_KEY_CLASSES: "OUT_OF_KEY_CLASSES",
  /** There are as many routes of the family as can be numbered. */
  OUT_OF_ROUTES: "OUT_OF_ROUTES",
  /** The owner may not write to this table. */
  TABLE_NOT_ALLOWED: "TABLE_NOT_ALLOWED",
  /** The owner has as many routes as it may. */
  PREFIX_LIMIT: "PREFIX_LIMIT",
  /** Others want this route, and the owner that would delete it does not. */
  NOT_OWNER: "NOT_OWNER",
} as const;
export type AdmissionError = (typeof AdmissionError)[keyof typeof AdmissionError];

/**
 * Whether an owner with `routes` routes may have one with `attrs`, or no longer with NO_ATTRS, of which it wants `own` so
 * far. `isOfOthers`: somebody wants the route.
 */
export function checkClaim(
  owner: Owner,
  routes: number,
  own: number,
  attrs: number,
  isOfOthers: boolean,
): AdmissionError | null {
  if (own !== NO_ATTRS) return null;
  if (attrs === NO_ATTRS) return isOfOthers ? AdmissionError.NOT_OWNER : null;
  return owner.isFull(routes) ? AdmissionError.PREFIX_LIMIT : null;
}
