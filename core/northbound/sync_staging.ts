/**
 * The first half of a full-state sync: reads the whole body and stages it. Until all of it has been found good nothing is
 * changed, and if anything is wrong with it, nothing will be. Main thread.
 */
import { createRouteUpdate } from "../model/route.ts";
import { AdmissionError } from "../rib/admission.ts";
import type { RouteSync } from "../rib/sync.ts";
import { describeAdmissionError, describeRefusal } from "./admission_error.ts";
import type { ErrorJson, LineErrorJson } from "./api_types.ts";
import { Problem } from "./problem.ts";
import { type RouteStreamParts, STEP_UPDATES } from "./route_stream.ts";
import { SplitKind } from "./splitter.ts";
import { BodyEnd, type UpdateBody } from "./update_body.ts";

/** Wrong updates that are told one by one. */
const ERRORS_SHOWN = 20;

/** Errors that say that the body is not what it claims to be. */
const SYNTAX_ERRORS: readonly string[] = ["INVALID_JSON", "INVALID_LINE", "INVALID_UTF8", "LINE_TOO_LONG", "TRUNCATED"];
/** Errors that say that there is too much of it. */
const SIZE_ERRORS: readonly string[] = [
  AdmissionError.PREFIX_LIMIT,
  AdmissionError.OUT_OF_ATTRS,
  AdmissionError.OUT_OF_KEY_CLASSES,
  AdmissionError.OUT_OF_ROUTES,
];

/** Stages the body. Returns why it is refused, or null if all of it is staged. */
export async function stageBody(parts: RouteStreamParts, sync: RouteSync, body: UpdateBody): Promise<Problem | null> {
  const { dataplane, rib, shutdown, bodyIdleMs } = parts;
  const onShutdown = (): void => body.cut();
  shutdown.addEventListener("abort", onShutdown);
  body.cutWhenIdle(bodyIdleMs);
  try {
    // What the kernel holds is known only once admission is open.
    await dataplane.waitForRoom();
    rib.flush();
    if (shutdown.aborted || !dataplane.isAccepting()) return unavailable(parts);
    const staging = new Staging(parts, sync, body);
    while (await body.read()) await staging.takeUpdates();
    if (body.end === BodyEnd.COMPLETE) return staging.problem();
    if (shutdown.aborted) return unavailable(parts);
    const detail = body.end === BodyEnd.BROKEN ? "The body broke off" : `The body stood still for ${bodyIdleMs} ms`;
    return new Problem(body.end === BodyEnd.BROKEN ? 400 : 408, detail, "nothing was changed");
  } finally {
    shutdown.removeEventListener("abort", onShutdown);
  }
}

function unavailable({ dataplane }: RouteStreamParts): Problem {
  const { message, hint } = describeRefusal(dataplane);
  return new Problem(503, message, hint);
}

class Staging {
  readonly #parts: RouteStreamParts;
  readonly #sync: RouteSync;
  readonly #body: UpdateBody;
  readonly #update = createRouteUpdate();
  readonly #errors: LineErrorJson[] = [];
  #errorCount = 0;

  constructor(parts: RouteStreamParts, sync: RouteSync, body: UpdateBody) {
    this.#parts = parts;
    this.#sync = sync;
    this.#body = body;
  }

  async takeUpdates(): Promise<void> {
    const { pacer } = this.#parts;
    let taken = 0;
    for (let kind = this.#body.next(); kind !== SplitKind.NONE; kind = this.#body.next()) {
      const error = this.#take(kind);
      if (error !== null) this.#note(error);
      taken += 1;
      // One that was not like an earlier one may have taken long.
      if ((taken % STEP_UPDATES === 0 || this.#body.attrsMemo === null) && pacer.isOver()) await pacer.pause();
    }
  }

  #take(kind: SplitKind): ErrorJson | null {
    const { rib, resolver, defaults } = this.#parts;
    const update = this.#update;
    const error = this.#body.parse(kind, update, resolver, defaults);
    if (error !== null) return error;
    const refused = this.#sync.stage(update, this.#body.line, this.#body.attrsMemo);
    return refused === null ? null : describeAdmissionError(refused, rib, this.#sync.owner, update);
  }

  #note(error: ErrorJson): void {
    this.#parts.dataplane.countUpdateError();
    this.#errorCount += 1;
    if (this.#errors.length < ERRORS_SHOWN) this.#errors.push({ line: this.#body.line, error });
  }

  problem(): Problem | null {
    const [first] = this.#errors;
    if (first === undefined) return null;
    const { code } = first.error;
    const status = SYNTAX_ERRORS.includes(code) ? 400 : SIZE_ERRORS.includes(code) ? 413 : 422;
    const count = this.#errorCount;
    const what = count === 1 ? "An update of the body is wrong" : `${count} updates of the body are wrong`;
    const problem = new Problem(
      status,
      `${what}, first in line ${first.line}: ${first.error.message}`,
      "nothing was changed",
    );
    problem.errors = this.#errors;
    problem.errorCount = count;
    return problem;
  }
}
