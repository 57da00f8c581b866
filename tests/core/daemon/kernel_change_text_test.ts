import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { describeChange } from "../../../core/daemon/kernel_change_text.ts";
import type { KernelChange } from "../../../core/model/kernel_event.ts";
import { LinkTable } from "../../../core/model/link_table.ts";
import { createLink } from "../../support/links.ts";

describe("describeChange", () => {
  const links = new LinkTable();
  links.set(createLink({ ifindex: 3, name: "v0" }));
  const cases: [change: KernelChange, object: string, text: string][] = [
    [{ kind: "link", action: "new", link: createLink({ name: "v0", mtu: 1400 }) }, "link", "v0 state UP mtu 1400"],
    [
      { kind: "link", action: "new", link: createLink({ name: "v0", carrier: false }) },
      "link",
      "v0 state UP NO-CARRIER mtu 1500",
    ],
    [{ kind: "link", action: "new", link: createLink({ name: "v0", up: false }) }, "link", "v0 state DOWN mtu 1500"],
    [{ kind: "address", action: "delete", ifindex: 3, address: "10.0.0.1/24" }, "address", "10.0.0.1/24 dev v0"],
    [{ kind: "address", action: "delete", ifindex: 9, address: "10.0.0.1/24" }, "address", "10.0.0.1/24 dev if9"],
    [
      { kind: "route", action: "new", prefix: "10.1.0.0/16", table: 254, metric: 5, protocol: 4, portId: 77 },
      "route",
      "10.1.0.0/16 table 254 proto static metric 5 by netlink port 77",
    ],
    [
      { kind: "route", action: "delete", prefix: "::/0", table: 254, metric: 1024, protocol: 9, portId: 0 },
      "route",
      "::/0 table 254 proto ra metric 1024 by the kernel",
    ],
  ];
  for (const [change, object, text] of cases) {
    it(text, () => {
      const event = describeChange(change, links);
      assert.deepEqual({ ...event, time: 0 }, { time: 0, object, action: change.action, text });
    });
  }
});
