/** The netlink socket and the dump against the running kernel, in namespaces of the test's own. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { SO_RCVBUFFORCE, SO_SNDBUFFORCE } from "../../ffi/libc/constants.ts";
import { ERRNO, SyscallError } from "../../ffi/libc/errno.ts";
import type { Libc } from "../../ffi/libc/symbols.ts";
import { block, type DumpOptions, dump } from "../../ffi/netlink/dump.ts";
import {
  type NetlinkSocket,
  type NetlinkSocketOptions,
  openNetlinkSocket,
  RECEIVE_OVERRUN,
  RECEIVE_TRUNCATED,
} from "../../ffi/netlink/socket.ts";
import { selectRuntime } from "../../ffi/runtime/select.ts";
import { createNetns, type Netns, skipReason } from "../support/netns.ts";

// The kernel's numbers, written out: this test is to stand even if the project's own constants are wrong.
const [RTM_GETLINK, RTM_NEWROUTE, RTM_GETROUTE, RTM_NEWNEXTHOP, RTM_GETNEXTHOP] = [18, 24, 26, 104, 106];
const [NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NLM_F_CREATE] = [0x1, 0x4, 0x300, 0x400];
const [NLM_F_CAPPED, NLM_F_ACK_TLVS] = [0x100, 0x200];
const NLMSG_ERROR = 2;
const [RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_NEXTHOP] = [7, 11, 32];
const [AF_INET, AF_INET6, AF_NETLINK] = [2, 10, 16];
const [RTMSG_BYTES, NHMSG_BYTES] = [12, 8];

const skip = skipReason();
const libc = (await selectRuntime()).openLibc();

/** One netlink message: header, then the family as first byte of a zero body, then attributes as they are given. */
function message(
  type: number,
  flags: number,
  bodyBytes: number,
  family: number,
  attributes: number[] = [],
): Uint8Array {
  const bytes = new Uint8Array(16 + bodyBytes + attributes.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, NLM_F_REQUEST | flags, true);
  view.setUint32(8, 1, true);
  bytes[16] = family;
  bytes.set(attributes, 16 + bodyBytes);
  return bytes;
}

/** RTM_NEWNEXTHOP of a blackhole with this id: NHA_ID = 1, NHA_BLACKHOLE = 4. */
function newNexthop(id: number): Uint8Array {
  const attributes = [8, 0, 1, 0, id & 0xff, id >> 8, 0, 0, 4, 0, 4, 0];
  return message(RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_ACK, NHMSG_BYTES, AF_INET, attributes);
}

/** The errno in an NLMSG_ERROR, which must be the next thing the socket receives. */
function receiveAck(socket: NetlinkSocket): { errno: number; flags: number; bytes: number } {
  const buffer = new Uint8Array(4096);
  const bytes = socket.receive(buffer);
  assert.ok(bytes >= 36, `receive: ${bytes}`);
  const view = new DataView(buffer.buffer);
  assert.equal(view.getUint16(4, true), NLMSG_ERROR);
  return { errno: -view.getInt32(16, true) || 0, flags: view.getUint16(6, true), bytes };
}

/** RTA_DST (or NHA_ID: both are attribute 1) of a message as hex. */
function firstAttribute(view: DataView, offset: number, length: number, bodyBytes: number): string {
  for (let at = offset + 16 + bodyBytes; at + 4 <= offset + length; at += (view.getUint16(at, true) + 3) & ~3) {
    if (view.getUint16(at + 2, true) !== 1) continue;
    return Buffer.from(view.buffer, view.byteOffset + at + 4, view.getUint16(at, true) - 4).toString("hex");
  }
  return "";
}

/** Dumps, counting how often each key that starts with `prefix` came; calls `disturb` at the first message of each try. */
function dumpKeys(
  socket: NetlinkSocket,
  request: Uint8Array,
  bodyBytes: number,
  prefix: string,
  { disturb, ...options }: DumpOptions & { disturb?: (tries: number) => void } = {},
) {
  const keys = new Map<string, number>();
  let tries = 0;
  let fresh = true;
  const onRestart = () => {
    keys.clear();
    fresh = true;
  };
  const onMessage = (view: DataView, offset: number, length: number) => {
    if (fresh) disturb?.(++tries);
    fresh = false;
    const key = firstAttribute(view, offset, length, bodyBytes);
    if (key.startsWith(prefix)) keys.set(key, (keys.get(key) ?? 0) + 1);
  };
  const result = block(dump(socket, request, { onMessage, onRestart }, options));
  return { result, keys, doubles: [...keys.values()].filter((count) => count > 1).length };
}

/** Runs `work` while another process changes the namespace without a pause. */
function whileChanging<T>(ns: Netns, lines: string[], heard: NetlinkSocket, work: () => T): T {
  const script = `while :; do printf '${lines.join("\\n")}\\n' | ip -n ${ns.name} -force -batch -; done`;
  const child = spawn("sh", ["-c", script], { stdio: "ignore", detached: true });
  try {
    assert.ok(heard.poll(30_000), "the changes begin");
    return work();
  } finally {
    process.kill(-(child.pid ?? assert.fail("the process was not started")), "SIGKILL");
  }
}

const drain = (socket: NetlinkSocket) => {
  const buffer = new Uint8Array(1 << 16);
  while (socket.receive(buffer) !== 0);
};

const currentNetns = () => readlinkSync("/proc/thread-self/ns/net");

describe("netlink socket", () => {
  let ns: Netns;
  const open: NetlinkSocket[] = [];
  const openSocket = (options: NetlinkSocketOptions = {}, through: Libc = libc) => {
    const socket = openNetlinkSocket(through, { netns: ns.name, ...options });
    open.push(socket);
    return socket;
  };

  before(() => {
    if (skip) return;
    ns = createNetns();
    ns.ip("link", "add", "v0", "type", "veth", "peer", "name", "v1");
  });
  after(() => {
    for (const socket of open) socket.close();
    ns?.delete();
  });

  it("opens in another namespace and leaves the thread in its own", { skip }, () => {
    const home = currentNetns();
    const socket = openSocket();
    assert.equal(currentNetns(), home);
    let links = 0;
    const request = message(RTM_GETLINK, NLM_F_DUMP, 16, 0);
    const result = block(dump(socket, request, { onMessage: () => links++, onRestart: () => assert.fail("restart") }));
    assert.deepEqual([result.errno, result.interrupted, links], [0, false, 3], "lo, v0 and v1");
    const byPath = openSocket({ netns: `/run/netns/${ns.name}` });
    assert.equal(dumpKeys(byPath, request, 16, "").result.messages, 3);
  });

  it("says what is wrong with a namespace, and stays in its own", { skip }, () => {
    const home = currentNetns();
    assert.throws(() => openSocket({ netns: "dplaned-none" }), {
      name: "SyscallError",
      code: "ENOENT",
      message:
        'Cannot enter network namespace "dplaned-none": ENOENT (no /run/netns/dplaned-none; `ip netns add dplaned-none` makes it)',
    });
    assert.throws(() => openSocket({ netns: "/etc/hosts" }), /EINVAL \(\/etc\/hosts is not a network namespace\)/);
    assert.throws(() => openSocket({ groups: [4000] }), {
      message: "Cannot join netlink group 4000: EINVAL (this kernel has no such group)",
    });
    assert.equal(currentNetns(), home);
  });

  it("leaves no file descriptor behind when it fails", { skip }, () => {
    const openFiles = () => readdirSync("/proc/self/fd").length;
    const filesBefore = openFiles();
    for (let i = 0; i < 10; i++) {
      assert.throws(() => openSocket({ groups: [4000] }), SyscallError);
      assert.throws(() => openSocket({ netns: "/etc/hosts" }), SyscallError);
    }
    assert.equal(openFiles(), filesBefore);
  });

  it("forces buffers beyond the system's limit", { skip }, () => {
    const socket = openSocket({ receiveBufferBytes: 64 << 20, sendBufferBytes: 48 << 20 });
    assert.equal(socket.receiveBufferBytes, 64 << 20);
    assert.equal(socket.sendBufferBytes, 48 << 20);
  });

  it("falls back to the limit, and tells it, where forcing is not allowed", { skip }, () => {
    // As a process without CAP_NET_ADMIN would see it.
    const unprivileged: Libc = {
      ...libc,
      setsockopt: (fd, level, option, value, length) =>
        option === SO_RCVBUFFORCE || option === SO_SNDBUFFORCE ? -1 : libc.setsockopt(fd, level, option, value, length),
    };
    const limit = Number(readFileSync("/proc/sys/net/core/rmem_max", "utf8"));
    const socket = openSocket({ receiveBufferBytes: limit + 65_536, sendBufferBytes: 8192 }, unprivileged);
    assert.equal(socket.receiveBufferBytes, limit);
    assert.equal(socket.sendBufferBytes, 8192);
  });

  it("reports an overrun as an event and works on", { skip }, () => {
    const socket = openSocket({ receiveBufferBytes: 4096 });
    const bad = message(RTM_NEWROUTE, 0, RTMSG_BYTES, AF_INET);
    const batch = new Uint8Array(bad.length * 500);
    for (let i = 0; i < 500; i++) batch.set(bad, i * bad.length);
    assert.equal(socket.send(batch, batch.length), 0);
    assert.ok(socket.poll(0), "an overrun wakes poll");
    const buffer = new Uint8Array(4096);
    assert.equal(socket.receive(buffer), RECEIVE_OVERRUN);
    let errors = 0;
    while (socket.receive(buffer) > 0) errors++;
    assert.ok(errors > 0 && errors < 500, `${errors} of 500 errors fitted`);
    assert.equal(dumpKeys(socket, message(RTM_GETLINK, NLM_F_DUMP, 16, 0), 16, "").result.messages, 3);
  });

  it("refuses a batch larger than its send buffer with EMSGSIZE", { skip }, () => {
    const socket = openSocket({ sendBufferBytes: 65_536 });
    assert.equal(socket.send(new Uint8Array(1 << 20), 1 << 20), -ERRNO.EMSGSIZE);
    assert.throws(() => socket.send(new Uint8Array(8), 16), RangeError);
  });

  it("never cuts a datagram silently", { skip }, () => {
    const socket = openSocket();
    socket.send(message(RTM_GETLINK, NLM_F_DUMP, 16, 0), 32);
    const small = new Uint8Array(64);
    assert.equal(socket.receive(small), RECEIVE_TRUNCATED);
    assert.ok(socket.truncatedBytes > 1000, `${socket.truncatedBytes}`);
    drain(socket);
  });

  it("receives into shared memory, into the middle too", { skip }, () => {
    const socket = openSocket();
    const shared = new Uint8Array(new SharedArrayBuffer(70_000));
    socket.send(message(RTM_GETLINK, NLM_F_DUMP, 16, 0), 32);
    assert.ok(socket.receive(shared.subarray(1000)) > 1000);
    assert.equal(
      shared.subarray(0, 1000).findIndex((byte) => byte !== 0),
      -1,
      "nothing before the view",
    );
    assert.equal(new DataView(shared.buffer).getUint16(1004, true), 16, "RTM_NEWLINK");
    drain(socket);
  });

  it("retries a call that a signal broke off", { skip }, () => {
    const broken = new Set<string>();
    let errno = 0;
    const once = (name: string, call: () => number) => {
      errno = broken.has(name) ? 0 : ERRNO.EINTR;
      broken.add(name);
      return errno ? -1 : call();
    };
    const interrupting: Libc = {
      ...libc,
      send: (...args) => once("send", () => libc.send(...args)),
      recvfrom: (...args) => once("recvfrom", () => libc.recvfrom(...args)),
      errno: () => errno || libc.errno(),
    };
    const socket = openSocket({}, interrupting);
    assert.equal(dumpKeys(socket, message(RTM_GETLINK, NLM_F_DUMP, 16, 0), 16, "").result.messages, 3);
    assert.deepEqual([...broken], ["send", "recvfrom"]);
  });

  it("listens to a group beyond 31 and does not hear the echo of the ports it ignores", { skip }, () => {
    const ours = openSocket();
    const listener = openSocket({ groups: [RTNLGRP_NEXTHOP], ignorePortIds: [ours.portId] });
    const buffer = new Uint8Array(4096);
    const view = new DataView(buffer.buffer);

    ours.send(newNexthop(101), newNexthop(101).length);
    assert.equal(receiveAck(ours).errno, 0);
    assert.equal(listener.receive(buffer), 0, "our own change is not heard");

    const other = openSocket();
    other.send(newNexthop(102), newNexthop(102).length);
    assert.equal(receiveAck(other).errno, 0);
    assert.ok(listener.poll(5000));
    const bytes = listener.receive(buffer);
    assert.equal(firstAttribute(view, 0, bytes, NHMSG_BYTES), "66000000", "another's change is");
    assert.equal(view.getUint32(12, true), other.portId);

    listener.setEchoFilter([other.portId]);
    other.send(newNexthop(103), newNexthop(103).length);
    assert.equal(receiveAck(other).errno, 0);
    ours.send(newNexthop(104), newNexthop(104).length);
    assert.equal(receiveAck(ours).errno, 0);
    assert.equal(firstAttribute(view, 0, listener.receive(buffer), NHMSG_BYTES), "68000000", "the filter was replaced");
    assert.equal(listener.receive(buffer), 0);
  });

  it("drops what another process sends to it", { skip }, () => {
    const socket = openSocket();
    const address = new Uint8Array(12);
    address[0] = AF_NETLINK;
    new DataView(address.buffer).setUint32(4, socket.portId, true);
    // A socket whose every send goes to `socket` instead of the kernel.
    const forged: Libc = {
      ...libc,
      send: (fd, bytes, length, flags) => libc.sendto(fd, bytes, length, flags, address, address.length),
    };
    const attacker = openSocket({}, forged);
    assert.equal(attacker.send(newNexthop(1), newNexthop(1).length), 0);
    assert.ok(socket.poll(5000), "the forged message arrived");
    assert.equal(socket.receive(new Uint8Array(4096)), 0);
    assert.equal(socket.foreignMessages, 1);
  });

  it("checks dump requests strictly when asked to", { skip }, () => {
    const request = message(RTM_GETROUTE, NLM_F_DUMP, RTMSG_BYTES, AF_INET);
    request[17] = 8; // rtm_dst_len, which a dump request must leave 0
    assert.equal(dumpKeys(openSocket(), request.slice(), RTMSG_BYTES, "").result.errno, 0);
    assert.equal(dumpKeys(openSocket({ strictCheck: true }), request, RTMSG_BYTES, "").result.errno, ERRNO.EINVAL);
  });

  it("gets capped and extended acks when it asks for them", { skip }, () => {
    const bad = message(
      RTM_NEWNEXTHOP,
      NLM_F_CREATE,
      NHMSG_BYTES,
      AF_INET,
      [8, 0, 1, 0, 9, 0, 0, 0, 8, 0, 5, 0, 255, 255, 255, 0],
    );
    const ask = (options: NetlinkSocketOptions) => {
      const socket = openSocket(options);
      socket.send(bad, bad.length);
      return receiveAck(socket);
    };
    const plain = ask({});
    assert.ok(plain.errno > 0);
    assert.equal(plain.bytes, 20 + bad.length, "header, errno and the whole request");
    assert.equal(ask({ capAck: true }).bytes, 36);
    assert.equal(ask({ capAck: true }).flags & NLM_F_CAPPED, NLM_F_CAPPED);
    assert.equal(ask({ extAck: true }).flags & NLM_F_ACK_TLVS, NLM_F_ACK_TLVS);
  });

  it("closes twice without harm and fails plainly afterwards", { skip }, () => {
    const socket = openSocket();
    socket.close();
    socket.close();
    assert.equal(socket.send(newNexthop(1), 16), -ERRNO.EBADF);
    assert.equal(socket.receive(new Uint8Array(64)), -ERRNO.EBADF);
    assert.equal(socket.poll(0), false);
  });
});

describe("dump of a table that others change", () => {
  const COUNT = 50_000;
  let ns: Netns;
  before(() => {
    if (skip) return;
    ns = createNetns();
    const range = Array.from({ length: COUNT }, (_, i) => i);
    ns.ipBatch(range.map((i) => `route add 10.${i >> 8}.${i & 255}.0/24 dev lo`));
    ns.ipBatch(range.map((i) => `route add 2001:db8:${i.toString(16)}::/48 dev lo`));
    ns.ipBatch(range.slice(0, 20_000).map((i) => `nexthop add id ${1000 + i} blackhole`));
  });
  after(() => ns?.delete());

  it("starts over on NLM_F_DUMP_INTR and ends with the right set (nexthops)", { skip }, () => {
    const socket = openNetlinkSocket(libc, { netns: ns.name, strictCheck: true });
    const request = message(RTM_GETNEXTHOP, NLM_F_DUMP, NHMSG_BYTES, 0);
    const { result, keys, doubles } = dumpKeys(socket, request, NHMSG_BYTES, "", {
      disturb: (tries) => {
        if (tries <= 2) ns.ip("nexthop", "add", "id", `${500 + tries}`, "blackhole");
      },
    });
    assert.deepEqual([result.errno, result.interrupted, result.restarts, doubles], [0, false, 2, 0]);
    assert.equal(keys.size, 20_002);
    socket.close();
  });

  it("sees every stable IPv4 route once while others come and go", { skip }, () => {
    const socket = openNetlinkSocket(libc, { netns: ns.name, strictCheck: true });
    const heard = openNetlinkSocket(libc, { netns: ns.name, groups: [RTNLGRP_IPV4_ROUTE] });
    const lines = ["add", "del"].flatMap((verb) => [1, 2, 3].map((i) => `route ${verb} 172.16.${i}.0/24 dev lo`));
    whileChanging(ns, lines, heard, () => {
      for (let i = 0; i < 3; i++) {
        const request = message(RTM_GETROUTE, NLM_F_DUMP, RTMSG_BYTES, AF_INET);
        const { result, keys, doubles } = dumpKeys(socket, request, RTMSG_BYTES, "0a");
        assert.deepEqual([result.errno, keys.size, doubles], [0, COUNT, 0]);
      }
    });
    socket.close();
    heard.close();
  });

  it("knows through its witness when an IPv6 dump cannot be trusted, and when it can", { skip }, () => {
    const socket = openNetlinkSocket(libc, { netns: ns.name, strictCheck: true });
    const witness = openNetlinkSocket(libc, { netns: ns.name, groups: [RTNLGRP_IPV6_ROUTE] });
    const request = message(RTM_GETROUTE, NLM_F_DUMP, RTMSG_BYTES, AF_INET6);
    let changes = 0;
    const change = () => ns.ip("route", "add", `2001:db7:${++changes}::/48`, "dev", "lo");
    const always = dumpKeys(socket, request, RTMSG_BYTES, "20010db8", { witness, restartsMax: 3, disturb: change });
    assert.deepEqual([always.result.errno, always.result.interrupted, always.result.restarts], [0, true, 3]);

    const twice = dumpKeys(socket, request, RTMSG_BYTES, "20010db8", {
      witness,
      disturb: (tries) => {
        if (tries <= 2) change();
      },
    });
    assert.deepEqual([twice.result.errno, twice.result.interrupted, twice.result.restarts], [0, false, 2]);
    assert.deepEqual([twice.keys.size, twice.doubles], [COUNT, 0]);
    socket.close();
    witness.close();
  });
});
