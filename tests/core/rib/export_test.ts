import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ATTRS_ALIGN } from "../../../core/context/attrs.ts";
import {
  EXPORT_ROUTES_MAX,
  type ExportAnswer,
  type ExportQuestion,
  RECORD_ABSENT,
  RECORD_ATTRS_NUMBER,
  RECORD_PENDING,
} from "../../../core/context/route_export.ts";
import { encodeRecord, nextRecord, RECORD } from "../../../core/context/route_record.ts";
import { Family, UpdateOp } from "../../../core/model/route.ts";
import { RouteExport } from "../../../core/rib/export.ts";
import { group, NexthopBench, nexthop } from "../../support/nexthop_bench.ts";
import { numberedUpdate, updateNumber } from "../../support/updates.ts";
import { until } from "../../support/wait.ts";

const EXPORTER = 5;
type RoutesAnswer = Extract<ExportAnswer, { type: "routes" }>;

interface Told {
  number: number;
  flags: number;
  attrs: number;
}

/** A RIB, its export, and a provider that only asks. */
class ExportBench {
  readonly bench: NexthopBench;
  readonly export: RouteExport;
  readonly answers: ExportAnswer[] = [];

  constructor(bench: NexthopBench, wantsFailed: boolean, routes: "untold" | "all" | "none") {
    this.bench = bench;
    this.export = new RouteExport(bench.harness.rib, bench.groups, (id, answer) => {
      assert.equal(id, EXPORTER);
      this.answers.push(answer);
    });
    this.export.onMessage(EXPORTER, { type: "begin", wantsFailed, routes });
  }

  static async start({
    wantsFailed = false,
    open = true,
    routes = "untold" as "untold" | "all" | "none",
  } = {}): Promise<ExportBench> {
    const bench = new ExportBench(await NexthopBench.start(), wantsFailed, routes);
    if (open) bench.export.open();
    return bench;
  }

  ask(question: ExportQuestion): ExportAnswer {
    const { length } = this.answers;
    this.export.onMessage(EXPORTER, question);
    assert.equal(this.answers.length, length + 1, "an answer for a question");
    return this.answers[length]!;
  }

  /** The routes of a walk's answer, or of the changes. */
  walk(from = 1): { told: Told[]; next: number } {
    return read(this.ask({ type: "walk", token: 1, family: Family.IPV4, from }));
  }

  changes(): { told: Told[]; next: number } {
    return read(this.ask({ type: "changes", token: 1 }));
  }

  keys(numbers: readonly number[]): { told: Told[]; next: number } {
    const keys = new Uint8Array(numbers.length * RECORD.ATTRS);
    const scratch = new Uint8Array(1024);
    for (const [index, number] of numbers.entries()) {
      encodeRecord(new DataView(scratch.buffer), scratch, 0, numberedUpdate(number), 0);
      keys.set(scratch.subarray(0, RECORD.ATTRS), index * RECORD.ATTRS);
    }
    return read(this.ask({ type: "keys", token: 1, keys: keys.buffer, count: numbers.length }));
  }

  /** Waits until the provider was told that routes have changed. */
  async noticed(): Promise<void> {
    await until("there is a notice", () => this.answers.some((each) => each.type === "changed" && each.routes));
    this.answers.length = 0;
  }
}

function read(answer: ExportAnswer): { told: Told[]; next: number } {
  assert.equal(answer.type, "routes");
  const { records, count, next } = answer as RoutesAnswer;
  const bytes = new Uint8Array(records);
  const view = new DataView(records);
  const told: Told[] = [];
  for (let index = 0, at = 0; index < count; index++, at = nextRecord(view, at)) {
    assert.equal(at % ATTRS_ALIGN, 0);
    told.push({
      number: updateNumber(bytes, at + RECORD.PREFIX),
      flags: bytes[at + RECORD.FLAGS]!,
      attrs: view.getUint32(at + RECORD_ATTRS_NUMBER, true),
    });
  }
  return { told, next };
}

const numbersOf = ({ told }: { told: Told[] }): number[] => told.map(({ number }) => number);

describe("route export", () => {
  it("walks over what the kernel holds, a piece at a time", async () => {
    const { bench, ...each } = await ExportBench.start().then((exporter) => ({ bench: exporter.bench, exporter }));
    const { exporter } = each;
    await bench.harness.stream(1500);
    bench.harness.remove(3);
    await bench.settled();
    const first = exporter.walk();
    assert.equal(first.told.length, EXPORT_ROUTES_MAX);
    assert.ok(first.told.every(({ flags, attrs }) => flags === 0 && attrs !== 0));
    const second = exporter.walk(first.next);
    assert.equal(second.next, 0);
    const all = [...numbersOf(first), ...numbersOf(second)].sort((a, b) => a - b);
    assert.deepEqual(
      all,
      Array.from({ length: 1500 }, (_, index) => index).filter((number) => number !== 3),
    );
    await bench.close();
  });

  it("answers for keys in their order, also for those that there are not", async () => {
    const exporter = await ExportBench.start();
    await exporter.bench.harness.stream(10);
    await exporter.bench.settled();
    const { told } = exporter.keys([7, 99, 2]);
    assert.deepEqual(
      told.map(({ number, flags }) => [number, flags]),
      [
        [7, 0],
        [99, RECORD_ABSENT],
        [2, 0],
      ],
    );
    await exporter.bench.close();
  });

  it("keeps back what is being written, and tells it when that is done", async () => {
    const exporter = await ExportBench.start();
    const { bench } = exporter;
    await bench.harness.stream(3);
    await bench.settled();
    bench.kernel.holdsRoutes = true;
    bench.harness.remove(1);
    bench.harness.rib.flush();
    await until("it is with the kernel", () => bench.kernel.held === 1);
    assert.deepEqual(
      exporter.walk().told.map(({ number, flags }) => [number, flags]),
      [
        [0, 0],
        [1, RECORD_PENDING],
        [2, 0],
      ],
    );
    bench.kernel.release();
    await bench.settled();
    await exporter.noticed();
    // Its number in the RIB is free by now; its key is told all the same.
    const { told, next } = exporter.changes();
    assert.deepEqual([told.map(({ number, flags }) => [number, flags]), next], [[[1, RECORD_ABSENT]], 0]);
    assert.deepEqual(exporter.changes().told, []);
    await bench.close();
  });

  it("tells what was lost, what was found, and nothing of what contexts tell", async () => {
    const exporter = await ExportBench.start();
    const { bench } = exporter;
    const { rib } = bench.harness;
    await bench.harness.stream(5);
    await bench.settled();
    assert.deepEqual(exporter.answers, []);
    const route = Array.from({ length: 5 }, (_, index) => index + 1);
    rib.withdraw(Family.IPV4, route[0]!);
    await bench.settled();
    assert.deepEqual(exporter.changes().told, [], "a context has told of the deletion");
    rib.lose(Family.IPV4, route[1]!, 60_000);
    await exporter.noticed();
    assert.deepEqual(
      exporter.changes().told.map(({ flags }) => flags),
      [RECORD_ABSENT],
    );
    const bytes = new Uint8Array(1024);
    const view = new DataView(bytes.buffer);
    encodeRecord(view, bytes, 0, numberedUpdate(77), 0);
    rib.adopt(bytes, view, 0);
    await exporter.noticed();
    assert.deepEqual(
      exporter.changes().told.map(({ number, flags }) => [number, flags]),
      [[77, 0]],
    );
    await bench.close();
  });

  it("tells who reads no contexts of every change, the last of each route, once", async () => {
    const exporter = await ExportBench.start({ routes: "all" });
    const { bench } = exporter;
    await bench.harness.stream(3);
    await bench.settled();
    await exporter.noticed();
    bench.harness.remove(1);
    bench.harness.install(2, 9);
    await bench.settled();
    const { told } = exporter.changes();
    assert.deepEqual(told.map(({ number, flags }) => [number, flags]).sort(), [
      [0, 0],
      [1, RECORD_ABSENT],
      [2, 0],
    ]);
    assert.deepEqual(exporter.changes().told, []);
    await bench.close();
  });

  it("tells who wants no routes only of nexthop objects", async () => {
    const exporter = await ExportBench.start({ routes: "none" });
    const { bench } = exporter;
    await bench.harness.stream(3);
    await bench.settled();
    bench.harness.rib.lose(Family.IPV4, 1, 60_000);
    await bench.groups.set(7, group([nexthop(2, 9)]));
    bench.kernel.drop(bench.id(7));
    bench.setLink(2, false);
    await until("there is a notice", () => exporter.answers.some((each) => each.type === "changed"));
    const notices = exporter.answers.filter((each) => each.type === "changed");
    assert.ok(notices.every(({ routes, objects }) => !routes && objects));
    await bench.close();
  });

  it("tells what the kernel has refused only to who wants that", async () => {
    for (const wantsFailed of [false, true]) {
      const exporter = await ExportBench.start({ wantsFailed });
      const { bench } = exporter;
      await bench.groups.set(7, group([nexthop(2, 9)]));
      bench.kernel.drop(bench.id(7));
      bench.route(1, 7);
      await bench.settled();
      await exporter.noticed();
      assert.deepEqual(
        exporter.changes().told.map(({ flags }) => flags),
        [wantsFailed ? 0 : RECORD_ABSENT],
      );
      bench.harness.admit(numberedUpdate(1, UpdateOp.DELETE));
      await bench.settled();
      if (wantsFailed)
        assert.deepEqual(
          exporter.keys([1]).told.map(({ flags }) => flags),
          [RECORD_ABSENT],
        );
      await bench.close();
    }
  });

  it("lists nexthop objects, and says when the kernel has dropped one", async () => {
    const exporter = await ExportBench.start();
    const { bench } = exporter;
    await bench.groups.set(7, group([nexthop(2, 9), nexthop(3, 9)]));
    await bench.settled();
    const count = (): number => {
      const answer = exporter.ask({ type: "objects", token: 3, from: 0 });
      assert.ok(answer.type === "objects" && answer.next === 0 && answer.token === 3);
      return answer.count;
    };
    assert.equal(count(), 3);
    exporter.answers.length = 0;
    bench.setLink(2, false);
    await until("there is a notice", () => exporter.answers.some((each) => each.type === "changed" && each.objects));
    await bench.settled();
    assert.equal(count(), 2);
    await bench.close();
  });

  it("holds questions until it is open, and forgets those of an earlier life", async () => {
    const exporter = await ExportBench.start({ open: false });
    const { bench } = exporter;
    bench.harness.install(1);
    await bench.settled();
    exporter.export.onMessage(EXPORTER, { type: "walk", token: 1, family: Family.IPV4, from: 1 });
    assert.deepEqual(exporter.answers, []);
    exporter.export.open();
    assert.deepEqual(numbersOf(read(exporter.answers.pop()!)), [1]);
    bench.harness.rib.lose(Family.IPV4, 1, 60_000);
    exporter.export.onMessage(EXPORTER, { type: "begin", wantsFailed: false, routes: "untold" });
    assert.deepEqual(exporter.changes().told, []);
    exporter.export.onMessage(EXPORTER + 1, { type: "changes", token: 1 });
    exporter.export.replay();
    const types = exporter.answers.map(({ type }) => type as string);
    assert.equal(types.at(-1), "replay");
    await bench.close();
  });
});
