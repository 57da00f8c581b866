/**
 * A process that is not the kernel and sends netlink messages as if it were: to every netlink socket of its network namespace,
 * a route that nobody made, and refusals of what somebody may just have asked for. Prints how many it could send, or the
 * errno. Run by tests/binary/attacker_test.ts, inside the namespace, on Bun.
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { SOCK_CLOEXEC, SOCK_RAW } from "../../ffi/libc/constants.ts";
import { errnoName } from "../../ffi/libc/errno.ts";
import { AF_NETLINK, NETLINK_ROUTE } from "../../ffi/netlink/constants.ts";
import { selectRuntime } from "../../ffi/runtime/select.ts";

const NLMSG_ERROR = 2;
const RTM_NEWROUTE = 24;
const EPERM = 1;
const SEQUENCES = 200;

const libc = (await selectRuntime()).openLibc();
const fd = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

/** Column 3 of /proc/net/netlink is the port, column 2 the protocol. */
const ports = readFileSync("/proc/self/net/netlink", "latin1")
  .split("\n")
  .map((line) => line.trim().split(/\s+/))
  .filter(([, protocol, port]) => protocol === String(NETLINK_ROUTE) && Number(port) > 0)
  .map(([, , port]) => Number(port));

function route(): Uint8Array {
  const message = new Uint8Array(16 + 12 + 8);
  const view = new DataView(message.buffer);
  view.setUint32(0, message.length, true);
  view.setUint16(4, RTM_NEWROUTE, true);
  // struct rtmsg: IPv4, /24, table main, protocol 4, scope universe, type blackhole.
  message.set([2, 24, 0, 0, 254, 4, 0, 6], 16);
  view.setUint16(28, 8, true);
  view.setUint16(30, 1, true);
  message.set([203, 0, 113, 0], 32);
  return message;
}

function refusal(sequence: number): Uint8Array {
  const message = new Uint8Array(16 + 4 + 16);
  const view = new DataView(message.buffer);
  view.setUint32(0, message.length, true);
  view.setUint16(4, NLMSG_ERROR, true);
  view.setUint32(8, sequence, true);
  view.setInt32(16, -EPERM, true);
  view.setUint32(20 + 8, sequence, true);
  return message;
}

let sent = 0;
let error = "";
for (let round = 0; round < 20; round++) {
  for (const port of ports) {
    const address = new Uint8Array(12);
    const view = new DataView(address.buffer);
    view.setUint16(0, AF_NETLINK, true);
    view.setUint32(4, port, true);
    for (const message of [route(), ...Array.from({ length: SEQUENCES }, (_, index) => refusal(index + 1))]) {
      if (libc.sendto(fd, message, message.length, 0x40, address, address.length) >= 0) sent += 1;
      else error = errnoName(libc.errno());
    }
  }
}
process.stdout.write(JSON.stringify({ sockets: ports.length, sent, error }));
