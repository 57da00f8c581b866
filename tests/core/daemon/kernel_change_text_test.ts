import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { describeChange } from "../../../core/daemon/kernel_change_text.ts";
import type { KernelChange, RouteChange } from "../../../core/model/kernel_event.ts";
import { LinkTable } from "../../../core/model/link_table.ts";
import { packedFamily, packedLength, parsePrefix } from "../../../core/model/prefix.ts";
import { Family } from "../../../core/model/route.ts";
import { createLink } from "../../support/links.ts";

describe("describeChange", () => {
  const links = new LinkTable();
  links.set(createLink({ ifindex: 3, name: "v0" }));
  const address = { kind: "address", action: "delete", family: Family.IPV4, address: "10.0.0.1/24" } as const;
  const cases: [change: KernelChange, object: string, text: string][] = [
    [{ kind: "link", action: "new", link: createLink({ name: "v0", mtu: 1400 }) }, "link", "v0 state UP mtu 1400"],
    [
      { kind: "link", action: "new", link: createLink({ name: "v0", carrier: false }) },
      "link",
      "v0 state UP NO-CARRIER mtu 1500",
    ],
    [{ kind: "link", action: "new", link: createLink({ name: "v0", up: false }) }, "link", "v0 state DOWN mtu 1500"],
    [{ ...address, ifindex: 3 }, "address", "10.0.0.1/24 dev v0"],
    [{ ...address, ifindex: 9 }, "address", "10.0.0.1/24 dev if9"],
    [
      routeChange("10.1.0.0/16", { metric: 5, protocol: 4, portId: 77, by: "ip[77]" }),
      "route",
      "10.1.0.0/16 table 254 proto static metric 5 by ip[77]",
    ],
    [
      { ...routeChange("::/0", { metric: 1024, protocol: 9, by: "the kernel" }), action: "delete" },
      "route",
      "::/0 table 254 proto ra metric 1024 by the kernel",
    ],
    [
      routeChange("2001:db8::/32", { metric: 20, protocol: 210, by: "bird[9]", source: "2001:db8:1::/48" }),
      "route",
      "2001:db8::/32 from 2001:db8:1::/48 table 254 proto 210 metric 20 by bird[9]",
    ],
    [
      { kind: "nexthop", action: "delete", id: 250_000_001, protocol: 210, portId: 7, by: "ip[7]" },
      "nexthop",
      "id 250000001 proto 210 by ip[7]",
    ],
  ];
  for (const [change, object, text] of cases) {
    it(text, () => {
      const event = describeChange(change, links);
      const { prefix, source, table, metric, ...rest } = event;
      assert.deepEqual({ ...rest, time: 0 }, { time: 0, object, action: change.action, text });
      if (object !== "route") return assert.equal(prefix, undefined);
      const from = source === undefined ? "" : ` from ${source}`;
      assert.ok(text.startsWith(`${prefix}${from} table ${table} `) && text.includes(` metric ${metric} by `), text);
    });
  }
});

function routeChange(
  prefix: string,
  { source = "", ...fields }: { metric: number; protocol: number; portId?: number; by: string; source?: string },
): RouteChange {
  const address = new Uint8Array(16);
  const sourceAddress = new Uint8Array(16);
  const packed = parsePrefix(prefix, address, 0, true);
  const packedSource = source === "" ? 0 : parsePrefix(source, sourceAddress, 0, true);
  return {
    kind: "route",
    action: "new",
    family: packedFamily(packed),
    prefix: address,
    prefixLength: packedLength(packed),
    source: sourceAddress,
    sourceLength: source === "" ? 0 : packedLength(packedSource),
    table: 254,
    portId: 0,
    isOurs: true,
    ...fields,
  };
}
