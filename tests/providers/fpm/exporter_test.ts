import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NO_ATTRS } from "../../../core/context/attrs.ts";
import { AttrsStore, createAttrsStorage } from "../../../core/context/attrs_store.ts";
import {
  type ExportAnswer,
  type ExportQuestion,
  RECORD_ABSENT,
  RECORD_PENDING,
  RecordWriter,
} from "../../../core/context/route_export.ts";
import {
  createFpmClientCounterStorage,
  type FpmClientCounterName,
  readFpmClientCounters,
} from "../../../core/model/fpm_client_counters.ts";
import { Family } from "../../../core/model/route.ts";
import { FpmCounters } from "../../../providers/fpm/counters.ts";
import { Exporter } from "../../../providers/fpm/exporter.ts";
import { NexthopTable } from "../../../providers/fpm/nexthop_table.ts";
import { OUTPUT_BYTES_MAX, OutputBuffer } from "../../../providers/fpm/output.ts";
import { FPM_PROFILES } from "../../../providers/fpm/profile.ts";
import { RouteEncoder } from "../../../providers/fpm/route_encoder.ts";
import { RouteKey } from "../../../providers/fpm/route_key.ts";
import { numberedUpdate } from "../../support/updates.ts";

type Question = Exclude<ExportQuestion, { type: "begin" }>;

/** An exporter whose questions a test answers by hand, and whose output goes nowhere. */
class ExporterBench {
  readonly storage = createFpmClientCounterStorage();
  readonly store = new AttrsStore(createAttrsStorage(1 << 20));
  readonly questions: Question[] = [];
  readonly exporter: Exporter;
  readonly output: OutputBuffer;

  constructor() {
    const counters = new FpmCounters(this.storage);
    const common = { profile: FPM_PROFILES["frr"]!, protocol: 210, isInline: false, counters };
    const nexthops = new NexthopTable(common);
    this.output = new OutputBuffer(common.profile.frameBytesMax, () => {}, counters);
    this.exporter = new Exporter({
      nexthops,
      encoder: new RouteEncoder({ ...common, nexthops }),
      output: this.output,
      counters,
      ask: (question) => this.questions.push(question as Question),
      onReplayed: () => {},
    });
  }

  /** Connected, with nothing to replay but what `numbers` say. */
  static streaming(numbers: readonly number[] = []): ExporterBench {
    const bench = new ExporterBench();
    bench.exporter.connect();
    bench.answer({ type: "objects", objects: new ArrayBuffer(0), count: 0, next: 0, pending: [] });
    bench.answerRoutes(numbers);
    bench.answerRoutes([]);
    assert.equal(bench.counter("state"), 2);
    return bench;
  }

  /** Answers the last question. */
  answer(answer: Record<string, unknown>): void {
    const { token } = this.questions.at(-1)!;
    this.exporter.onAnswer({ ...answer, token } as unknown as ExportAnswer);
  }

  answerRoutes(numbers: readonly number[], flags = 0, next = 0): void {
    const writer = new RecordWriter(64);
    for (const number of numbers) {
      const attrs = flags === 0 ? this.attrs(number) : NO_ATTRS;
      const at = writer.add(this.store.reader, attrs, flags);
      this.key(number).toRecord(writer.bytes, writer.view, at);
    }
    const { count, length } = writer;
    this.answer({ type: "routes", records: writer.take(), length, count, next });
  }

  attrs(number: number, gateway?: number): number {
    return this.store.intern(numberedUpdate(number, undefined, gateway));
  }

  key(number: number): RouteKey {
    const { prefix, prefixLength, table, metric } = numberedUpdate(number);
    const key = new RouteKey();
    Object.assign(key, { family: Family.IPV4, prefixLength, table, metric });
    key.bytes.set(prefix);
    return key;
  }

  install(number: number): void {
    this.exporter.onInstall(this.key(number), this.store.reader, this.attrs(number, 99));
    this.exporter.pump();
  }

  remove(number: number): void {
    this.exporter.onDelete(this.key(number));
    this.exporter.pump();
  }

  counter(name: FpmClientCounterName): number {
    return readFpmClientCounters(this.storage)[name];
  }

  /** Routes sent and deleted so far. */
  get sent(): number[] {
    return [this.counter("routesSent"), this.counter("routeDeletesSent")];
  }

  /** Writes until there is no room. */
  fill(): void {
    while (this.output.hasRoom) this.install(1_000_000);
  }

  /** The server has read all. */
  drain(): void {
    this.output.flush();
    this.output.onWritten(this.output.buffered);
    this.exporter.pump();
  }
}

describe("Exporter", () => {
  it("leaves out of an answer what contexts have told since the question", () => {
    const bench = ExporterBench.streaming([1, 2, 3, 4]);
    assert.deepEqual(bench.sent, [4, 0]);
    for (const number of [1, 2, 3, 4]) bench.exporter.mark(bench.key(number));
    bench.exporter.pump();
    assert.equal(bench.questions.at(-1)!.type, "keys");
    bench.install(1);
    bench.remove(2);
    assert.deepEqual(bench.sent, [5, 1]);
    bench.answerRoutes([1, 2, 3, 4]);
    assert.deepEqual(bench.sent, [7, 1], "only the two that no context has told");
    assert.deepEqual([bench.counter("routesHeld"), bench.counter("routesQueued")], [3, 0]);
  });

  it("leaves a deletion alone that came while the walk was on its way", () => {
    const bench = new ExporterBench();
    bench.exporter.connect();
    bench.answer({ type: "objects", objects: new ArrayBuffer(0), count: 0, next: 0, pending: [] });
    bench.remove(7);
    bench.answerRoutes([7, 8]);
    bench.answerRoutes([]);
    assert.deepEqual([...bench.sent, bench.counter("routesHeld")], [1, 1, 1]);
  });

  it("asks for what did not fit, when there is room again", () => {
    const bench = ExporterBench.streaming([1, 2]);
    bench.fill();
    const { length } = bench.questions;
    const before = bench.sent;
    bench.install(1);
    bench.remove(2);
    bench.install(3);
    assert.deepEqual([bench.counter("routesQueued"), bench.sent, bench.questions.length], [3, before, length]);
    assert.ok(bench.output.buffered < OUTPUT_BYTES_MAX + 1024);
    bench.drain();
    assert.equal(bench.questions.length, length + 1);
    bench.answerRoutes([1], 0);
    // The answer had no place for the others: they are asked for again.
    assert.equal(bench.counter("routesQueued"), 0);
    assert.equal(bench.questions.length, length + 2);
    const [question] = bench.questions.slice(-1);
    assert.ok(question?.type === "keys" && question.count === 2);
    bench.answerRoutes([2], RECORD_ABSENT);
    bench.answerRoutes([3], RECORD_PENDING);
    assert.deepEqual(bench.sent, [before[0]! + 1, before[1]! + 1]);
    assert.equal(bench.counter("routesQueued"), 0);
  });

  it("puts off what of an answer does not fit", () => {
    const bench = ExporterBench.streaming();
    bench.exporter.onAnswer({ type: "changed", routes: true, objects: false });
    bench.fill();
    const before = bench.sent;
    bench.answerRoutes([1, 2, 3]);
    assert.deepEqual([bench.counter("routesQueued"), bench.sent], [3, before]);
    bench.drain();
    bench.answerRoutes([1, 2, 3]);
    assert.deepEqual([bench.counter("routesQueued"), bench.sent[0]], [0, before[0]! + 3]);
  });

  it("takes no answer to a question of an earlier connection", () => {
    const bench = ExporterBench.streaming([1]);
    bench.exporter.mark(bench.key(1));
    bench.exporter.pump();
    const { token } = bench.questions.at(-1)!;
    bench.exporter.disconnect();
    bench.exporter.connect();
    const before = bench.sent;
    bench.exporter.onAnswer({ type: "routes", token, records: new ArrayBuffer(64), length: 0, count: 0, next: 0 });
    assert.equal(bench.counter("state"), 1, "it waits for the objects");
    assert.deepEqual(bench.sent, before);
  });
});
