import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { AttrsStore, createAttrsStorage } from "../../../core/context/attrs_store.ts";
import { Contexts, createContextStorage } from "../../../core/context/contexts.ts";
import { ContextStatus, DplaneError, U8, U32 } from "../../../core/context/layout.ts";
import { type NexthopObject, NexthopObjectKind } from "../../../core/context/nexthop_object.ts";
import type { Provider, ProviderPriority } from "../../../core/dataplane/provider.ts";
import {
  createNexthop,
  createRouteUpdate,
  EncapType,
  Family,
  RouteType,
  type RouteUpdate,
  UpdateOp,
} from "../../../core/model/route.ts";
import { parseUpdateObject } from "../../../core/northbound/update_json.ts";
import { createRecordProvider } from "../../../providers/record/provider.ts";
import { formatUpdate } from "../../../providers/record/update_json.ts";
import { testProviderContract } from "../../conformance/provider_cases.ts";
import { fillContext, fillNexthopContext, type NexthopLine } from "../../support/context_lines.ts";
import { Harness, specOf } from "../../support/harness.ts";
import { SteppedPipeline } from "../../support/pipeline.ts";
import { KERNEL, POST_KERNEL, POSTPROCESS, programs, ScriptedProvider } from "../../support/scripted_provider.ts";
import { createInlineSpawn } from "../../support/spawn.ts";

const devices = ["", "lo", "v0", "v1"];
const deviceName = (ifindex: number): string => devices[ifindex] ?? `if${ifindex}`;
const resolver = {
  deviceIndex: (name: string) => (name.startsWith("if") ? Number(name.slice(2)) : Math.max(0, devices.indexOf(name))),
  vrfTable: () => 0,
};

let folder = "";
let files = 0;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "dplaned-record-"));
});
after(() => rmSync(folder, { recursive: true }));

const newPath = (): string => join(folder, `${++files}.ndjson`);

function createProvider(path: unknown, priority: ProviderPriority = POSTPROCESS) {
  const registered = { id: 1, name: "record", kind: "record", priority, threaded: false, options: { path } };
  return createRecordProvider(registered as Parameters<typeof createRecordProvider>[0], deviceName);
}

function linesOf(path: string): Record<string, unknown>[] {
  const text = readFileSync(path, "utf8");
  assert.ok(text === "" || text.endsWith("\n"), "the file is whole lines");
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

/** A RIB with a kernel, the record provider, and perhaps one that comes after it. */
async function recordingHarness(path: string, last?: ScriptedProvider): Promise<Harness> {
  const scripted: Record<string, Provider> = { kernel: new ScriptedProvider(programs), record: createProvider(path) };
  const providers = [specOf({ name: "kernel" }), specOf({ name: "record", priority: POST_KERNEL })];
  if (last !== undefined) {
    scripted["last"] = last;
    providers.push(specOf({ name: "last", priority: POSTPROCESS }));
  }
  const harness = new Harness({ spawn: createInlineSpawn(({ name }) => scripted[name]!), providers });
  await harness.start();
  return harness;
}

async function admitAndSettle(harness: Harness, update: RouteUpdate): Promise<void> {
  harness.admit(update);
  harness.rib.flush();
  await harness.settled();
}

function routeUpdate(fields: Partial<RouteUpdate>): RouteUpdate {
  const update = { ...createRouteUpdate(), family: Family.IPV4 as Family, prefixLength: 24, ...fields };
  update.prefix[0] = update.family === Family.IPV4 ? 203 : 0x20;
  update.prefix[1] = update.family === Family.IPV4 ? 0 : 0x01;
  return update;
}

const address = (...bytes: number[]): Uint8Array => Uint8Array.from({ length: 16 }, (_, at) => bytes[at] ?? 0);

const everyField: RouteUpdate[] = [
  routeUpdate({ nexthops: [{ ...createNexthop(), ifindex: 2 }] }),
  routeUpdate({
    table: 100,
    metric: 7,
    protocol: 186,
    distance: 20,
    tag: 4_000_000_000,
    mtu: 1400,
    prefsrcFamily: Family.IPV4,
    prefsrc: address(192, 0, 2, 1),
    nexthops: [
      { ...createNexthop(), viaFamily: Family.IPV4, via: address(10, 0, 0, 2), ifindex: 2, weight: 256, onlink: true },
      { ...createNexthop(), viaFamily: Family.IPV6, via: address(0xfe, 0x80), ifindex: 77 },
      {
        ...createNexthop(),
        viaFamily: Family.IPV4,
        via: address(10, 0, 0, 3),
        encap: EncapType.MPLS,
        labels: [16, 1048575],
      },
    ],
  }),
  routeUpdate({ table: 101, type: RouteType.BLACKHOLE }),
  routeUpdate({
    family: Family.IPV6,
    prefixLength: 48,
    source: address(0x20, 0x02),
    sourceLength: 16,
    nexthops: [
      {
        ...createNexthop(),
        ifindex: 3,
        encap: EncapType.SEG6,
        seg6Mode: 1,
        segments: [address(0xfc, 1), address(0xfc, 2)],
      },
    ],
  }),
];

describe("record provider", () => {
  testProviderContract({ priority: KERNEL, create: () => createProvider(newPath()) });

  it("writes lines that the API reads as the same updates, with every field", async () => {
    const path = newPath();
    const updates = everyField.flatMap((update) => [update, { ...update, op: UpdateOp.DELETE, nexthops: [] }]);
    const harness = await recordingHarness(path);
    for (const update of updates) await admitAndSettle(harness, update);
    await harness.stop();
    assert.equal(harness.outcomes.fib_programmed, updates.length);
    const lines = linesOf(path);
    assert.equal(lines.length, updates.length);
    for (const [index, line] of lines.entries()) {
      const read = createRouteUpdate();
      assert.equal(parseUpdateObject(line, read, resolver), null, JSON.stringify(line));
      const wanted = structuredClone(updates[index]!);
      if (wanted.op === UpdateOp.DELETE) {
        const key = ({ op, family, prefix, prefixLength, source, sourceLength, table, metric }: RouteUpdate) =>
          JSON.stringify([op, family, ...prefix, prefixLength, ...source, sourceLength, table, metric]);
        assert.equal(key(read), key(wanted));
      } else {
        // What a field of another encapsulation holds is not part of the update.
        for (const nexthop of read.nexthops) if (nexthop.encap !== EncapType.SEG6) nexthop.seg6Mode = 0;
        assert.deepEqual(read, wanted);
      }
    }
  });

  it("writes a nexthop group by its number", () => {
    const contexts = new Contexts(createContextStorage(1));
    contexts.setU8(0, U8.FAMILY, Family.IPV4);
    contexts.setU32(0, U32.TABLE, 254);
    const store = new AttrsStore(createAttrsStorage(4096));
    const attrs = store.intern(routeUpdate({ nexthopGroup: 4_294_967_295 }));
    const line = JSON.parse(formatUpdate(contexts, store.reader, 0, attrs, deviceName, new Map()));
    const read = createRouteUpdate();
    assert.equal(parseUpdateObject(line, read, resolver), null);
    assert.equal(read.nexthopGroup, 4_294_967_295);
  });

  it("is replayed to the same state after a failure behind it was undone", async () => {
    const path = newPath();
    let fails = false;
    const last = new ScriptedProvider((io, slot) => fails && io.contexts.fail(slot, 5, "too late"));
    const install = (gateway: number): RouteUpdate =>
      routeUpdate({ nexthops: [{ ...createNexthop(), viaFamily: Family.IPV4, via: address(10, 0, 0, gateway) }] });
    const remove = { ...routeUpdate({}), op: UpdateOp.DELETE };
    const script: [boolean, RouteUpdate, string][] = [
      [true, install(1), "install 1, delete"],
      [false, install(2), "install 2"],
      [true, install(3), "install 3, install 2"],
      [true, remove, "delete, install 2"],
      [false, remove, "delete"],
      [true, remove, "delete"],
    ];
    const harness = await recordingHarness(path, last);
    let seen = 0;
    for (const [failing, update, wanted] of script) {
      fails = failing;
      await admitAndSettle(harness, update);
      const written = linesOf(path).slice(seen);
      seen += written.length;
      const shown = written.map(({ op, nexthops }) =>
        op === "delete" ? "delete" : `install ${(nexthops as { via: string }[])[0]!.via.split(".")[3]}`,
      );
      assert.equal(shown.join(", "), wanted);
    }
    await harness.stop();
  });

  it("records nothing of what failed before it", async () => {
    const path = newPath();
    const pipeline = new SteppedPipeline();
    pipeline.add(KERNEL, new ScriptedProvider((io, slot) => io.contexts.fail(slot, 101)));
    pipeline.add(POST_KERNEL, createProvider(path));
    pipeline.admit(3);
    pipeline.drain();
    assert.deepEqual(linesOf(path), []);
  });

  it("writes a route by a nexthop object with the nexthops that the object has", () => {
    const path = newPath();
    const pipeline = new SteppedPipeline();
    const store = new AttrsStore(pipeline.attrs.storage);
    let fails = false;
    pipeline.add(POST_KERNEL, createProvider(path));
    pipeline.add(POSTPROCESS, new ScriptedProvider((io, slot) => fails && io.contexts.fail(slot, 5, "too late")));
    const single = (host: number): NexthopObject => {
      const nexthop = { ...createNexthop(), viaFamily: Family.IPV4, via: address(10, 0, 0, host), ifindex: 2 };
      return { kind: NexthopObjectKind.SINGLE, nexthop };
    };
    const members = [1, 2].map((id) => ({ id, weight: id }));
    const pair: NexthopObject = { kind: NexthopObjectKind.GROUP, members };
    const record = (update: NexthopLine | string): void => {
      const [slot] = pipeline.admit(1);
      if (typeof update === "string") fillContext(pipeline.contexts, store, slot!, update);
      else fillNexthopContext(pipeline.contexts, store, slot!, update);
      pipeline.drain();
    };
    record("route add 203.0.113.0/24 nhid 10");
    for (const [id, object] of [
      [1, single(2)],
      [2, single(3)],
      [10, pair],
    ] as const)
      record({ id, object });
    record("route add 203.0.113.0/24 nhid 10");
    record("route add 203.0.113.0/24 nhid 1");
    record({ id: 1, object: single(9), old: single(2) });
    record("route add 203.0.113.0/24 nhid 1");
    fails = true;
    record({ id: 1, object: single(8), old: single(9) });
    record({ id: 2, old: single(3) });
    fails = false;
    record("route add 203.0.113.0/24 nhid 10");
    record({ id: 1, old: single(9) });
    record("route add 203.0.113.0/24 nhid 10");
    const said = linesOf(path).map(({ nexthopGroup, nexthops }) => nexthopGroup ?? nexthops);
    const via = (host: number, fields = {}) => ({ via: `10.0.0.${host}`, dev: "v0", ...fields });
    assert.deepEqual(said, [
      10,
      [via(2), via(3, { weight: 2 })],
      [via(2)],
      [via(9)],
      [via(9), via(3, { weight: 2 })],
      10,
    ]);
  });

  it("appends, makes the file for the owner and the group, and follows no link", () => {
    const path = newPath();
    writeFileSync(path, '{"prefix":"192.0.2.0/24"}\n');
    const other = newPath();
    const pipeline = new SteppedPipeline();
    pipeline.add(KERNEL, createProvider(path));
    pipeline.add(POST_KERNEL, createProvider(other));
    assert.equal(statSync(other).mode & 0o777, 0o640 & ~process.umask());
    assert.equal(linesOf(path).length, 1);
    const link = newPath();
    symlinkSync(path, link);
    const wanted = new RegExp(`Cannot open ${link} for recording: ELOOP .it is a symbolic link`);
    assert.throws(() => new SteppedPipeline().add(KERNEL, createProvider(link)), wanted);
    assert.throws(() => new SteppedPipeline().add(KERNEL, createProvider(join(folder, "no", "such"))), /ENOENT/);
  });

  it("ends the half line that a crash left, before its own first", () => {
    const path = newPath();
    writeFileSync(path, '{"prefix":"192.0.2.0/24"}\n{"pre');
    const pipeline = new SteppedPipeline();
    pipeline.add(KERNEL, createProvider(path));
    const [slot] = pipeline.admit(1);
    pipeline.contexts.setU8(slot!, U8.FAMILY, Family.IPV4);
    pipeline.drain();
    const lines = readFileSync(path, "utf8").split("\n");
    assert.deepEqual(lines.slice(0, 2), ['{"prefix":"192.0.2.0/24"}', '{"pre']);
    assert.equal(JSON.parse(lines[2]!).prefix, "0.0.0.0/0");
  });

  it("fails what cannot be written, with the reason", {
    skip: !existsSync("/dev/full") && "there is no /dev/full",
  }, () => {
    const pipeline = new SteppedPipeline();
    pipeline.add(KERNEL, new ScriptedProvider(programs));
    pipeline.add(POST_KERNEL, createProvider("/dev/full"));
    const admitted = pipeline.admit(3);
    assert.deepEqual(pipeline.drain(), admitted);
    for (const slot of admitted) {
      assert.equal(pipeline.contexts.getU8(slot, U8.STATUS), ContextStatus.FAILURE);
      assert.equal(pipeline.contexts.getU32(slot, U32.ERROR), DplaneError.PROVIDER_REFUSED);
      assert.equal(pipeline.contexts.errorText(slot), "cannot record to /dev/full: ENOSPC (the disk is full)");
    }
    assert.ok(pipeline.log.said("Updates cannot be recorded and fail"));
  });

  it("needs a path", () => {
    for (const path of [undefined, "", 5])
      assert.throws(() => createProvider(path), /it needs path, the file to write to/);
  });
});
