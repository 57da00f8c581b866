import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AttrsStore } from "../../../core/context/attrs_store.ts";
import { ContextFlag, ContextStatus, DplaneError, F64, U8, U32 } from "../../../core/context/layout.ts";
import { type NexthopObject, NexthopObjectKind } from "../../../core/context/nexthop_object.ts";
import { ProviderPriority } from "../../../core/dataplane/provider.ts";
import { Family } from "../../../core/model/route.ts";
import { ERRNO } from "../../../ffi/libc/errno.ts";
import * as c from "../../../ffi/netlink/constants.ts";
import { createNexthopMessage, decodeNexthop, encodeNexthop } from "../../../ffi/netlink/nexthop.ts";
import { createRouteMessage, encodeRoute } from "../../../ffi/netlink/route.ts";
import { decodeRoute } from "../../../ffi/netlink/route_decode.ts";
import { createKernelProvider } from "../../../providers/kernel/provider.ts";
import { fillContext, fillNexthopContext, type NexthopLine } from "../../support/context_lines.ts";
import { FAKE_PORT_ID, FakeNetlink, type FakeRequest } from "../../support/fake_netlink.ts";
import { SteppedPipeline } from "../../support/pipeline.ts";

const PROTOCOL = 210;
const FLAGS: readonly [number, string][] = [
  [c.NLM_F_CREATE, "create"],
  [c.NLM_F_EXCL, "excl"],
  [c.NLM_F_REPLACE, "replace"],
];

/** A request as the kernel sees it: `new create excl 203.0.113.0 via 10.0.0.2`, or `new create excl object 7 group 1,2`. */
function describeRequest({ type, flags, bytes }: FakeRequest): string {
  const made = FLAGS.filter(([bit]) => flags & bit).map(([, name]) => name);
  if (type >= c.RTM_NEWNEXTHOP) {
    const { id, group, protocol } = decodeNexthop(new DataView(bytes.slice().buffer), 0, bytes.length)!;
    if (type === c.RTM_DELNEXTHOP) return `delete object ${id}`;
    assert.equal(protocol, PROTOCOL);
    const members = group.length > 0 ? ` group ${group.map((member) => member.id).join(",")}` : "";
    return `${["new", ...made].join(" ")} object ${id}${members}`;
  }
  const route = decodeRoute(new DataView(bytes.slice().buffer), 0, bytes.length)!;
  assert.equal(route.protocol, PROTOCOL);
  const length = route.family === Family.IPV4 ? 4 : 16;
  const via = route.nexthops.map((hop) => ` via ${hop.via.subarray(0, length).join(".")}`).join("");
  const verb = type === c.RTM_NEWROUTE ? ["new", ...made] : ["delete"];
  return `${verb.join(" ")} ${route.destination.subarray(0, length).join(".")}${via}`;
}

class ProviderBench {
  readonly kernel = new FakeNetlink();
  readonly pipeline: SteppedPipeline;
  readonly portIdCell = new SharedArrayBuffer(4);
  readonly #store: AttrsStore;

  constructor(options: { workLimit?: number; failLater?: boolean; receiveBufferBytes?: number } = {}) {
    this.kernel.receiveBufferBytes = options.receiveBufferBytes ?? 1 << 20;
    this.pipeline = new SteppedPipeline({ workLimit: options.workLimit ?? 64 });
    this.#store = new AttrsStore(this.pipeline.attrs.storage);
    const { portIdCell } = this;
    const provider = createKernelProvider(this.kernel.libc, { netns: undefined, protocol: PROTOCOL, portIdCell });
    this.pipeline.add(ProviderPriority.KERNEL, provider);
    if (!options.failLater) return;
    this.pipeline.add(ProviderPriority.POST_KERNEL, {
      process: (io) => {
        for (let slot = io.dequeue(); slot !== -1; slot = io.dequeue()) {
          io.contexts.fail(slot, DplaneError.PROVIDER_REFUSED, "later");
          io.enqueue(slot);
        }
      },
    });
  }

  /** Admits a context; see {@linkcode fillContext}. */
  admit(line: string, options: { old?: string; flags?: number } = {}): number {
    const [slot] = this.pipeline.admit(1);
    fillContext(this.pipeline.contexts, this.#store, slot!, line, options);
    return slot!;
  }

  /** The same for an update of a nexthop object. */
  admitNexthop(line: NexthopLine): number {
    const [slot] = this.pipeline.admit(1);
    fillNexthopContext(this.pipeline.contexts, this.#store, slot!, line);
    return slot!;
  }

  /** Has the kernel know of a route with the key of {@linkcode ADD}, of `metric`, and of an object with these `members`, by `protocol`. */
  holdForeign(protocol: number, metric = 20, members: readonly number[] = [1, 2]): void {
    this.kernel.tell = (question) => {
      const bytes = new Uint8Array(256);
      const view = new DataView(bytes.buffer);
      const { sequence } = question;
      if (question.type === c.RTM_GETNEXTHOP) {
        const group = members.map((id) => ({ id, weight: 1 }));
        const object = { ...createNexthopMessage(), sequence, protocol, id: OBJECT, group };
        if (group.length === 0) Object.assign(object, { family: Family.IPV4, oif: 3 });
        return bytes.subarray(0, encodeNexthop(view, 0, object));
      }
      const route = { ...createRouteMessage(), sequence, protocol, metric, family: Family.IPV4, table: 254 };
      route.destination.set([203, 0, 113]);
      route.prefixLength = 24;
      return bytes.subarray(0, encodeRoute(view, 0, route));
    };
  }

  /** Runs everything through and returns the results, failures of a cycle first. */
  drain(): number[] {
    return this.pipeline.drain();
  }

  /** `success`, or `error 17 text`. */
  result(slot: number): string {
    const { contexts } = this.pipeline;
    const status = contexts.getU8(slot, U8.STATUS);
    if (status === ContextStatus.FAILURE)
      return `error ${contexts.getU32(slot, U32.ERROR)} ${contexts.errorText(slot)}`.trim();
    assert.equal(contexts.getU32(slot, U32.ERROR), 0, "a success bears no error");
    assert.equal(contexts.errorText(slot), "");
    return status === ContextStatus.SUCCESS ? "success" : "queued";
  }

  requests(): string[] {
    return this.kernel.requests.map(describeRequest);
  }

  /** Answers with this errno to requests whose description holds `text`, the first `times` times. */
  refuse(text: string, errno: number, times = Number.POSITIVE_INFINITY): void {
    let left = times;
    this.kernel.judge = (request) => (describeRequest(request).includes(text) && left-- > 0 ? errno : 0);
  }
}

const OBJECT = 250_000_001;
const PAIR: NexthopObject = {
  kind: NexthopObjectKind.GROUP,
  members: [
    { id: 1, weight: 1 },
    { id: 2, weight: 1 },
  ],
};
const TRIPLE: NexthopObject = { ...PAIR, members: [...PAIR.members, { id: 3, weight: 1 }] };

const ADD = "route add 203.0.113.0/24 via 10.0.0.2 dev v0";
const OTHER = "route add 203.0.113.0/24 via 10.0.0.3 dev v0";
const DEL = "route del 203.0.113.0/24";

describe("the kernel provider", () => {
  it("publishes its socket's port id", () => {
    assert.equal(new Int32Array(new ProviderBench().portIdCell)[0], FAKE_PORT_ID);
  });

  it("makes what the RIB does not know, changes what it knows, and deletes", () => {
    const bench = new ProviderBench();
    bench.admit(ADD);
    bench.admit(OTHER, { old: ADD });
    bench.admit(DEL, { old: OTHER });
    const results = bench.drain();
    assert.deepEqual(
      results.map((slot) => bench.result(slot)),
      ["success", "success", "success"],
    );
    assert.deepEqual(bench.requests(), [
      "new create excl 203.0.113.0 via 10.0.0.2",
      "new create replace 203.0.113.0 via 10.0.0.3",
      "delete 203.0.113.0",
    ]);
    assert.ok(results.every((slot) => bench.pipeline.contexts.getF64(slot, F64.PROGRAMMED_AT) > 0));
  });

  it("gives each failure to the update that it is about", () => {
    const bench = new ProviderBench();
    const slots = Array.from({ length: 40 }, (_, n) => bench.admit(`route add 203.0.${n}.0/24 via 10.0.0.2 dev v0`));
    bench.kernel.judge = (request) => {
      const address = describeRequest(request).split(" ")[3]!;
      const isThird = Number(address.split(".")[2]) % 3 === 1;
      return isThird ? { errno: ERRNO.ENETUNREACH, text: `about ${address}` } : 0;
    };
    bench.drain();
    for (const [index, slot] of slots.entries()) {
      const expected = index % 3 === 1 ? `error 101 about 203.0.${index}.0` : "success";
      assert.equal(bench.result(slot), expected);
    }
    bench.pipeline.assertSettled(40);
  });

  it("splits what it takes where a receive buffer might not hold all failures", () => {
    const bench = new ProviderBench({ receiveBufferBytes: 10 << 10 });
    const slots = Array.from({ length: 25 }, (_, n) => bench.admit(`route add 203.0.${n}.0/24 via 10.0.0.2 dev v0`));
    bench.refuse("203.0.13.0", ERRNO.EINVAL);
    bench.drain();
    assert.deepEqual(
      bench.kernel.sends.map((requests) => requests.length),
      [10, 10, 5],
    );
    assert.deepEqual(
      slots.filter((slot) => bench.result(slot) !== "success").map((slot) => slots.indexOf(slot)),
      [13],
    );
  });

  it("keeps the order of updates that bypass the kernel", () => {
    const bench = new ProviderBench();
    const slots = Array.from({ length: 12 }, (_, n) =>
      bench.admit(
        `route add 203.0.${n}.0/24 via 10.0.0.2 dev v0`,
        n % 3 === 0 ? { flags: ContextFlag.SKIP_KERNEL } : {},
      ),
    );
    assert.deepEqual(bench.drain(), slots);
    assert.equal(bench.requests().length, 8);
    assert.deepEqual(
      slots.map((slot) => bench.result(slot)),
      slots.map((_, n) => (n % 3 === 0 ? "queued" : "success")),
    );
  });

  it("says that nothing is known of updates to which the kernel did not answer", () => {
    const bench = new ProviderBench();
    const slots = [bench.admit(ADD), bench.admit("route add 203.0.114.0/24 via 10.0.0.2 dev v0")];
    bench.kernel.deliver = () => [];
    bench.drain();
    const expected = `error ${DplaneError.NO_ANSWER} the kernel did not answer`;
    assert.deepEqual(
      slots.map((slot) => bench.result(slot)),
      [expected, expected],
    );
    assert.ok(bench.pipeline.log.said("The kernel's answer is missing"));

    bench.kernel.deliver = (answers) => answers;
    const later = bench.admit(ADD);
    bench.drain();
    assert.equal(bench.result(later), "success");
  });

  it("says nothing before the kernel has answered", () => {
    const bench = new ProviderBench();
    const slot = bench.admit(ADD);
    let seen = -1;
    bench.kernel.judge = () => {
      seen = bench.pipeline.contexts.getU8(slot, U8.STATUS);
      return 0;
    };
    bench.drain();
    assert.equal(seen, ContextStatus.QUEUED, "a thread that ends here has promised nothing");
    assert.equal(bench.result(slot), "success");
  });

  describe("deleting", () => {
    for (const [name, flags, result] of [
      ["what the RIB held and the kernel does not is done", ContextFlag.KNOWN, "success"],
      ["what a thread that died may have deleted is done", ContextFlag.REPLAYED, "success"],
      ["what nobody has heard of fails", 0, `error ${ERRNO.ESRCH}`],
    ] as const) {
      it(name, () => {
        const bench = new ProviderBench();
        bench.refuse("delete", ERRNO.ESRCH);
        const slot = bench.admit(DEL, { flags });
        bench.drain();
        assert.equal(bench.result(slot), result);
        assert.deepEqual(bench.requests(), ["delete 203.0.113.0"]);
      });
    }

    it("fails for any other reason, held or not", () => {
      const bench = new ProviderBench();
      bench.refuse("delete", ERRNO.EPERM);
      const slot = bench.admit(DEL, { old: ADD, flags: ContextFlag.KNOWN });
      bench.drain();
      assert.equal(bench.result(slot), `error ${ERRNO.EPERM}`);
    });

    it("an IPv4 route of metric 0 that is not programmed does not ask, for the kernel would take another", () => {
      const bench = new ProviderBench();
      const unknown = bench.admit(`${DEL} metric 0`);
      const known = bench.admit(`${DEL} metric 0`, { flags: ContextFlag.KNOWN });
      const programmed = bench.admit(`${DEL} metric 0`, { old: `${ADD} metric 0`, flags: ContextFlag.KNOWN });
      bench.drain();
      assert.deepEqual(
        [unknown, known, programmed].map((slot) => bench.result(slot)),
        [`error ${ERRNO.ESRCH}`, "success", "success"],
      );
      assert.deepEqual(bench.requests(), ["delete 203.0.113.0 via 10.0.0.2"]);
    });
  });

  describe("installing where there is a route already", () => {
    it("takes away what is ours, which may be two, and tries again", () => {
      const bench = new ProviderBench();
      bench.refuse("excl", ERRNO.EEXIST, 1);
      const [slot, beside] = [bench.admit(ADD), bench.admit("route add 203.0.114.0/24 via 10.0.0.2 dev v0")];
      bench.drain();
      assert.deepEqual([bench.result(slot), bench.result(beside)], ["success", "success"]);
      assert.deepEqual(bench.requests(), [
        "new create excl 203.0.113.0 via 10.0.0.2",
        "new create excl 203.0.114.0 via 10.0.0.2",
        "delete 203.0.113.0",
        "delete 203.0.113.0",
        "new create excl 203.0.113.0 via 10.0.0.2",
      ]);
    });

    it("leaves another's alone and fails", () => {
      const bench = new ProviderBench();
      bench.kernel.judge = (request) => (request.type === c.RTM_DELROUTE ? ERRNO.ESRCH : ERRNO.EEXIST);
      const slots = Array.from({ length: 64 }, (_, n) => bench.admit(`route add 203.0.${n}.0/24 via 10.0.0.2 dev v0`));
      bench.drain();
      const text = `error ${ERRNO.EEXIST} another route has this prefix, table and metric`;
      assert.deepEqual(new Set(slots.map((slot) => bench.result(slot))), new Set([text]));
      assert.equal(bench.requests().length, 4 * 64, "and does not try for ever");
    });

    it("says whose it is where the kernel tells", () => {
      const bench = new ProviderBench();
      bench.kernel.judge = (request) => (request.type === c.RTM_DELROUTE ? ERRNO.ESRCH : ERRNO.EEXIST);
      const text = "has this prefix, table and metric";
      for (const [protocol, metric, whose] of [
        [c.RTPROT_BIRD, 20, "a route of protocol bird (12)"],
        [211, 20, "a route of protocol 211"],
        // The lookup came to another route.
        [c.RTPROT_BIRD, 5, "another route"],
      ] as const) {
        bench.holdForeign(protocol, metric);
        const slot = bench.admit(ADD);
        bench.drain();
        assert.equal(bench.result(slot), `error ${ERRNO.EEXIST} ${whose} ${text}`);
      }
    });

    it("does not ask again when the kernel does not answer", () => {
      const bench = new ProviderBench();
      bench.kernel.judge = (request) => (request.type === c.RTM_DELROUTE ? ERRNO.ESRCH : ERRNO.EEXIST);
      bench.kernel.tell = () => null;
      const slots = Array.from({ length: 50 }, (_, n) => bench.admit(`route add 203.0.${n}.0/24 via 10.0.0.2`));
      bench.drain();
      assert.equal(bench.kernel.questions.length, 1);
      assert.ok(slots.every((slot) => bench.result(slot).includes("another route has")));
    });

    it("takes its place if its owner may", () => {
      const bench = new ProviderBench();
      bench.refuse("excl", ERRNO.EEXIST);
      const slot = bench.admit(ADD, { flags: ContextFlag.TAKE_OVER });
      bench.drain();
      assert.equal(bench.result(slot), "success");
      assert.deepEqual(bench.requests(), [
        "new create excl 203.0.113.0 via 10.0.0.2",
        "delete 203.0.113.0",
        "delete 203.0.113.0",
        "new create replace 203.0.113.0 via 10.0.0.2",
      ]);
    });

    it("does the same for an update that a thread which died may have done", () => {
      const bench = new ProviderBench();
      bench.refuse("excl", ERRNO.EEXIST, 1);
      const slot = bench.admit(ADD, { flags: ContextFlag.REPLAYED });
      bench.drain();
      assert.equal(bench.result(slot), "success");
      assert.ok(bench.requests().every((request) => !request.includes("replace")));
    });

    it("does not try it with IPv4 routes of metric 0, where a deletion might hit others", () => {
      const bench = new ProviderBench();
      bench.refuse("excl", ERRNO.EEXIST);
      const slot = bench.admit(`${ADD} metric 0`);
      const replayed = bench.admit("route add 203.0.114.0/24 via 10.0.0.2 metric 0", { flags: ContextFlag.REPLAYED });
      bench.drain();
      const text = `error ${ERRNO.EEXIST} another route has this prefix, table and metric`;
      assert.deepEqual([bench.result(slot), bench.result(replayed)], [text, "success"]);
      assert.deepEqual(bench.requests(), [
        "new create excl 203.0.113.0 via 10.0.0.2",
        "new create replace 203.0.114.0 via 10.0.0.2",
      ]);
    });

    it("does not try it with IPv6 changes, whose duplicate nexthops the kernel calls the same name", () => {
      const bench = new ProviderBench();
      bench.refuse("replace", ERRNO.EEXIST);
      const old = "route add 2001:db8:99::/48 via 2001:db8::2";
      const slot = bench.admit("route add 2001:db8:99::/48 via 2001:db8::3", { old });
      bench.drain();
      assert.equal(bench.result(slot), `error ${ERRNO.EEXIST}`);
      assert.equal(bench.requests().length, 1);
    });

    it("takes away, for an IPv4 change, the very same route that stands behind ours, once", () => {
      const bench = new ProviderBench();
      bench.refuse("replace", ERRNO.EEXIST);
      const slot = bench.admit(OTHER, { old: ADD });
      bench.drain();
      const replace = "new create replace 203.0.113.0 via 10.0.0.3";
      assert.deepEqual(bench.requests(), [replace, "delete 203.0.113.0 via 10.0.0.3", replace]);
      assert.equal(bench.result(slot), `error ${ERRNO.EEXIST}`);
    });
  });

  describe("nexthop objects", () => {
    it("are made, changed and deleted, in order with the routes", () => {
      const bench = new ProviderBench();
      bench.admitNexthop({ id: OBJECT, object: PAIR });
      bench.admit(`route add 203.0.113.0/24 nhid ${OBJECT}`);
      bench.admitNexthop({ id: OBJECT, object: TRIPLE, old: PAIR });
      bench.admit(DEL, { old: ADD });
      bench.admitNexthop({ id: OBJECT, old: TRIPLE });
      const results = bench.drain();
      assert.deepEqual(new Set(results.map((slot) => bench.result(slot))), new Set(["success"]));
      assert.deepEqual(bench.requests(), [
        `new create excl object ${OBJECT} group 1,2`,
        "new create excl 203.0.113.0",
        `new replace object ${OBJECT} group 1,2,3`,
        "delete 203.0.113.0",
        `delete object ${OBJECT}`,
      ]);
      assert.equal(bench.kernel.sends.length, 1);
    });

    it("that are gone already are deleted", () => {
      const bench = new ProviderBench();
      bench.refuse("delete object", ERRNO.ENOENT);
      const slot = bench.admitNexthop({ id: OBJECT, old: PAIR });
      bench.drain();
      assert.equal(bench.result(slot), "success");
    });

    it("fail for any other reason", () => {
      const bench = new ProviderBench();
      bench.refuse("object", ERRNO.EINVAL);
      const slots = [
        bench.admitNexthop({ id: OBJECT, object: PAIR }),
        bench.admitNexthop({ id: OBJECT, object: TRIPLE, old: PAIR }),
        bench.admitNexthop({ id: OBJECT, old: PAIR }),
      ];
      bench.drain();
      for (const slot of slots) assert.equal(bench.result(slot), `error ${ERRNO.EINVAL}`);
    });

    for (const [name, protocol, members, result, requests] of [
      ["of ours in the way are replaced", PROTOCOL, [3], "success", [`new create replace object ${OBJECT} group 1,2`]],
      [
        "of ours in the way that are of another kind are left alone: the kernel changes none into another",
        PROTOCOL,
        [],
        `error ${ERRNO.EEXIST} nexthop object ${OBJECT} is there already, and of another kind`,
        [],
      ],
      [
        "of others in the way are left alone",
        c.RTPROT_BIRD,
        [1, 2],
        `error ${ERRNO.EEXIST} nexthop object ${OBJECT} is there already, and of protocol bird (12)`,
        [],
      ],
    ] as const) {
      it(name, () => {
        const bench = new ProviderBench();
        bench.refuse("excl", ERRNO.EEXIST);
        bench.holdForeign(protocol, 20, members);
        const slot = bench.admitNexthop({ id: OBJECT, object: PAIR, flags: ContextFlag.REPLAYED });
        bench.drain();
        assert.equal(bench.result(slot), result);
        assert.deepEqual(bench.requests().slice(1), requests);
      });
    }

    it("in the way that are gone when asked for are made, and the kernel is not asked for ever", () => {
      const bench = new ProviderBench();
      bench.refuse("excl", ERRNO.EEXIST, 1);
      const slot = bench.admitNexthop({ id: OBJECT, object: PAIR });
      bench.drain();
      assert.equal(bench.result(slot), "success");
      bench.refuse("excl", ERRNO.EEXIST);
      const again = bench.admitNexthop({ id: OBJECT, object: PAIR });
      bench.drain();
      assert.equal(bench.result(again), `error ${ERRNO.EEXIST}`);
      assert.equal(bench.requests().length, 4);
    });

    it("in the way of which the kernel does not tell are left alone", () => {
      const bench = new ProviderBench();
      bench.refuse("excl", ERRNO.EEXIST);
      bench.kernel.tell = () => null;
      const slot = bench.admitNexthop({ id: OBJECT, object: PAIR });
      bench.drain();
      const text = `nexthop object ${OBJECT} is there already, and of somebody else`;
      assert.equal(bench.result(slot), `error ${ERRNO.EEXIST} ${text}`);
    });

    for (const [name, line, undone] of [
      ["made are deleted when taken back", { id: OBJECT, object: PAIR }, [`delete object ${OBJECT}`]],
      [
        "changed are put back",
        { id: OBJECT, object: TRIPLE, old: PAIR },
        [`new create replace object ${OBJECT} group 1,2`],
      ],
      ["deleted are made again", { id: OBJECT, old: PAIR }, [`new create replace object ${OBJECT} group 1,2`]],
      ["deleted that nobody knew of stay so", { id: OBJECT }, []],
    ] as const) {
      it(name, () => {
        const bench = new ProviderBench({ failLater: true });
        const slot = bench.admitNexthop(line);
        bench.drain();
        assert.equal(bench.result(slot), `error ${DplaneError.PROVIDER_REFUSED} later`);
        assert.deepEqual(bench.requests().slice(1), undone);
        assert.ok(!bench.pipeline.contexts.hasFlag(slot, ContextFlag.UNDO_FAILED));
      });
    }
  });

  describe("taking back", () => {
    for (const [name, line, options, undone] of [
      ["an install removes the route", ADD, {}, ["delete 203.0.113.0"]],
      ["a change puts the old one back", OTHER, { old: ADD }, ["new create replace 203.0.113.0 via 10.0.0.2"]],
      ["a deletion puts the old one back", DEL, { old: ADD }, ["new create replace 203.0.113.0 via 10.0.0.2"]],
      ["a deletion of nothing does nothing", DEL, { flags: ContextFlag.KNOWN }, []],
      ["what bypassed the kernel does nothing", ADD, { flags: ContextFlag.SKIP_KERNEL }, []],
      ["an IPv4 install of metric 0 names its nexthops", `${ADD} metric 0`, {}, ["delete 203.0.113.0 via 10.0.0.2"]],
    ] as const) {
      it(name, () => {
        const bench = new ProviderBench({ failLater: true });
        const slot = bench.admit(line, options);
        bench.drain();
        assert.equal(bench.result(slot), `error ${DplaneError.PROVIDER_REFUSED} later`);
        const asked = "flags" in options && options.flags === ContextFlag.SKIP_KERNEL ? 0 : 1;
        assert.deepEqual(bench.requests().slice(asked), undone);
        assert.ok(!bench.pipeline.contexts.hasFlag(slot, ContextFlag.UNDO_FAILED));
      });
    }

    it("an install that is gone already is done", () => {
      const bench = new ProviderBench({ failLater: true });
      bench.refuse("delete", ERRNO.ESRCH);
      const slot = bench.admit(ADD);
      bench.drain();
      assert.ok(!bench.pipeline.contexts.hasFlag(slot, ContextFlag.UNDO_FAILED));
    });

    it("that fails is marked and said, and the error stays the later provider's", () => {
      const bench = new ProviderBench({ failLater: true });
      bench.refuse("via 10.0.0.2", ERRNO.ENETUNREACH);
      const slot = bench.admit(OTHER, { old: ADD });
      bench.drain();
      assert.ok(bench.pipeline.contexts.hasFlag(slot, ContextFlag.UNDO_FAILED));
      assert.equal(bench.result(slot), `error ${DplaneError.PROVIDER_REFUSED} later`);
      const record = bench.pipeline.log.records.find(({ message }) => message === "Provider could not undo an update");
      assert.match(JSON.stringify(record), /the kernel did not take the update back: ENETUNREACH/);
    });

    it("is not asked of what the kernel refused itself", () => {
      const bench = new ProviderBench({ failLater: true });
      bench.refuse("new", ERRNO.EINVAL);
      const slot = bench.admit(ADD);
      bench.drain();
      assert.equal(bench.result(slot), `error ${ERRNO.EINVAL}`);
      assert.equal(bench.requests().length, 1);
    });
  });
});
