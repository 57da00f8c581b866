import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { toGroupNumber, toNexthopGroup } from "../../../../core/northbound/cli/nexthop_group_words.ts";
import { UsageError } from "../../../../core/northbound/cli/route_words.ts";
import { parseNexthopGroup } from "../../../../core/northbound/nexthop_group_json.ts";

const split = (text: string): string[] => text.split(" ");
const resolver = { deviceIndex: (name: string) => 2 + Number(name.slice(1)), vrfTable: () => 0 };

describe("toNexthopGroup", () => {
  const cases: [string, unknown][] = [
    ["via 10.0.0.2 dev v0", { members: [{ via: "10.0.0.2", dev: "v0" }] }],
    [
      "nexthop via 10.0.0.2 dev v0 weight 2 onlink nexthop via inet6 2001:db8::2 dev v1",
      {
        members: [
          { via: "10.0.0.2", dev: "v0", weight: 2, onlink: true },
          { via: "2001:db8::2", dev: "v1" },
        ],
      },
    ],
    ["dev v0 backup dev v1 backup dev v2", { members: [{ dev: "v0" }], backup: [{ dev: "v1" }, { dev: "v2" }] }],
    [
      "dev v0 type resilient buckets 8 idle_timer 60 unbalanced_timer 0",
      { members: [{ dev: "v0" }], resilient: { buckets: 8, idleTimer: 60, unbalancedTimer: 0 } },
    ],
    ["type mpath nexthop dev v0", { members: [{ dev: "v0" }] }],
    ["encap mpls 100/200 via 10.0.0.2 dev v0", { members: [{ labels: [100, 200], via: "10.0.0.2", dev: "v0" }] }],
    [
      "encap seg6 mode encap.red segs 2001:db8::1,2001:db8::2 dev v0",
      { members: [{ seg6: { mode: "encap.red", segs: ["2001:db8::1", "2001:db8::2"] }, dev: "v0" }] },
    ],
  ];
  for (const [words, expected] of cases) {
    it(`reads ${words}, which the daemon takes`, () => {
      const group = toNexthopGroup(split(words));
      assert.deepEqual(group, expected);
      assert.ok(!("code" in parseNexthopGroup(group, resolver)));
    });
  }

  it("tells what is wrong", () => {
    const wrong: [string, RegExp][] = [
      ["viaa 10.0.0.2", /Unknown word "viaa"; did you mean "via"\?/],
      ["via", /Missing a value behind "via"/],
      ["dev v0 weight x", /Not a number behind "weight": x/],
      ["backup dev v0", /Missing the group's members/],
      ["dev v0 type round-robin", /expected mpath or resilient/],
      ["encap vxlan 5", /expected mpls or seg6/],
      ["encap seg6 segs ::1", /Expected mode/],
    ];
    for (const [words, message] of wrong) {
      assert.throws(
        () => toNexthopGroup(split(words)),
        (error) => error instanceof UsageError && message.test(error.message),
      );
    }
    for (const id of ["0", "-1", "x", "4294967296"]) assert.throws(() => toGroupNumber(id), UsageError);
  });
});
