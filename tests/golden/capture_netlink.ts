/**
 * Records the golden bytes of tests/golden/netlink again: what iproute2 sends to the kernel, and what the kernel answers
 * and announces. Every topic runs in a network namespace of its own; the host's is never touched.
 *
 *     bun tests/golden/capture_netlink.ts [TOPIC...]      (as root; needs cc, iproute2 and unshare)
 *
 * A topic becomes `<topic>.hex`, one netlink message a line, and `<topic>.txt`, which says how the bytes came to be.
 * Run by hand; nothing imports this file.
 */
import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL(".", import.meta.url).href);

type Direction = "request" | "ack" | "dump" | "notification";

interface Topic {
  name: string;
  direction: Direction;
  /** Commands that prepare the namespace, beyond the two veth pairs that every topic has. */
  setup?: string;
  command: string;
  /** Switch NETLINK_CAP_ACK on in the tool. */
  capAck?: boolean;
}

const DIRECTIONS: Readonly<Record<Direction, string>> = {
  request: "to the kernel",
  ack: "from the kernel, answer to the request",
  dump: "from the kernel, answer to a dump or get",
  notification: "from the kernel, multicast notification",
};

/** Interfaces get these numbers in a fresh namespace: lo 1, p0 2, v0 3, p1 4, v1 5. */
const BASE_SETUP = `
ip link set lo up
ip link add v0 address 02:00:00:00:00:01 type veth peer name p0 address 02:00:00:00:00:02
ip link add v1 address 02:00:00:00:01:01 type veth peer name p1 address 02:00:00:00:01:02
for i in v0 p0 v1 p1; do ip link set $i addrgenmode none; ip link set $i up; done
ip addr add 10.0.0.1/24 dev v0; ip addr add 2001:db8::1/64 dev v0 nodad
ip addr add 10.0.1.1/24 dev v1; ip addr add 2001:db8:1::1/64 dev v1 nodad
`;

const NEXTHOPS = "ip nexthop add id 1 via 10.0.0.2 dev v0; ip nexthop add id 2 via 10.0.1.2 dev v1";

function request(name: string, command: string, setup?: string): Topic {
  return { name, direction: "request", command, ...(setup === undefined ? {} : { setup }) };
}

function answer(direction: Direction, name: string, command: string, setup?: string): Topic {
  return { name, direction, command, ...(setup === undefined ? {} : { setup }) };
}

const SHORT_GATEWAY = "2c00000018000504070000000000000002180000fe0400010000000008000100cb0071000600050001020000";

const TOPICS: readonly Topic[] = [
  // Routes, as iproute2 asks for them.
  request("route_v4_unicast", "ip route add 203.0.113.0/24 metric 20 via 10.0.0.2 dev v0 proto 210"),
  request("route_v6_unicast", "ip route add 2001:db8:f::/48 metric 20 via 2001:db8::2 dev v0 proto 210"),
  request("route_v4_default", "ip route add 0.0.0.0/0 via 10.0.0.2 dev v0"),
  request("route_v6_default", "ip route add ::/0 via 2001:db8::2 dev v0"),
  request("route_v4_default_word", "ip route add default via 10.0.0.2 dev v0"),
  request("route_v4_device", "ip route add 203.0.113.0/24 dev v0"),
  request("route_v6_device", "ip route add 2001:db8:f::/48 dev v0"),
  request("route_v4_onlink", "ip route add 203.0.113.0/24 via 192.0.2.1 dev v0 onlink"),
  request("route_v6_onlink", "ip route add 2001:db8:f::/48 via 2001:db8:9::9 dev v0 onlink"),
  request(
    "route_v4_multipath",
    "ip route add 203.0.113.0/24 metric 20 nexthop via 10.0.0.2 dev v0 weight 1 nexthop via 10.0.1.2 dev v1 weight 256",
  ),
  request(
    "route_v6_multipath",
    "ip route add 2001:db8:f::/48 nexthop via 2001:db8::2 dev v0 weight 3 nexthop via 2001:db8:1::2 dev v1 weight 5",
  ),
  request(
    "route_v4_multipath_onlink",
    "ip route add 203.0.113.0/24 nexthop via 192.0.2.1 dev v0 onlink nexthop dev v1",
  ),
  request("route_v4_via_inet6", "ip route add 203.0.113.0/24 via inet6 2001:db8::2 dev v0"),
  request(
    "route_v4_multipath_via_inet6",
    "ip route add 203.0.113.0/24 nexthop via inet6 2001:db8::2 dev v0 weight 2 nexthop via 10.0.1.2 dev v1",
  ),
  request("route_v4_prefsrc", "ip route add 203.0.113.0/24 src 10.0.0.1 via 10.0.0.2 dev v0"),
  request("route_v6_prefsrc", "ip route add 2001:db8:f::/48 src 2001:db8::1 via 2001:db8::2 dev v0"),
  request("route_v4_mtu", "ip route add 203.0.113.0/24 via 10.0.0.2 dev v0 mtu 1400"),
  request("route_v4_mtu_lock", "ip route add 203.0.113.0/24 via 10.0.0.2 dev v0 mtu lock 1400 initcwnd 20"),
  request("route_v4_table_100", "ip route add 203.0.113.0/24 table 100 via 10.0.0.2 dev v0"),
  request("route_v4_table_1000", "ip route add 203.0.113.0/24 table 1000 metric 20 via 10.0.0.2 dev v0"),
  request("route_v6_table_1000", "ip route add 2001:db8:f::/48 table 1000 metric 20 via 2001:db8::2 dev v0"),
  request("route_v4_tos", "ip route add 203.0.113.0/24 tos 0x10 via 10.0.0.2 dev v0"),
  request("route_v4_realm", "ip route add 203.0.113.0/24 via 10.0.0.2 dev v0 realms 5"),
  request("route_v4_blackhole", "ip route add blackhole 203.0.113.0/24 metric 20"),
  request("route_v4_unreachable", "ip route add unreachable 203.0.113.0/24 metric 20"),
  request("route_v4_prohibit", "ip route add prohibit 203.0.113.0/24 metric 20"),
  request("route_v4_throw", "ip route add throw 203.0.113.0/24 metric 20"),
  request("route_v6_blackhole", "ip route add blackhole 2001:db8:f::/48 metric 20"),
  request("route_v6_source", "ip route add 2001:db8:f::/48 from 2001:db8:a::/56 metric 20 via 2001:db8::2 dev v0"),
  request("route_v6_pref_expires", "ip route add 2001:db8:f::/48 via 2001:db8::2 expires 300 pref high dev v0"),
  request(
    "route_v6_seg6_encap",
    "ip route add 2001:db8:f::/48 via 2001:db8::2 encap seg6 mode encap segs fc00::1,fc00::2,fc00::3 dev v0",
  ),
  request(
    "route_v6_seg6_inline",
    "ip route add 2001:db8:f::/48 via 2001:db8::2 encap seg6 mode inline segs fc00::1,fc00::2 dev v0",
  ),
  request("route_v4_seg6_encap", "ip route add 203.0.113.0/24 encap seg6 mode encap segs fc00::1 dev v0"),
  request("route_v4_mpls", "ip route add 203.0.113.0/24 via 10.0.0.2 encap mpls 100/200 dev v0"),
  request("route_v4_mpls_ttl", "ip route add 203.0.113.0/24 via 10.0.0.2 encap mpls 100 ttl 64 dev v0"),
  request(
    "route_v4_multipath_mpls",
    "ip route add 203.0.113.0/24 nexthop via 10.0.0.2 encap mpls 16 dev v0 nexthop via 10.0.1.2 dev v1 weight 2",
  ),
  request("route_v4_ip_encap", "ip route add 203.0.113.0/24 via 10.0.0.2 encap ip id 42 dst 192.0.2.7 dev v0"),
  request("route_mpls_swap", "ip -f mpls route add 100 as 200/300 via inet 10.0.0.2 dev v0"),
  request("route_mpls_pop", "ip -f mpls route add 100 via inet6 2001:db8::2 dev v0"),
  request(
    "route_mpls_multipath",
    "ip -f mpls route add 100 nexthop as 200 via inet 10.0.0.2 dev v0 nexthop as 201 via inet 10.0.1.2 dev v1",
  ),
  request("route_v4_nhid", "ip route add 203.0.113.0/24 metric 20 nhid 1", NEXTHOPS),
  request(
    "route_v6_nhid",
    "ip route add 2001:db8:f::/48 metric 20 nhid 6",
    "ip nexthop add id 6 via 2001:db8::2 dev v0",
  ),
  request("route_v4_replace", "ip route replace 203.0.113.0/24 metric 20 via 10.0.0.2 dev v0 proto 210"),
  request(
    "route_v4_delete",
    "ip route del 203.0.113.0/24 metric 20 proto 210",
    "ip route add 203.0.113.0/24 metric 20 via 10.0.0.2 proto 210",
  ),
  request(
    "route_v6_delete",
    "ip route del 2001:db8:f::/48 table 1000",
    "ip route add 2001:db8:f::/48 table 1000 dev v0",
  ),
  request("route_v4_dump_request", "ip -4 route show table 1000"),

  // The same routes, as the kernel tells of them.
  answer(
    "dump",
    "route_v4_dump",
    "ip -4 route show table all",
    `
ip route add 203.0.113.0/24 metric 20 via 10.0.0.2 proto 210 src 10.0.0.1 mtu lock 1400
ip route add 198.51.100.0/24 table 1000 nexthop via 10.0.0.2 weight 3 nexthop via inet6 2001:db8:1::2 dev v1
ip route add 192.0.2.0/25 via 192.0.2.200 dev v1 onlink; ip route add blackhole 192.0.2.128/25
${NEXTHOPS}; ip nexthop add id 10 group 1,3/2,6; ip route add 100.64.0.0/10 nhid 10`,
  ),
  answer(
    "dump",
    "route_v6_dump",
    "ip -6 route show table all",
    `
ip route add 2001:db8:f::/48 metric 20 via 2001:db8::2 proto 210 mtu 1400
ip route add 2001:db8:e::/48 nexthop via 2001:db8::2 weight 3 nexthop via 2001:db8:1::2
ip route add 2001:db8:d::/48 from 2001:db8:a::/56 table 1000 dev v1; ip route add unreachable 2001:db8:c::/48
ip nexthop add id 6 via 2001:db8::2 dev v0; ip route add 2001:db8:b::/48 nhid 6
ip route add fd00::/8 encap seg6 mode encap segs fc00::1,fc00::2 dev v0 pref high`,
  ),
  answer("dump", "route_v4_get", "ip route get 203.0.113.7", "ip route add 203.0.113.0/24 via 10.0.0.2"),
  answer("notification", "route_v4_notify", "ip route add 203.0.113.0/24 via 10.0.0.2; ip route del 203.0.113.0/24"),
  answer(
    "notification",
    "route_v6_notify",
    "ip route add 2001:db8:f::/48 via 2001:db8::2; ip route append 2001:db8:f::/48 via 2001:db8:1::2; ip route del 2001:db8:f::/48",
  ),

  // Nexthop objects.
  request("nexthop_v4", "ip nexthop add id 1 via 10.0.0.2 dev v0 proto 210"),
  request("nexthop_v6", "ip nexthop add id 1 via 2001:db8::2 dev v0"),
  request("nexthop_v4_onlink", "ip nexthop add id 1 via 192.0.2.1 dev v0 onlink"),
  request("nexthop_device", "ip nexthop add id 1 dev v0"),
  request("nexthop_blackhole", "ip nexthop add id 1 blackhole"),
  request("nexthop_fdb", "ip nexthop add id 1 via 10.0.0.2 fdb"),
  request("nexthop_mpls", "ip nexthop add id 1 via 10.0.0.2 encap mpls 100/200 dev v0"),
  request("nexthop_seg6", "ip nexthop add id 1 via 2001:db8::2 encap seg6 mode encap segs fc00::1,fc00::2 dev v0"),
  request("nexthop_group", "ip nexthop add id 10 group 1/2 proto 210", NEXTHOPS),
  request("nexthop_group_weights", "ip nexthop replace id 10 group 1,3/2,256", NEXTHOPS),
  request(
    "nexthop_resilient",
    "ip nexthop add id 10 group 1/2,4 type resilient buckets 32 idle_timer 60 unbalanced_timer 300",
    NEXTHOPS,
  ),
  request("nexthop_delete", "ip nexthop del id 10", `${NEXTHOPS}; ip nexthop add id 10 group 1/2`),
  request("nexthop_dump_request", "ip nexthop show"),
  answer(
    "dump",
    "nexthop_dump",
    "ip nexthop show",
    `
${NEXTHOPS}; ip nexthop add id 3 blackhole; ip nexthop add id 4 via 192.0.2.1 dev v0 onlink proto 210
ip nexthop add id 5 via 2001:db8::2 dev v0 encap seg6 mode encap segs fc00::1,fc00::2; ip nexthop add id 6 dev v1
ip nexthop add id 10 group 1,3/2,256; ip nexthop add id 11 group 1/2,4 type resilient buckets 32 idle_timer 60 unbalanced_timer 300
ip nexthop add id 12 via 10.0.0.9 fdb`,
  ),
  answer(
    "notification",
    "nexthop_notify",
    "ip nexthop add id 10 group 1/2; ip nexthop del id 1; ip nexthop del id 10",
    NEXTHOPS,
  ),
  // Id 10 with member 1 at weight 1000 and member 2 at weight 65535 (no iproute2 of 6.1 can ask so), then a get of it.
  answer(
    "dump",
    "nexthop_wide_weights",
    "$SEND 340000006800050407000000000000000000000000000000080001000a0000001400020001000000e703000002000000feff0000;" +
      "$SEND 200000006a00050007000000000000000000000000000000080001000a000000",
    NEXTHOPS,
  ),

  // Links and addresses.
  request("link_vrf", "ip link add red type vrf table 10"),
  request("link_bridge", "ip link add br0 mtu 1400 type bridge"),
  request("link_up", "ip link set dev p0 up"),
  request("link_delete", "ip link del dev v0"),
  request("address_v4", "ip addr add 192.0.2.1/25 dev v0"),
  request("address_v6", "ip addr add 2001:db8:9::1/64 dev v0 nodad"),
  request("address_v4_peer", "ip addr add 192.0.2.1 peer 192.0.2.9/32 dev v0 label v0:a"),
  request("address_v6_noprefixroute", "ip addr add 2001:db8:9::1/64 dev v0 noprefixroute"),
  request("address_delete", "ip addr del 10.0.0.1/24 dev v0"),
  answer(
    "notification",
    "link_notify",
    "ip link add br0 type bridge; ip link set br0 up; ip link property add dev br0 altname bridge-zero; ip link set v1 master br0; ip link set v1 down; ip link del br0",
  ),
  answer("dump", "link_dump", "ip link show", "ip netns list >/dev/null; ip link set v1 alias uplink"),
  answer("notification", "address_notify", "ip addr add 192.0.2.1/25 dev v0; ip addr del 192.0.2.1/25 dev v0"),
  answer("dump", "address_dump", "ip addr show", "ip addr add 192.0.2.1 peer 192.0.2.9/32 dev v0 label v0:a"),

  // Answers.
  answer("ack", "ack_ok", "ip route add 203.0.113.0/24 via 10.0.0.2"),
  answer("ack", "ack_error_text", "ip route add 203.0.113.0/24 via 10.9.9.9 dev v0"),
  { ...answer("ack", "ack_error_text_capped", "ip route add 203.0.113.0/24 via 10.9.9.9 dev v0"), capAck: true },
  answer(
    "ack",
    "ack_error_plain",
    "ip route add 203.0.113.0/24 via 10.0.0.2",
    "ip route add 203.0.113.0/24 via 10.0.0.2",
  ),
  {
    ...answer(
      "ack",
      "ack_error_plain_capped",
      "ip route add 203.0.113.0/24 via 10.0.0.2",
      "ip route add 203.0.113.0/24 via 10.0.0.2",
    ),
    capAck: true,
  },
  answer("ack", "ack_error_encap", "ip route add 203.0.113.0/24 via 10.0.0.2 encap mpls 100 dev v0"),
  // NEWROUTE whose RTA_GATEWAY is two bytes long.
  answer("ack", "ack_error_offset", `$SEND ${SHORT_GATEWAY}`),
  { ...answer("ack", "ack_error_offset_capped", `$SEND ${SHORT_GATEWAY}`), capAck: true },
  // NEWNEXTHOP whose NHA_OIF is two bytes long.
  answer("ack", "ack_error_policy", "$SEND 2000000068000504070000000000000002000000000000000600050001000000"),
  answer("ack", "done", "ip -4 route show table 1000", "ip route add 203.0.113.0/24 table 1000 via 10.0.0.2"),
  answer("ack", "done_error", "ip -4 route show table 1000"),
];

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
/** Message types (new, deleted) that a topic of this first word is about. */
const TOPIC_TYPES: Readonly<Record<string, readonly number[]>> = {
  link: [16, 17],
  address: [20, 21],
  route: [24, 25],
  nexthop: [104, 105],
};
/** Interface alias that ends a recording of notifications; in hex, as the tap writes it. */
const MARKER = "end-of-golden-recording";
const MARKER_HEX = Buffer.from(MARKER).toString("hex");

/** What the shell runs for a topic: prepares the namespace, then records the command, or a monitor beside it. */
function scriptOf(topic: Topic, workFolder: string): string {
  const tap = `NETLINK_TAP_LOG=${workFolder}/log LD_PRELOAD=${workFolder}/netlink_tap.so`;
  const prepare = `set -eu\n${BASE_SETUP}\n${topic.setup ?? ""}\nSEND=${workFolder}/netlink_send\n`;
  if (topic.direction !== "notification") {
    const capped = topic.capAck ? "NETLINK_TAP_CAP_ACK=1" : "";
    // Errors are what some topics are after, so the status of the command does not matter.
    return `${prepare} export ${tap} ${capped}\n${topic.command} || true\n`;
  }
  return `${prepare}
${tap} ip monitor all >/dev/null & monitor=$!
until grep -q '^#' ${workFolder}/log 2>/dev/null; do :; done
${topic.command}
ip link set lo alias ${MARKER}
until grep -q ${MARKER_HEX} ${workFolder}/log; do :; done
kill $monitor`;
}

/** Cuts the datagrams of a log into messages: `{sent, hex}`. */
function messagesOf(log: string): { sent: boolean; type: number; hex: string }[] {
  const messages = [];
  for (const line of log.split("\n")) {
    if (!line.startsWith(">") && !line.startsWith("<")) continue;
    const bytes = Buffer.from(line.slice(2), "hex");
    for (let at = 0; bytes.length - at >= 16; ) {
      const length = bytes.readUInt32LE(at);
      // iproute2 sends a whole struct for some requests: zeros follow the message.
      if (length < 16) break;
      const hex = bytes.subarray(at, at + length).toString("hex");
      messages.push({ sent: line.startsWith(">"), type: bytes.readUInt16LE(at + 4), hex });
      at += (length + 3) & ~3;
    }
  }
  return messages;
}

/** The messages that the topic is about, without what the tool asked and was told to find interface numbers. */
function selectMessages(topic: Topic, log: string): string[] {
  const all = messagesOf(log);
  const types = TOPIC_TYPES[topic.name.slice(0, topic.name.indexOf("_"))] ?? [];
  switch (topic.direction) {
    case "request":
      return all.filter((m) => m.sent && m.type !== RTM_GETLINK && !isProbe(m)).map((m) => m.hex);
    case "ack":
      return all.filter((m) => !m.sent && (m.type === NLMSG_ERROR || m.type === NLMSG_DONE)).map((m) => m.hex);
    case "dump": {
      const received = all.filter((m) => !m.sent && (types.includes(m.type) || m.type === NLMSG_DONE));
      // A list of links precedes the dump that is meant; its end mark is not part of the topic.
      return received.slice(received.findIndex((m) => m.type !== NLMSG_DONE)).map((m) => m.hex);
    }
    case "notification": {
      const end = all.findIndex((m) => m.hex.includes(MARKER_HEX));
      const afterList = all.findIndex((m) => m.type === NLMSG_DONE) + 1;
      return all
        .slice(afterList, end)
        .filter((m) => !m.sent && types.includes(m.type))
        .map((m) => m.hex);
    }
  }
}

/** iproute2 asks with an empty NEWLINK whether the kernel knows RTM_NEWLINK; that is not part of any topic. */
function isProbe(message: { type: number; hex: string }): boolean {
  return message.type === RTM_NEWLINK && message.hex.length === 64 && message.hex.slice(16) === "0".repeat(48);
}

function record(topic: Topic, workFolder: string, about: string): void {
  rmSync(join(workFolder, "log"), { force: true });
  execFileSync("unshare", ["-n", "timeout", "20", "bash", "-c", scriptOf(topic, workFolder)], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const hex = selectMessages(topic, readFileSync(join(workFolder, "log"), "utf8"));
  if (hex.length === 0) throw new Error(`Cannot record ${topic.name}: no message was seen`);
  const folder = join(HERE, "netlink");
  writeFileSync(join(folder, `${topic.name}.hex`), `${hex.join("\n")}\n`);
  const setup = topic.setup === undefined ? "" : `after:     ${topic.setup.trim().replaceAll("\n", "\n           ")}\n`;
  const option = topic.capAck ? "option:    NETLINK_CAP_ACK\n" : "";
  writeFileSync(
    join(folder, `${topic.name}.txt`),
    `command:   ${topic.command}\n${setup}${option}direction: ${DIRECTIONS[topic.direction]}\n${about}`,
  );
}

const workFolder = mkdtempSync(join(tmpdir(), "golden-netlink-"));
try {
  const source = join(HERE, "netlink_tap.c");
  execFileSync("cc", ["-shared", "-fPIC", "-o", join(workFolder, "netlink_tap.so"), source, "-ldl"]);
  execFileSync("cc", ["-DNETLINK_SEND", "-o", join(workFolder, "netlink_send"), source]);
  const kernel = execFileSync("uname", ["-r"], { encoding: "utf8" }).trim().replace(/-.*/, "");
  const iproute2 = execFileSync("ip", ["-V"], { encoding: "utf8" })
    .trim()
    .replace(/^ip utility, |, libbpf.*/g, "");
  const about = `kernel:    Linux ${kernel}\ntool:      ${iproute2}\ndate:      ${new Date().toISOString().slice(0, 10)}\n`;
  const wanted = process.argv.slice(2);
  for (const topic of TOPICS) {
    if (wanted.length === 0 || wanted.includes(topic.name)) record(topic, workFolder, about);
  }
} finally {
  rmSync(workFolder, { recursive: true, force: true });
}
