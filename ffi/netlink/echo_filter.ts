/**
 * The classic BPF program that keeps a listening netlink socket from hearing our own changes: the kernel runs it before
 * it queues a message, so an echo costs neither receive buffer nor a wake-up. Pure bytes; socket.ts attaches it.
 */

// include/uapi/linux/bpf_common.h: the opcodes used here.
/** A = the big-endian 32-bit word at offset k of the message. */
const BPF_LD_W_ABS = 0x20;
/** If A equals k skip jt instructions, else jf. */
const BPF_JMP_JEQ_K = 0x15;
/** Keep the first k bytes of the message; 0 drops it. */
const BPF_RET_K = 0x06;

/** `struct sock_filter { __u16 code; __u8 jt; __u8 jf; __u32 k; }`, include/uapi/linux/filter.h. */
export const SOCK_FILTER_BYTES = 8;
/** Offset of `nlmsg_pid` in `struct nlmsghdr`: the port id of who asked for the change, 0 for the kernel itself. */
const NLMSG_PID_OFFSET = 12;
/** A jump spans at most 255 instructions. */
export const ECHO_FILTER_PORT_IDS_MAX = 255;

/** Encodes the program that drops messages whose `nlmsg_pid` is one of `portIds` and keeps all others. */
export function encodeEchoFilter(portIds: readonly number[]): Uint8Array {
  if (portIds.length > ECHO_FILTER_PORT_IDS_MAX) {
    throw new RangeError(
      `Cannot ignore ${portIds.length} netlink port ids: the filter holds ${ECHO_FILTER_PORT_IDS_MAX}`,
    );
  }
  const program = new Uint8Array((portIds.length + 3) * SOCK_FILTER_BYTES);
  const view = new DataView(program.buffer);
  let offset = 0;
  const put = (code: number, ifTrue: number, k: number) => {
    view.setUint16(offset, code, true);
    view.setUint8(offset + 2, ifTrue);
    view.setUint32(offset + 4, k, true);
    offset += SOCK_FILTER_BYTES;
  };
  put(BPF_LD_W_ABS, 0, NLMSG_PID_OFFSET);
  // From the i-th comparison the dropping RET lies behind the remaining comparisons and the keeping RET.
  for (const [i, portId] of portIds.entries()) put(BPF_JMP_JEQ_K, portIds.length - i, swap32(portId));
  put(BPF_RET_K, 0, 0xffffffff);
  put(BPF_RET_K, 0, 0);
  return program;
}

/** The load reads the word as big-endian while netlink headers are in host order, which is little-endian wherever Bun and Deno run. */
function swap32(value: number): number {
  return ((value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}
