/**
 * The test provider (FRR: `dplane_test_provider_process` and its compile switch): passes contexts through, and on demand
 * delays, fails, skips or throws by a seed. At kernel priority it says that contexts are programmed, so that it can stand
 * in for the kernel. Runs on the dataplane thread, or on its own if so configured.
 */
import process from "node:process";
import { clearTimeout, setTimeout } from "node:timers";
import { now } from "../../core/clock.ts";
import { ContextFlag, DplaneError, F64 } from "../../core/context/layout.ts";
import {
  type Provider,
  type ProviderIo,
  ProviderPriority,
  type RegisteredProvider,
} from "../../core/dataplane/provider.ts";
import { Prng } from "../../core/prng.ts";

export interface TestProviderOptions {
  /** The same seed gives the same sequence of decisions, one set for each context in the order in which they come. */
  seed: number;
  /** Part of the contexts that fails, 0 to 1. */
  failRate: number;
  /** How long each context is held. Order is kept. */
  delayMs: number;
  /** Part of the contexts at which `process` throws, which fails what it took in that call and had not put out. */
  throwRate: number;
  /** Part of the contexts that is to bypass the kernel; before the kernel only. */
  skipRate: number;
  /** Contexts after which `process` does not return (for `stuckMs`, or for ever); 0 for never. */
  stuckAfter: number;
  stuckMs: number;
  /** Contexts after which the thread ends without a word; 0 for never. */
  dieAfter: number;
  /** Says that contexts are programmed. Default: at kernel priority. */
  program: boolean;
}

const DEFAULTS: TestProviderOptions = {
  seed: 1,
  failRate: 0,
  delayMs: 0,
  throwRate: 0,
  skipRate: 0,
  stuckAfter: 0,
  stuckMs: Number.POSITIVE_INFINITY,
  dieAfter: 0,
  program: false,
};

/** The exit code of a thread that `dieAfter` ends. */
const DIED_EXIT_CODE = 70;

export function createTestProvider(registered: RegisteredProvider): Provider {
  const program = registered.priority === ProviderPriority.KERNEL;
  const options = { ...DEFAULTS, program, ...registered.options };
  for (const [name, value] of Object.entries(options)) {
    const wanted = DEFAULTS[name as keyof TestProviderOptions];
    if (wanted === undefined) throw new RangeError(`Cannot make test provider: there is no option "${name}"`);
    if (typeof value !== typeof wanted) {
      throw new TypeError(`Cannot make test provider: option "${name}" is a ${typeof wanted}, not a ${typeof value}`);
    }
  }
  return new TestProvider(options, registered.priority < ProviderPriority.KERNEL);
}

class TestProvider implements Provider {
  readonly #options: TestProviderOptions;
  readonly #isBeforeKernel: boolean;
  readonly #prng: Prng;
  #taken!: Uint32Array;
  /** Contexts being delayed, in a circle: `#heldCount` from `#heldFirst` on. */
  #held!: Uint32Array;
  #dueAt!: Float64Array;
  #heldFirst = 0;
  #heldCount = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #handled = 0;
  #undone = 0;

  constructor(options: TestProviderOptions, isBeforeKernel: boolean) {
    this.#options = options;
    this.#isBeforeKernel = isBeforeKernel;
    this.#prng = new Prng(options.seed);
  }

  start(io: ProviderIo): void {
    this.#taken = new Uint32Array(io.workLimit);
    this.#held = new Uint32Array(io.contexts.slots);
    this.#dueAt = new Float64Array(io.contexts.slots);
  }

  process(io: ProviderIo): void {
    const count = io.dequeueMany(this.#taken, io.workLimit);
    for (let index = 0; index < count; index++) {
      if (this.#decide(io, this.#taken[index]!)) continue;
      io.enqueueMany(this.#taken, index);
      throw new Error("the test provider's seed wants it so");
    }
    if (this.#options.delayMs === 0) {
      io.enqueueMany(this.#taken, count);
      return;
    }
    this.#hold(io, count);
    this.#letDueGo(io);
  }

  /** What is passed through leaves nothing behind to take back; that it was asked for is counted. */
  undo(): void {
    this.#undone += 1;
  }

  finish(io: ProviderIo, early: boolean): void {
    if (!early && this.#timer !== null) clearTimeout(this.#timer);
    const fields = { handled: this.#handled, held: this.#heldCount, undone: this.#undone };
    io.log.info(early ? "Test provider finishes early" : "Test provider finishes late", fields);
  }

  /** Decides a context's fate. The same number of draws for each keeps the sequence. False if it is to throw. */
  #decide(io: ProviderIo, slot: number): boolean {
    const { failRate, skipRate, throwRate, stuckAfter, stuckMs, dieAfter, program } = this.#options;
    this.#handled += 1;
    if (this.#handled === dieAfter) process.exit(DIED_EXIT_CODE);
    if (this.#handled === stuckAfter) spin(stuckMs);
    const fails = failRate > 0 && this.#prng.chance(failRate);
    const skips = skipRate > 0 && this.#prng.chance(skipRate);
    if (throwRate > 0 && this.#prng.chance(throwRate)) return false;
    const { contexts } = io;
    if (skips && this.#isBeforeKernel) contexts.setFlag(slot, ContextFlag.SKIP_KERNEL);
    if (fails) {
      contexts.fail(slot, DplaneError.PROVIDER_REFUSED, "the test provider's seed wants it so");
    } else if (program && !contexts.hasFlag(slot, ContextFlag.SKIP_KERNEL)) {
      contexts.succeed(slot);
      contexts.setF64(slot, F64.PROGRAMMED_AT, now());
    }
    return true;
  }

  #hold(io: ProviderIo, count: number): void {
    const { slots } = io.contexts;
    const dueAt = now() + this.#options.delayMs;
    for (let index = 0; index < count; index++) {
      const place = (this.#heldFirst + this.#heldCount) % slots;
      this.#held[place] = this.#taken[index]!;
      this.#dueAt[place] = dueAt;
      this.#heldCount += 1;
    }
  }

  /** Puts out what has been held long enough, and has itself called when the next is due. */
  #letDueGo(io: ProviderIo): void {
    const { slots } = io.contexts;
    const time = now();
    while (this.#heldCount > 0 && this.#dueAt[this.#heldFirst]! <= time) {
      io.enqueue(this.#held[this.#heldFirst]!);
      this.#heldFirst = (this.#heldFirst + 1) % slots;
      this.#heldCount -= 1;
    }
    if (this.#heldCount === 0 || this.#timer !== null) return;
    const waitMs = Math.max(1, Math.ceil(this.#dueAt[this.#heldFirst]! - time));
    this.#timer = setTimeout(() => {
      this.#timer = null;
      io.signalWork();
    }, waitMs);
  }
}

function spin(milliseconds: number): void {
  const end = now() + milliseconds;
  while (now() < end) {}
}
