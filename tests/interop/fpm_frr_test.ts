/**
 * Real zebra in one namespace, which programs its kernel and tells over FPM what it does; in another namespace the receiver,
 * whose kernel must hold the same routes. With either of FRR's FPM modules.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type Fib, has } from "../support/fib.ts";
import {
  FPM_PORT,
  type FpmReceiver,
  type ReceiverName,
  receiverSkipReason,
  startReceiver,
} from "../support/fpm_receiver.ts";
import { holdsFib, sameFib } from "../support/fpm_same.ts";
import { createFpmTopology, type FpmTopology, SERVER_ADDRESS } from "../support/fpm_topology.ts";
import { type FpmModule, Frr } from "../support/frr.ts";

const MODULES = ["dplane_fpm_nl", "fpm"] as const satisfies readonly FpmModule["name"][];
const RECEIVERS = ["model", "dplaned"] as const satisfies readonly ReceiverName[];

const IPV4 = "203.0.113.0/24 table 254";
const IPV6 = "2001:db8:e::/48 table 254";

for (const receiverName of RECEIVERS) {
  const skip = receiverSkipReason(receiverName);
  for (const module of MODULES) {
    describe(`${receiverName} and FRR's ${module}`, () => {
      let topology: FpmTopology;
      let receiver: FpmReceiver;
      let frr: Frr;
      const same = (expected?: (fib: Fib) => boolean) => sameFib(topology.a, receiver, expected);

      before(async () => {
        if (skip) return;
        topology = createFpmTopology();
        receiver = await startReceiver(receiverName, topology.b);
        const fpm = { name: module, address: SERVER_ADDRESS, port: FPM_PORT };
        frr = await Frr.start(topology.a, { configs: { staticd: "" }, fpm });
      });
      after(async () => {
        await frr?.stop();
        await receiver?.stop();
        topology?.delete();
      });

      it("has static routes of both families, and over a link", { skip }, async () => {
        frr.configure(
          "ip route 198.51.100.0/24 10.0.0.2",
          "ip route 198.51.100.7/32 10.0.1.2",
          "ip route 100.64.0.0/11 v2",
          "ip route 0.0.0.0/0 10.0.0.9",
          "ipv6 route 2001:db8:f::/48 2001:db8::2",
          "ipv6 route ::/0 2001:db8:1::9",
        );
        await same((fib) => fib.size === 6);
      });

      it("has multipath routes, and follows what becomes of their members", { skip }, async () => {
        frr.configure("ip route 203.0.113.0/24 10.0.0.2", "ip route 203.0.113.0/24 10.0.1.2");
        frr.configure("ipv6 route 2001:db8:e::/48 2001:db8::2", "ipv6 route 2001:db8:e::/48 2001:db8:1::2");
        await same(has({ [IPV4]: "10.0.0.2@v0*1 10.0.1.2@v2*1", [IPV6]: "2001:db8:1::2@v2*1 2001:db8::2@v0*1" }));
        frr.configure("ip route 203.0.113.0/24 10.0.1.3", "ip route 203.0.113.0/24 10.0.0.3");
        await same(has({ [IPV4]: "10.0.0.2@v0*1 10.0.0.3@v0*1 10.0.1.2@v2*1 10.0.1.3@v2*1" }));
        frr.configure("no ip route 203.0.113.0/24 10.0.0.2", "no ipv6 route 2001:db8:e::/48 2001:db8::2");
        await same(has({ [IPV4]: "10.0.0.3@v0*1 10.0.1.2@v2*1 10.0.1.3@v2*1", [IPV6]: "2001:db8:1::2@v2*1" }));
        frr.configure("no ip route 203.0.113.0/24 10.0.1.2", "no ip route 203.0.113.0/24 10.0.1.3");
        await same(has({ [IPV4]: "10.0.0.3@v0*1" }));
      });

      it("has routes that drop, and changes them to others and back", { skip }, async () => {
        const [dropped, forwarded] = ["192.0.2.0/25 blackhole", "192.0.2.0/25 10.0.0.2"];
        frr.configure(`ip route ${dropped}`, "ip route 192.0.2.128/25 reject");
        frr.configure("ipv6 route 2001:db8:d::/48 blackhole", "ipv6 route 2001:db8:c::/48 reject");
        await same(
          has({
            "192.0.2.0/25 table 254": "type 6",
            "192.0.2.128/25 table 254": "type 7",
            "2001:db8:d::/48 table 254": "type 6",
            "2001:db8:c::/48 table 254": "type 7",
          }),
        );
        frr.configure(`no ip route ${dropped}`, `ip route ${forwarded}`);
        await same(has({ "192.0.2.0/25 table 254": "10.0.0.2@v0*1" }));
        frr.configure(`no ip route ${forwarded}`, `ip route ${dropped}`);
        await same(has({ "192.0.2.0/25 table 254": "type 6" }));
      });

      it("has the routes of other tables", { skip }, async () => {
        const routes = [
          "ip route 198.18.0.0/15 10.0.0.2 table 100",
          "ipv6 route 2001:db8:a::/48 2001:db8::2 table 100",
        ];
        frr.configure(...routes);
        await same(
          has({ "198.18.0.0/15 table 100": "10.0.0.2@v0*1", "2001:db8:a::/48 table 100": "2001:db8::2@v0*1" }),
        );
        frr.configure(...routes.map((route) => `no ${route}`));
        await same(has({ "198.18.0.0/15 table 100": undefined, "2001:db8:a::/48 table 100": undefined }));
      });

      it("moves a route between nexthops", { skip }, async () => {
        let former = "10.0.0.2";
        for (const [gateway, link] of [
          ["10.0.0.5", "v0"],
          ["10.0.1.5", "v2"],
          ["10.0.0.6", "v0"],
          ["10.0.1.6", "v2"],
        ] as const) {
          frr.configure(`ip route 198.51.100.0/24 ${gateway}`, `no ip route 198.51.100.0/24 ${former}`);
          await same(has({ "198.51.100.0/24 table 254": `${gateway}@${link}*1` }));
          former = gateway;
        }
      });

      it("follows when a link of FRR's goes down and comes back", { skip }, async () => {
        frr.configure("ip route 203.0.113.0/24 10.0.1.2", "ip route 203.0.113.0/24 10.0.0.2");
        const before = await same(has({ [IPV4]: "10.0.0.2@v0*1 10.0.0.3@v0*1 10.0.1.2@v2*1" }));
        topology.a.ip("link", "set", "v2", "down");
        await same(
          has({ [IPV4]: "10.0.0.2@v0*1 10.0.0.3@v0*1", [IPV6]: undefined, "100.64.0.0/11 table 254": undefined }),
        );
        topology.a.ipBatch(["link set v2 up", "address replace 2001:db8:1::1/64 dev v2 nodad"]);
        // Not FRR's kernel, which took the link's nexthop out of the group: FRR gives it the nexthop again, but not the group.
        await holdsFib(receiver, before);
        frr.configure("no ip route 203.0.113.0/24 10.0.1.2");
        await same(has({ [IPV4]: "10.0.0.2@v0*1 10.0.0.3@v0*1" }));
      });

      it("withdraws what is withdrawn", { skip }, async () => {
        frr.configure("no ip route 198.51.100.7/32 10.0.1.2", "no ip route 0.0.0.0/0 10.0.0.9");
        frr.configure("no ipv6 route ::/0 2001:db8:1::9", "no ip route 192.0.2.0/25 blackhole");
        const gone = ["198.51.100.7/32", "0.0.0.0/0", "::/0", "192.0.2.0/25"];
        const left = await same(has(Object.fromEntries(gone.map((prefix) => [`${prefix} table 254`, undefined]))));
        assert.ok(left.size > 3);
        await frr.kill("staticd", "SIGTERM");
        await same((fib) => fib.size === 0);
      });
    });
  }
}
