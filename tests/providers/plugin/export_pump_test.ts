/** What a plugin's export is brought, in which order, and what happens when it does not take it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ATTRS, attrsLength, encodeAttrs, NO_ATTRS } from "../../../core/context/attrs.ts";
import { AttrsStore, createAttrsStorage } from "../../../core/context/attrs_store.ts";
import { type NexthopObject, NexthopObjectKind, nexthopObjectUpdate } from "../../../core/context/nexthop_object.ts";
import {
  type ExportQuestion,
  OBJECT_HEADER,
  RECORD_ABSENT,
  RECORD_PENDING,
  RecordWriter,
} from "../../../core/context/route_export.ts";
import { RECORD } from "../../../core/context/route_record.ts";
import { createNexthop, Family } from "../../../core/model/route.ts";
import { ExportPump } from "../../../providers/plugin/export_pump.ts";
import { readObjects, readRoutes } from "../../../providers/plugin/export_view.ts";
import { FRAME_BODY, ToHost } from "../../../providers/plugin/frames.ts";
import { RouteViews } from "../../../providers/plugin/route_view.ts";
import { numberedUpdate } from "../../support/updates.ts";
import { until } from "../../support/wait.ts";

/** A pump between a main thread and a plugin that a test plays. */
class Bench {
  readonly questions: ExportQuestion[] = [];
  readonly frames: Uint8Array[] = [];
  readonly store = new AttrsStore(createAttrsStorage(1 << 20));
  readonly views = new RouteViews();
  readonly pump = new ExportPump({
    ask: (question) => this.questions.push(question),
    send: (frame) => this.frames.push(frame),
    retryMinMs: 5,
  });

  /** The question that waits for an answer. */
  question(): Exclude<ExportQuestion, { type: "begin" | "keys" }> {
    const question = this.questions.at(-1)!;
    assert.ok(question.type !== "begin" && question.type !== "keys");
    return question;
  }

  answerRoutes(routes: readonly (readonly [number: number, flags: number])[], next = 0): void {
    const writer = new RecordWriter(4096);
    for (const [number, flags] of routes) {
      const update = numberedUpdate(number);
      const at = writer.add(this.store.reader, flags === 0 ? this.store.intern(update) : NO_ATTRS, flags);
      writer.bytes[at + RECORD.FAMILY] = update.family;
      writer.bytes[at + RECORD.PREFIX_LENGTH] = update.prefixLength;
      writer.bytes.set(update.prefix, at + RECORD.PREFIX);
      writer.view.setUint32(at + RECORD.TABLE, 254, true);
    }
    const { count, length } = writer;
    this.pump.onAnswer({ type: "routes", token: this.question().token, records: writer.take(), length, count, next });
  }

  answerObjects(objects: readonly [number, NexthopObject][], next = 0, pending: number[] = []): void {
    const updates = objects.map(([, object]) => nexthopObjectUpdate(object));
    const bytes = new Uint8Array(
      updates.reduce((sum, update) => sum + OBJECT_HEADER + attrsLength(update), OBJECT_HEADER),
    );
    const view = new DataView(bytes.buffer);
    let at = 0;
    for (const [index, [id]] of objects.entries()) {
      view.setUint32(at, id, true);
      encodeAttrs(view, bytes, at + OBJECT_HEADER, updates[index]!);
      at += OBJECT_HEADER + view.getUint32(at + OBJECT_HEADER + ATTRS.LENGTH, true);
    }
    const buffer = bytes.slice(0, Math.max(at, OBJECT_HEADER)).buffer;
    this.pump.onAnswer({
      type: "objects",
      token: this.question().token,
      objects: buffer,
      count: objects.length,
      next,
      pending,
    });
  }

  /** What came last, as the plugin sees it. */
  batch() {
    const frame = this.frames.at(-1)!;
    assert.equal(new DataView(frame.buffer).getUint32(4, true), ToHost.EXPORT);
    const { changes, isFirst, isLast } = readRoutes(frame.slice(FRAME_BODY).buffer as ArrayBuffer, this.views);
    return {
      changes: changes.map(({ prefix, route }) => `${route === undefined ? "-" : "+"}${prefix}`),
      isFirst,
      isLast,
    };
  }
}

const single = (gateway: number): NexthopObject => {
  const nexthop = createNexthop();
  nexthop.viaFamily = Family.IPV4;
  nexthop.via.set([10, 0, 0, gateway]);
  nexthop.ifindex = 3;
  return { kind: NexthopObjectKind.SINGLE, nexthop };
};

describe("the export pump", () => {
  it("brings all that there is, and then what changes, a batch at a time", () => {
    const bench = new Bench();
    bench.pump.begin(true);
    assert.deepEqual(
      bench.questions.map(({ type }) => type),
      ["begin", "objects"],
    );
    assert.deepEqual(bench.questions[0], { type: "begin", wantsFailed: false, routes: "all" });
    bench.answerObjects([]);
    assert.deepEqual(bench.question(), { type: "walk", token: bench.question().token, family: Family.IPV4, from: 0 });
    bench.answerRoutes(
      [
        [1, 0],
        [2, RECORD_PENDING],
      ],
      1025,
    );
    assert.deepEqual(bench.batch(), { changes: ["+10.0.0.1/32"], isFirst: true, isLast: false });
    const asked = bench.questions.length;
    bench.pump.onAnswer({ type: "changed", routes: true, objects: false });
    assert.equal(bench.questions.length, asked, "the plugin has not taken the first");
    bench.pump.onExported(true);
    assert.deepEqual(bench.question(), {
      type: "walk",
      token: bench.question().token,
      family: Family.IPV4,
      from: 1025,
    });
    const frames = bench.frames.length;
    bench.answerRoutes([]);
    assert.equal(bench.frames.length, frames, "an empty piece in between is not told");
    assert.equal((bench.question() as { family: Family }).family, Family.IPV6);
    bench.answerRoutes([]);
    assert.deepEqual(bench.batch(), { changes: [], isFirst: false, isLast: true });
    bench.pump.onExported(true);
    assert.equal(bench.question().type, "changes");
    bench.answerRoutes(
      [
        [1, RECORD_ABSENT],
        [5, 0],
      ],
      1,
    );
    assert.deepEqual(bench.batch(), { changes: ["-10.0.0.1/32", "+10.0.0.5/32"], isFirst: false, isLast: false });
    bench.pump.onExported(true);
    assert.equal(bench.question().type, "changes", "there are more");
    bench.answerRoutes([]);
    const quiet = bench.questions.length;
    bench.pump.onExported(true); // an answer that nobody waits for
    assert.equal(bench.questions.length, quiet);
    bench.pump.onAnswer({ type: "replay" });
    bench.answerRoutes([], 0);
    assert.equal(bench.batch().isFirst, true);
  });

  it("offers again what was not taken, and nothing else until then", async () => {
    const bench = new Bench();
    bench.pump.begin(true);
    bench.answerObjects([]);
    bench.answerRoutes([[1, 0]], 2);
    const { length } = bench.frames;
    for (let round = 1; round <= 3; round++) {
      bench.pump.onExported(false);
      bench.pump.onExported(false); // once is enough
      assert.equal(bench.frames.length, length + round - 1);
      await until("it is offered again", () => bench.frames.length === length + round);
      assert.equal(bench.frames.at(-1), bench.frames.at(-2), "the same batch");
    }
    assert.equal(bench.question().type, "walk");
    bench.pump.onExported(true);
    assert.equal((bench.question() as { from: number }).from, 2);
    bench.answerRoutes([[2, 0]], 3);
    bench.pump.onExported(false);
    bench.pump.end();
    const other = new Bench();
    other.pump.begin(true);
    other.answerObjects([]);
    other.answerRoutes([[1, 0]], 2);
    other.pump.onExported(false);
    await until("another is offered its batch again", () => other.frames.at(-1) === other.frames.at(-2));
    assert.equal(bench.frames.length, length + 4, "whoever is gone is offered nothing");
  });

  it("begins anew with each process, and takes no answers to what another has asked", () => {
    const bench = new Bench();
    bench.pump.begin(true);
    const { token } = bench.question();
    bench.pump.begin(true);
    const { length } = bench.questions;
    bench.pump.onAnswer({ type: "objects", token, objects: new ArrayBuffer(16), count: 0, next: 0, pending: [] });
    assert.deepEqual([bench.questions.length, bench.frames.length], [length, 0]);
    bench.answerObjects([]);
    assert.equal(bench.question().type, "walk");
  });

  it("brings nexthop objects as one list, also to who exports nothing, and again when they have changed", () => {
    const bench = new Bench();
    bench.pump.begin(false);
    assert.deepEqual(bench.questions[0], { type: "begin", wantsFailed: false, routes: "none" });
    bench.answerObjects([[7, single(1)]], 256);
    assert.equal(bench.frames.length, 0);
    bench.answerObjects(
      [
        [8, single(2)],
        [9, { kind: NexthopObjectKind.GROUP, members: [{ id: 7, weight: 3 }] }],
      ],
      0,
      [5, 6],
    );
    const { objects, pending } = readObjects(bench.frames[0]!.slice(FRAME_BODY).buffer as ArrayBuffer);
    assert.deepEqual(
      objects.map(({ id }) => id),
      [7, 8, 9],
    );
    assert.deepEqual(pending, [5, 6]);
    for (const { id, object } of objects) bench.views.setObject(id, object);
    assert.deepEqual(
      bench.views.object(9)?.nexthops.map(({ via, weight }) => [via, weight]),
      [["10.0.0.1", 3]],
    );
    assert.equal(bench.questions.at(-1)?.type, "objects", "no routes are asked for");
    bench.pump.onAnswer({ type: "changed", routes: true, objects: true });
    assert.equal(bench.question().type, "objects");
    bench.answerObjects([]);
    assert.equal(bench.questions.at(-1)?.type, "objects");
  });
});
