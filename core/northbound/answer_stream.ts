/**
 * The body of an answer that is made while its client reads it, as lines. Whoever writes it waits while
 * UNSENT_MAX bytes are unread, so that a client that does not read costs no more than that. Main thread.
 */

import { LineBuffer } from "./line_buffer.ts";

/** What may wait for a client, in bytes. */
const UNSENT_MAX = 256 * 1024;

export class AnswerStream {
  readonly body: ReadableStream<Uint8Array>;
  readonly #onGone: () => void;
  readonly #unsent = new LineBuffer();
  #hasEnded = false;
  #isGone = false;
  #isCancelled = false;
  // Wake those who wait for something to send, and for the client to take what is sent.
  #wakePull: (() => void) | null = null;
  #wakeWriter: (() => void) | null = null;

  /** `onGone` is called when the client goes away. */
  constructor(onGone: () => void) {
    this.#onGone = onGone;
    this.body = new ReadableStream<Uint8Array>(
      { pull: (controller) => this.#pull(controller), cancel: () => this.#cancel() },
      { highWaterMark: 0 },
    );
  }

  send(text: string): void {
    this.#unsent.text(text);
    this.flush();
  }

  /** Where lines are put that no string is made of; {@linkcode flush} sends them. */
  get out(): LineBuffer {
    return this.#unsent;
  }

  flush(): void {
    if (this.#isGone) this.#unsent.clear();
    else this.#wakePull?.();
  }

  /** So much is unread that the client has to catch up first. */
  get isFull(): boolean {
    return this.#unsent.length > UNSENT_MAX;
  }

  /** Resolves when there is room for more, or nobody any more who would read it. */
  async waitForRoom(): Promise<void> {
    while (this.isFull) {
      await new Promise<void>((resolve) => {
        this.#wakeWriter = resolve;
      });
    }
  }

  /** Nothing more is sent; what was is still read. */
  end(): void {
    this.#hasEnded = true;
    this.#wakePull?.();
  }

  /** The client has gone: what is unsent is dropped, as is all that would follow. */
  abandon(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#unsent.clear();
    this.#wakeWriter?.();
    this.#wakePull?.();
    this.#onGone();
  }

  #cancel(): void {
    this.#isCancelled = true;
    this.abandon();
  }

  /** The client has room for more of the answer. */
  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    while (this.#unsent.length === 0 && !this.#hasEnded && !this.#isGone) {
      await new Promise<void>((resolve) => {
        this.#wakePull = resolve;
      });
    }
    if (this.#isCancelled) return;
    if (this.#unsent.length === 0) return controller.close();
    controller.enqueue(this.#unsent.take());
    this.#wakeWriter?.();
  }
}
