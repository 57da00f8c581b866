/** Tests of messages as text (describe.ts). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { describeDatagram, describeMessage } from "../../../ffi/netlink/describe.ts";
import { createRouteMessage, encodeRoute } from "../../../ffi/netlink/route.ts";
import { address, goldenMessages, goldenTopics, viewOfHex } from "../../support/golden_netlink.ts";

/** The line of a topic's message, without sequence number and port id, which differ with every recording. */
function lineOf(topic: string, index = 0): string {
  const view = goldenMessages(topic)[index]!;
  return describeMessage(view, 0, view.byteLength).replace(/ seq \d+ pid \d+/, "");
}

describe("describeMessage", () => {
  it("says what a request asks for", () => {
    assert.equal(
      lineOf("route_v4_multipath_mpls"),
      "NEWROUTE [request|ack|create|excl]: unicast 203.0.113.0/24 table main proto boot scope universe " +
        "nexthop via 10.0.0.2 encap mpls 16 oif 3 weight 1 nexthop via 10.0.1.2 oif 5 weight 2",
    );
    assert.equal(
      lineOf("route_mpls_swap"),
      "NEWROUTE [request|ack|create|excl]: unicast label 100 table main proto boot scope universe " +
        "as 200/300 via 10.0.0.2 oif 3",
    );
    assert.equal(
      lineOf("route_v4_dump_request"),
      "GETROUTE [request|dump]: unspec 0.0.0.0/0 table 1000 proto unspec scope universe",
    );
    assert.equal(
      lineOf("nexthop_resilient"),
      "NEWNEXTHOP [request|ack|create|excl]: id 10 group 1/2,4 type resilient buckets 32 idle_timer 60s " +
        "unbalanced_timer 300s proto unspec",
    );
    assert.equal(lineOf("link_vrf"), "NEWLINK [request|ack|create|excl]: 0: red <> type vrf table 10");
    assert.equal(
      lineOf("address_v4_peer"),
      "NEWADDR [request|ack|create|excl]: 192.0.2.1 peer 192.0.2.9/32 dev 3 scope universe label v0:a",
    );
  });

  it("says what the kernel answered", () => {
    assert.equal(lineOf("ack_ok"), "ERROR [capped]: ok to NEWROUTE");
    assert.equal(
      lineOf("ack_error_offset_capped"),
      'ERROR [capped|tlvs]: errno 34 to NEWROUTE "Attribute failed policy validation" at offset 36 ' +
        "policy 4=0000000000000000,5=ffffffff00000000,1=04000000",
    );
    assert.equal(lineOf("done_error"), 'DONE [multi|dump-filtered|tlvs]: errno 2 "ipv4: FIB table does not exist"');
  });

  it("has words for every recorded message", () => {
    for (const topic of goldenTopics()) {
      for (const view of goldenMessages(topic)) {
        assert.doesNotMatch(describeMessage(view, 0, view.byteLength), /malformed|bytes|undefined|NaN/, topic);
      }
    }
  });

  it("shows what it cannot parse in hex", () => {
    assert.equal(describeMessage(viewOfHex("010203"), 0, 3), "malformed message of 3 bytes: 010203");
    assert.equal(
      describeMessage(viewOfHex("140000004d00010001000000020000000badf00d"), 0, 20),
      "type 77 [request] seq 1 pid 2: 20 bytes 0badf00d",
    );
    assert.equal(
      describeMessage(viewOfHex("140000001800010001000000020000000badf00d"), 0, 20),
      "NEWROUTE [request] seq 1 pid 2: 20 bytes 0badf00d",
    );
  });

  it("writes IPv6 addresses as RFC 5952 asks", () => {
    const view = new DataView(new ArrayBuffer(128));
    const prefixOf = (text: string) => {
      const message = { ...createRouteMessage(), family: 10, prefixLength: 128, destination: address(text) };
      return /unspec (\S+)\/128/.exec(describeMessage(view, 0, encodeRoute(view, 0, message)))?.[1];
    };
    for (const text of [
      "::",
      "::1",
      "1::",
      "2001:db8::1",
      "1:0:2::3:0",
      "1:2:3:4:5:6:7:8",
      "1:0:2:3:4:5:6:7",
      "a::b:0:0:c",
    ]) {
      assert.equal(prefixOf(text), text);
    }
  });
});

describe("describeDatagram", () => {
  it("has a line for each message, and one for a tail that is none", () => {
    const hex = `${"10000000010000000000000000000000"}${"11000000010000000000000000000000aa000000"}ff`;
    assert.deepEqual(describeDatagram(viewOfHex(hex), 0, hex.length / 2), [
      "NOOP [] seq 0 pid 0: 16 bytes ",
      "NOOP [] seq 0 pid 0: 17 bytes aa",
      "malformed message of 1 bytes: ff",
    ]);
  });
});
