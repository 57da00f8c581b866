/** Questions to the daemon that served the page. */

/** The daemon answered, and with an error. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   * @param {string} hint
   */
  constructor(status, message, hint) {
    super(message);
    this.status = status;
    this.hint = hint;
  }
}

const DEADLINE_MS = 10_000;

/**
 * The JSON that a call answers. Throws an {@linkcode ApiError} for the daemon's own errors.
 * @template T
 * @param {string} path
 * @param {Readonly<Record<string, string>>} [query]
 * @returns {Promise<T>}
 */
export async function get(path, query = {}) {
  const search = new URLSearchParams(query).toString();
  const response = await fetch(search === "" ? path : `${path}?${search}`, {
    headers: { accept: "application/json" },
    cache: "no-store",
    signal: AbortSignal.timeout(DEADLINE_MS),
  });
  if (response.ok) return /** @type {Promise<T>} */ (response.json());
  const problem = await response.json().catch(() => ({}));
  throw new ApiError(response.status, problem.detail ?? `HTTP status ${response.status}`, problem.hint ?? "");
}
