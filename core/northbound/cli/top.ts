/**
 * `dplaned top`: the daemon at work, on a whole screen; a line for each interval in a pipe. Goes on when the daemon is
 * restarted. Main thread of a client process.
 */
import { clearTimeout, setTimeout } from "node:timers";
import { escapeControls } from "../../output.ts";
import type { OverviewJson, TroubleJson } from "../overview_types.ts";
import { type ApiClient, ApiError, BrokenOffError, UnreachableError } from "./client.ts";
import type { CliIo } from "./io.ts";
import { encodeLine } from "./styled_text.ts";
import type { Terminal } from "./terminal.ts";
import { compareOverviews, type TopSample } from "./top_sample.ts";
import { formatSampleLine, formatScreen, OWNER_ORDERS, type TopView } from "./top_screen.ts";

export interface TopCommand {
  /** In seconds. */
  interval: number;
  /** Intervals after which it ends; undefined for never. */
  count: number | undefined;
  json: boolean;
}

const HISTORY_MAX = 200;
const TROUBLES_MAX = 64;
const INTERVAL_MIN_MS = 100;
const INTERVAL_MAX_MS = 60_000;
const EXIT_BY_SIGNAL = 128;
const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGHUP: 1, SIGTERM: 15 };

/** Asks the daemon and compares its answer with the one before. */
class Sampler {
  readonly #client: ApiClient;
  #before: OverviewJson | null = null;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  /** All that the daemon knows: the first answer of each of its lives. Throws where there is none. */
  first: OverviewJson | null = null;

  /** The next sample; null where there is nothing yet to compare with. */
  async next(): Promise<TopSample | null> {
    const cursor = this.#before?.cursor;
    const now = await this.#client.getJson<OverviewJson>("/v1/overview", { cursor });
    const before = this.#before;
    this.#before = now;
    if (before !== null && before.startedAt === now.startedAt) {
      this.first = null;
      return compareOverviews(now, before);
    }
    this.first = now;
    return null;
  }
}

/** Whether the daemon is away, as it is while somebody restarts it. */
function isLoss(error: unknown): error is Error {
  return error instanceof UnreachableError || error instanceof BrokenOffError || error instanceof ApiError;
}

export async function runTop(command: TopCommand, client: ApiClient, io: CliIo): Promise<number> {
  const sampler = new Sampler(client);
  // That no daemon answers to begin with is an error, as with any command.
  await sampler.next();
  const terminal = command.json ? undefined : io.terminal();
  if (terminal === undefined) return printSamples(command, sampler, io);
  return await new TopScreen(command, sampler, terminal, io.environment).run();
}

async function printSamples({ interval, count, json }: TopCommand, sampler: Sampler, io: CliIo): Promise<number> {
  let isLost = false;
  for (let printed = 0; count === undefined || printed < count; ) {
    await new Promise((wake) => setTimeout(wake, interval * 1000));
    try {
      const sample = await sampler.next();
      if (isLost) io.stderr("dplaned: it answers again\n");
      isLost = false;
      if (sample === null) continue;
      io.stdout(json ? `${JSON.stringify(sample)}\n` : escapeControls(formatSampleLine(sample), "\n"));
      printed += 1;
    } catch (error) {
      if (!isLoss(error)) throw error;
      if (!isLost) io.stderr(escapeControls(`dplaned: ${error.message}; trying again\n`, "\n"));
      isLost = true;
    }
  }
  return 0;
}

/** The screen, from its opening to its end. */
class TopScreen {
  readonly #sampler: Sampler;
  readonly #terminal: Terminal;
  readonly #colours: boolean;
  readonly #view: TopView & { history: number[]; troubles: TroubleJson[] };
  readonly #count: number;
  readonly #end = Promise.withResolvers<number>();
  #shown = 0;
  #sample: TopSample | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    { interval, count = Number.POSITIVE_INFINITY }: TopCommand,
    sampler: Sampler,
    terminal: Terminal,
    environment: Readonly<Record<string, string | undefined>>,
  ) {
    this.#sampler = sampler;
    this.#terminal = terminal;
    this.#count = count;
    // As https://no-color.org has it: an empty value is none.
    this.#colours = !environment["NO_COLOR"] && environment["TERM"] !== "dumb";
    const locale = environment["LC_ALL"] || environment["LC_CTYPE"] || environment["LANG"] || "";
    this.#view = {
      order: "routes",
      isPaused: false,
      showsHelp: false,
      intervalMs: interval * 1000,
      loss: "",
      history: [],
      troubles: [],
      isUnicode: /utf-?8/i.test(locale),
    };
  }

  async run(): Promise<number> {
    this.#terminal.open({
      onKeys: (keys) => this.#onKeys(keys),
      onRedraw: () => this.#draw(),
      onStop: (signal) => this.#end.resolve(signal === "SIGINT" ? 0 : EXIT_BY_SIGNAL + (SIGNAL_NUMBERS[signal] ?? 0)),
    });
    try {
      this.#takeFirst();
      this.#draw();
      this.#schedule();
      return await this.#end.promise;
    } finally {
      clearTimeout(this.#timer);
      this.#terminal.close();
    }
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#ask().catch((error: unknown) => this.#end.reject(error));
    }, this.#view.intervalMs);
  }

  async #ask(): Promise<void> {
    const view = this.#view;
    try {
      const sample = await this.#sampler.next();
      view.loss = "";
      if (sample === null) this.#takeFirst();
      else if (!view.isPaused) this.#take(sample);
    } catch (error) {
      if (!isLoss(error)) throw error;
      view.loss = error.message;
    }
    this.#draw();
    if (this.#shown >= this.#count) this.#end.resolve(0);
    else this.#schedule();
  }

  #take(sample: TopSample): void {
    this.#sample = sample;
    this.#shown += 1;
    const { history, troubles } = this.#view;
    history.push(sample.rates.updates);
    history.splice(0, history.length - HISTORY_MAX);
    troubles.push(...sample.troubles);
    troubles.splice(0, troubles.length - TROUBLES_MAX);
  }

  /** Begins with what the daemon remembers, and without rates. */
  #takeFirst(): void {
    const { first } = this.#sampler;
    if (first === null) return;
    this.#view.history.splice(0, HISTORY_MAX, ...first.trend.updates.map((value) => value ?? 0).slice(-HISTORY_MAX));
    this.#view.troubles.splice(0, TROUBLES_MAX, ...first.troubles);
    this.#sample = compareOverviews({ ...first, troubles: [] }, first);
  }

  #draw(): void {
    if (this.#sample === null) return;
    const { size } = this.#terminal;
    // Each line is cleared before it is written: behind it, the last column would be.
    const lines = formatScreen(this.#sample, this.#view, size).map(
      (line) => `\x1b[K${encodeLine(line, size.columns, this.#colours)}`,
    );
    this.#terminal.write(`\x1b[H${lines.join("\r\n")}\x1b[J`);
  }

  #onKeys(keys: string): void {
    for (const key of keys.startsWith("\x1b") ? [] : keys) this.#onKey(key);
    this.#draw();
  }

  #onKey(key: string): void {
    const view = this.#view;
    switch (key) {
      case "q":
      case "Q":
      case "\x03":
        return this.#end.resolve(0);
      case "\x1a":
        return this.#terminal.suspend();
      case "p":
      case " ":
        view.isPaused = !view.isPaused;
        return;
      case "h":
      case "?":
        view.showsHelp = !view.showsHelp;
        return;
      case "s":
        view.order = OWNER_ORDERS[(OWNER_ORDERS.indexOf(view.order) + 1) % OWNER_ORDERS.length]!;
        return;
      case "r":
        view.order = "routes";
        return;
      case "c":
        view.order = "changes";
        return;
      case "n":
        view.order = "name";
        return;
      case "+":
        view.intervalMs = Math.max(INTERVAL_MIN_MS, view.intervalMs / 2);
        return this.#schedule();
      case "-":
        view.intervalMs = Math.min(INTERVAL_MAX_MS, view.intervalMs * 2);
        return this.#schedule();
    }
  }
}
