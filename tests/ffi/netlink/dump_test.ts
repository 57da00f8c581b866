/** What dump() makes of answers that a real kernel gives rarely, from a scripted socket. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ERRNO } from "../../../ffi/libc/errno.ts";
import { block, type DumpOptions, type DumpResult, type DumpSocket, dump } from "../../../ffi/netlink/dump.ts";
import { RECEIVE_OVERRUN, RECEIVE_TRUNCATED } from "../../../ffi/netlink/socket.ts";

const PORT_ID = 77;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const ITEM = 24;
const INTERRUPTED = 0x10;

/** A message with a 4-byte body; `sequence` defaults to that of the request it answers. */
interface Message {
  type: number;
  value?: number;
  flags?: number;
  sequence?: number;
  portId?: number;
  length?: number;
}
/** A datagram, or what `receive` returns instead of one. */
type Step = Message[] | number;

function encode(messages: Message[], sequence: number): Uint8Array {
  const bytes = new Uint8Array(messages.length * 20);
  const view = new DataView(bytes.buffer);
  messages.forEach((message, i) => {
    view.setUint32(i * 20, message.length ?? 20, true);
    view.setUint16(i * 20 + 4, message.type, true);
    view.setUint16(i * 20 + 6, message.flags ?? 2, true);
    view.setUint32(i * 20 + 8, message.sequence ?? sequence, true);
    view.setUint32(i * 20 + 12, message.portId ?? PORT_ID, true);
    view.setInt32(i * 20 + 16, message.value ?? 0, true);
  });
  return bytes;
}

/** Answers the n-th request with the n-th list of steps; then stays silent. */
class ScriptedSocket implements DumpSocket {
  readonly portId = PORT_ID;
  truncatedBytes = 0;
  readonly bufferSizes: number[] = [];
  readonly #answers: Step[][];
  #steps: Step[] = [];
  #sequence = 0;
  constructor(answers: Step[][]) {
    this.#answers = [...answers];
  }
  send(bytes: Uint8Array): number {
    // As the kernel does while a dump is under way.
    if (this.#steps.length > 0) return -ERRNO.EBUSY;
    this.#sequence = new DataView(bytes.buffer).getUint32(8, true);
    this.#steps = [...(this.#answers.shift() ?? [])];
    return 0;
  }
  receive(buffer: Uint8Array): number {
    this.bufferSizes.push(buffer.length);
    const step = this.#steps.shift() ?? 0;
    if (typeof step === "number") return step;
    const bytes = encode(step, this.#sequence);
    buffer.set(bytes);
    return bytes.length;
  }
  poll(): boolean {
    return this.#steps.length > 0;
  }
}

interface Outcome extends DumpResult {
  seen: number[];
  sequence: number;
}

function run(socket: DumpSocket, options: DumpOptions = {}): Outcome {
  const request = encode([{ type: 26 }], 1000);
  let seen: number[] = [];
  const handlers = {
    onMessage: (view: DataView, offset: number, length: number) => {
      assert.equal(length, 20);
      seen.push(view.getInt32(offset + 16, true));
    },
    onRestart: () => {
      seen = [];
    },
  };
  const result = block(dump(socket, request, handlers, { timeoutMs: 1, ...options }));
  return { ...result, seen, sequence: new DataView(request.buffer).getUint32(8, true) };
}

const items = (...values: number[]): Message[] => values.map((value) => ({ type: ITEM, value }));
const done = (value = 0, flags = 2): Message => ({ type: NLMSG_DONE, value, flags });

describe("dump", () => {
  it("hands over all messages of all datagrams up to the end mark", () => {
    const outcome = run(new ScriptedSocket([[items(1, 2), 0, items(3), [done()]]]));
    assert.deepEqual(outcome.seen, [1, 2, 3]);
    const { errno, interrupted, messages, bytes, restarts } = outcome;
    assert.deepEqual(
      { errno, interrupted, messages, bytes, restarts },
      { errno: 0, interrupted: false, messages: 3, bytes: 80, restarts: 0 },
    );
  });

  it("skips what does not answer this request", () => {
    const stray: Message[] = [
      { type: ITEM, value: 8, sequence: 999 },
      { type: NLMSG_DONE, sequence: 999 },
      { type: ITEM, value: 9, portId: 5 },
    ];
    assert.deepEqual(run(new ScriptedSocket([[stray, [...items(1), done()]]])).seen, [1]);
  });

  it("starts over with a new sequence number when the table changed, wherever the mark stands", () => {
    const marked = { type: ITEM, value: 1, flags: 2 | INTERRUPTED };
    const outcome = run(
      new ScriptedSocket([[[marked, done()]], [[...items(1, 2), done(0, 2 | INTERRUPTED)]], [[...items(3), done()]]]),
    );
    assert.deepEqual([outcome.seen, outcome.errno, outcome.interrupted, outcome.restarts], [[3], 0, false, 2]);
    assert.equal(outcome.sequence, 1002);
  });

  it("gives the last try as it is, and says so, when the table never rests", () => {
    const answer: Step[] = [[...items(1), done(0, 2 | INTERRUPTED)]];
    const outcome = run(new ScriptedSocket([answer, answer, answer, answer]), { restartsMax: 2 });
    assert.deepEqual([outcome.seen, outcome.errno, outcome.interrupted, outcome.restarts], [[1], 0, true, 2]);
  });

  it("drains a dump that lost messages to its end before it starts over", () => {
    const outcome = run(new ScriptedSocket([[items(1), RECEIVE_OVERRUN, [done()]], [[...items(1, 2), done()]]]));
    assert.deepEqual([outcome.seen, outcome.errno, outcome.restarts], [[1, 2], 0, 1]);
  });

  it("reports lost messages when every try loses some", () => {
    const answer: Step[] = [RECEIVE_OVERRUN, [done()]];
    const outcome = run(new ScriptedSocket([answer, answer]), { restartsMax: 1 });
    assert.deepEqual([outcome.errno, outcome.restarts], [ERRNO.ENOBUFS, 1]);
  });

  it("grows its buffer to an object that did not fit", () => {
    const socket = new ScriptedSocket([[RECEIVE_TRUNCATED, [done()]], [[...items(1), done()]]]);
    socket.truncatedBytes = 100_000;
    assert.deepEqual(run(socket).seen, [1]);
    assert.equal(socket.bufferSizes.at(-1), 100_000);
  });

  it("does not repeat a request that the kernel itself calls too long", () => {
    const outcome = run(new ScriptedSocket([[[{ type: NLMSG_ERROR, value: -ERRNO.EMSGSIZE }]]]));
    assert.deepEqual([outcome.errno, outcome.restarts], [ERRNO.EMSGSIZE, 0]);
  });

  it("reports the errno of a refused request, and of a dump that broke off", () => {
    assert.equal(run(new ScriptedSocket([[[{ type: NLMSG_ERROR, value: -ERRNO.EINVAL }]]])).errno, ERRNO.EINVAL);
    assert.equal(run(new ScriptedSocket([[items(1), [done(-ERRNO.ENOENT)]]])).errno, ERRNO.ENOENT);
  });

  it("stops at malformed messages", () => {
    for (const length of [0, 15, 21, 0xffffffff]) {
      assert.equal(run(new ScriptedSocket([[[{ type: ITEM, length }]]])).errno, ERRNO.EBADMSG, `nlmsg_len ${length}`);
    }
  });

  it("gives up when the end never comes", () => {
    assert.equal(run(new ScriptedSocket([[items(1)]])).errno, ERRNO.ETIMEDOUT);
  });

  it("counts a try as interrupted when its witness heard something", () => {
    const witness = new ScriptedSocket([]);
    witness.receive = () => 0;
    const heard = [true, false];
    witness.poll = () => heard.shift() ?? false;
    const answer: Step[] = [[...items(1), done()]];
    const outcome = run(new ScriptedSocket([answer, answer]), { witness });
    assert.deepEqual([outcome.seen, outcome.interrupted, outcome.restarts], [[1], false, 1]);
  });

  it("counts every try as interrupted, and ends, when its witness is broken", () => {
    const witness = new ScriptedSocket([]);
    let receives = 0;
    witness.receive = () => {
      receives += 1;
      assert.ok(receives < 10, "asked again and again");
      return -ERRNO.EIO;
    };
    witness.poll = () => false;
    const answer: Step[] = [[...items(1), done()]];
    const outcome = run(new ScriptedSocket([answer, answer]), { witness, restartsMax: 1 });
    assert.deepEqual([outcome.seen, outcome.interrupted, outcome.errno], [[1], true, 0]);
  });
});
