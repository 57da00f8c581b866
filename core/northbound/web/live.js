/**
 * The daemon's state once a second. What one answer told is not asked for again; when the daemon is gone, it is asked
 * again and again until it is back, and a restarted one is told from the one before.
 */
import { ApiError, get } from "./api.js";

/** @typedef {import("../overview_types.ts").OverviewJson} Overview */
/** @typedef {import("../trend.ts").TrendJson} Trend */

/**
 * @typedef {object} Moment
 * @property {Overview} now
 * @property {Overview | null} before The answer before, of the same life of the daemon.
 * @property {number} seconds Time between the two.
 * @property {Trend} trend All that is known of the last minutes.
 * @property {Overview["troubles"]} troubles All that are known, oldest first.
 */

const INTERVAL_MS = 1000;
/** Nobody looks: the daemon is asked only so that the plots have no gap. */
const HIDDEN_INTERVAL_MS = 10_000;
const RETRY_MAX_MS = 5000;
const SAMPLES_MAX = 600;
const TROUBLES_MAX = 64;

export class Live {
  /** @type {Overview | null} */
  #before = null;
  /** @type {Trend | null} */
  #trend = null;
  /** @type {Overview["troubles"]} */
  #troubles = [];
  #failures = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #isAsking = false;
  /** @type {(moment: Moment) => void} */
  #onMoment;
  /** @type {(why: string, since: number) => void} */
  #onLoss;
  #lastAnswerAt = Date.now();

  /**
   * @param {(moment: Moment) => void} onMoment
   * @param {(why: string, since: number) => void} onLoss
   */
  constructor(onMoment, onLoss) {
    this.#onMoment = onMoment;
    this.#onLoss = onLoss;
    document.addEventListener("visibilitychange", () => document.hidden || this.#schedule(0));
    window.addEventListener("online", () => this.#schedule(0));
  }

  start() {
    this.#schedule(0);
  }

  /** @param {number} delayMs */
  #schedule(delayMs) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#ask(), delayMs);
  }

  async #ask() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    const startedAt = performance.now();
    try {
      const cursor = this.#before?.cursor;
      /** @type {Overview} */
      const now = await get("/v1/overview", cursor === undefined ? {} : { cursor });
      this.#failures = 0;
      this.#lastAnswerAt = Date.now();
      this.#take(now);
      const interval = document.hidden ? HIDDEN_INTERVAL_MS : INTERVAL_MS;
      this.#schedule(Math.max(0, interval - (performance.now() - startedAt)));
    } catch (error) {
      this.#failures += 1;
      const why = error instanceof ApiError ? `${error.message}${error.hint === "" ? "" : ` (${error.hint})`}` : "";
      this.#onLoss(why, this.#lastAnswerAt);
      this.#schedule(Math.min(RETRY_MAX_MS, INTERVAL_MS * 1.5 ** (this.#failures - 1)));
      if (!(error instanceof ApiError || error instanceof TypeError || error instanceof DOMException)) throw error;
    } finally {
      this.#isAsking = false;
    }
  }

  /** @param {Overview} now */
  #take(now) {
    const isSameLife = this.#before !== null && this.#before.startedAt === now.startedAt;
    const before = isSameLife ? this.#before : null;
    if (this.#before !== null && this.#before.version !== now.version) return location.reload();
    if (this.#trend === null || !isSameLife) {
      this.#trend = now.trend;
      this.#troubles = now.troubles;
    } else {
      for (const [name, values] of Object.entries(this.#trend)) {
        values.push(...now.trend[/** @type {keyof Trend} */ (name)]);
        values.splice(0, values.length - SAMPLES_MAX);
      }
      this.#troubles = [...this.#troubles, ...now.troubles].slice(-TROUBLES_MAX);
    }
    this.#before = now;
    const seconds = before === null ? 0 : (now.time - before.time) / 1000;
    this.#onMoment({ now, before, seconds, trend: this.#trend, troubles: this.#troubles });
  }
}
