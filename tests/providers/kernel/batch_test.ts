import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ERRNO } from "../../../ffi/libc/errno.ts";
import { NLM_F_ACK, RTM_NEWROUTE } from "../../../ffi/netlink/constants.ts";
import { endMessage, putHeader } from "../../../ffi/netlink/message.ts";
import { openNetlinkSocket } from "../../../ffi/netlink/socket.ts";
import { ROUTE_MESSAGE_BYTES_MAX } from "../../../providers/encode_context.ts";
import { Batch } from "../../../providers/kernel/batch.ts";
import { answerTo, FakeNetlink } from "../../support/fake_netlink.ts";

const TIMEOUT_MS = 30;

class BatchBench {
  readonly kernel = new FakeNetlink();
  readonly #firstSequence: number;
  #batch: Batch | null = null;

  constructor(firstSequence = 1) {
    this.#firstSequence = firstSequence;
  }

  /** Made when it is first used, after the kernel's buffers have been set. */
  get batch(): Batch {
    const options = { answerTimeoutMs: TIMEOUT_MS, firstSequence: this.#firstSequence };
    this.#batch ??= new Batch(openNetlinkSocket(this.kernel.libc), options);
    return this.#batch;
  }

  /** Adds `count` requests without a body, or with one of `bytes`. */
  add(count: number, bytes = 16): void {
    for (let index = 0; index < count; index++) {
      const { view, offset, sequence } = this.batch;
      putHeader(view, offset, RTM_NEWROUTE, 0, sequence, 0);
      this.batch.add(endMessage(view, offset, offset + bytes));
    }
  }

  /** Sends and says what was told, a line each. */
  send(): string[] {
    const told: string[] = [];
    this.batch.send({
      onFailure: (index, ack) =>
        told.push(`${index} failed: ${ack.errno} ${ack.text ?? ""} ${ack.offset ?? ""}`.trim()),
      onUnknown: (fromIndex, reason) => told.push(`unknown from ${fromIndex}: ${reason}`),
    });
    assert.equal(this.batch.count, 0);
    assert.equal(this.batch.offset, 0);
    return told;
  }

  /** Has the requests with these places in each send fail. */
  failAt(...places: number[]): void {
    this.kernel.judge = (request) => {
      const first = this.kernel.sends.at(-1)![0]!.sequence;
      return places.includes((request.sequence - first) | 0) ? { errno: ERRNO.EINVAL, text: "no", offset: 16 } : 0;
    };
  }
}

describe("Batch", () => {
  it("asks for an answer to the last request only", () => {
    const bench = new BatchBench();
    bench.add(3);
    assert.deepEqual(bench.send(), []);
    assert.deepEqual(
      bench.kernel.requests.map(({ flags }) => flags & NLM_F_ACK),
      [0, 0, NLM_F_ACK],
    );
  });

  it("sends nothing when nothing was added", () => {
    const bench = new BatchBench();
    assert.deepEqual(bench.send(), []);
    assert.equal(bench.kernel.sends.length, 0);
  });

  it("numbers requests on from batch to batch", () => {
    const bench = new BatchBench();
    for (const count of [2, 1, 3]) {
      bench.add(count);
      bench.send();
    }
    assert.deepEqual(
      bench.kernel.requests.map(({ sequence }) => sequence),
      [1, 2, 3, 4, 5, 6],
    );
  });

  it("tells each failure by its place, with the kernel's words", () => {
    const bench = new BatchBench();
    for (const places of [[0], [1, 3], [4], [0, 1, 2, 3, 4]]) {
      bench.failAt(...places);
      bench.add(5);
      assert.deepEqual(
        bench.send(),
        places.map((place) => `${place} failed: 22 no 16`),
      );
    }
  });

  it("keeps places right where the sequence numbers begin anew", () => {
    const bench = new BatchBench(0xffff_fffe);
    bench.failAt(1, 2, 4);
    bench.add(5);
    assert.deepEqual(bench.send(), ["1 failed: 22 no 16", "2 failed: 22 no 16", "4 failed: 22 no 16"]);
    assert.deepEqual(
      bench.kernel.sends.at(-1)!.map(({ sequence }) => sequence),
      [0xffff_fffe, 0xffff_ffff, 0, 1, 2],
    );
  });

  it("does not take silence for success", () => {
    const bench = new BatchBench();
    bench.kernel.deliver = () => [];
    bench.add(3);
    assert.deepEqual(bench.send(), ["unknown from 0: the kernel did not answer"]);
  });

  it("is certain of what came before the last answer it got", () => {
    const bench = new BatchBench();
    bench.failAt(1);
    bench.kernel.deliver = (answers) => answers.slice(0, -1);
    bench.add(4);
    assert.deepEqual(bench.send(), ["1 failed: 22 no 16", "unknown from 2: the kernel did not answer"]);
  });

  it("waits on through signals", () => {
    const bench = new BatchBench();
    bench.kernel.interruptedPolls = 3;
    let arrives: Uint8Array[] = [];
    bench.kernel.deliver = (answers) => {
      arrives = answers;
      return [];
    };
    bench.add(1);
    // The answer comes while the batch waits.
    const { poll } = bench.kernel.libc;
    Object.assign(bench.kernel.libc, {
      poll: (pollfd: Uint8Array, count: number, timeoutMs: number) => {
        if (bench.kernel.interruptedPolls === 0) bench.kernel.queue(...arrives.splice(0));
        return poll(pollfd, count, timeoutMs);
      },
    });
    assert.deepEqual(bench.send(), []);
  });

  it("does not guess when answers were lost, and starts clean afterwards", () => {
    const bench = new BatchBench();
    bench.failAt(0, 2);
    bench.kernel.deliver = (answers) => [answers[0]!, ERRNO.ENOBUFS, ...answers.slice(1)];
    bench.add(4);
    assert.deepEqual(bench.send(), ["0 failed: 22 no 16", "unknown from 1: answers of the kernel were lost (ENOBUFS)"]);
    bench.kernel.deliver = (answers) => answers;
    bench.failAt(1);
    bench.add(2);
    assert.deepEqual(bench.send(), ["1 failed: 22 no 16"]);
  });

  it("does not guess when the socket fails", () => {
    const bench = new BatchBench();
    bench.kernel.deliver = () => [ERRNO.ENOMEM];
    bench.add(2);
    assert.deepEqual(bench.send(), ["unknown from 0: reading the kernel's answer failed: ENOMEM"]);
  });

  for (const [what, mangle] of [
    ["shorter than a header", (answer: Uint8Array) => answer.subarray(0, 12)],
    ["shorter than it says", (answer: Uint8Array) => answer.subarray(0, answer.length - 4)],
    ["with an attribute that is longer than it", (answer: Uint8Array) => patched(answer, 36, 0xff)],
  ] as const) {
    it(`does not guess when an answer is ${what}`, () => {
      const bench = new BatchBench();
      bench.failAt(0);
      bench.kernel.deliver = ([first, ...rest]) => [mangle(first!), ...rest];
      bench.add(3);
      assert.deepEqual(bench.send(), ["unknown from 0: the kernel's answer is malformed"]);
    });
  }

  it("does not guess when an answer is longer than there is room for", () => {
    const bench = new BatchBench();
    bench.kernel.deliver = () => [new Uint8Array(100_000)];
    bench.add(1);
    assert.deepEqual(bench.send(), ["unknown from 0: reading the kernel's answer failed: EMSGSIZE"]);
  });

  it("ignores late answers to an earlier batch, and to none", () => {
    const bench = new BatchBench();
    bench.kernel.deliver = () => [];
    bench.failAt(0, 1, 2);
    bench.add(3);
    bench.send();
    const late = bench.kernel.requests.map((request) => answerTo(request, { errno: ERRNO.EEXIST }));
    const stray = answerTo({ sequence: 1000, type: RTM_NEWROUTE, flags: 0 }, { errno: ERRNO.EEXIST });
    bench.kernel.deliver = (answers) => [...late, stray, ...answers];
    bench.failAt(1);
    bench.add(3);
    assert.deepEqual(bench.send(), ["1 failed: 22 no 16"]);
  });

  it("reads several answers out of one datagram", () => {
    const bench = new BatchBench();
    bench.failAt(0, 1);
    bench.kernel.deliver = (answers) => [Uint8Array.from(answers.flatMap((answer) => [...answer]))];
    bench.add(3);
    assert.deepEqual(bench.send(), ["0 failed: 22 no 16", "1 failed: 22 no 16"]);
  });

  it("says so when the kernel does not take it", () => {
    const bench = new BatchBench();
    bench.add(3);
    bench.kernel.sendErrno = ERRNO.ENOBUFS;
    assert.deepEqual(bench.send(), ["unknown from 0: sending to the kernel failed: ENOBUFS"]);
    bench.add(2);
    assert.deepEqual(bench.send(), []);
  });

  it("has room for no more requests than there is room for failures of all of them", () => {
    const bench = new BatchBench();
    bench.kernel.receiveBufferBytes = 16 << 10;
    let count = 0;
    for (; bench.batch.hasRoom(); count++) bench.add(1);
    // The kernel counts some 832 bytes for an answer, against double of what was asked for.
    assert.equal(count, 16);
    assert.ok(count * 832 <= 2 * bench.kernel.receiveBufferBytes);
  });

  it("has room for no more bytes than the kernel takes at once", () => {
    const bench = new BatchBench();
    bench.kernel.sendBufferBytes = 104 << 10;
    while (bench.batch.hasRoom()) bench.add(1, ROUTE_MESSAGE_BYTES_MAX);
    assert.deepEqual(bench.send(), []);
    assert.equal(bench.kernel.sends.length, 1);
    assert.equal(bench.kernel.requests.length, 3);
  });
});

/** The bytes with one of them changed. */
function patched(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = value;
  return copy;
}
