/**
 * Puts a seccomp filter over itself that kills for every system call but those of its first argument (numbers with commas
 * between them, of x86-64), and becomes the program of the others. Run by tests/binary/seccomp_test.ts, on Bun.
 */
import process from "node:process";
import { selectRuntime } from "../../ffi/runtime/select.ts";

const PR_SET_NO_NEW_PRIVS = 38;
const PR_SET_SECCOMP = 22;
const SECCOMP_MODE_FILTER = 2;
const AUDIT_ARCH_X86_64 = 0xc000003e;
const [KILL, ALLOW] = [0x8000_0000, 0x7fff_0000];
// BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K, BPF_RET | BPF_K
const [LOAD, JUMP_IF, RETURN] = [0x20, 0x15, 0x06];

const [list = "", program = "", ...args] = process.argv.slice(2);

/** `struct sock_filter { __u16 code; __u8 jt; __u8 jf; __u32 k; }`; `struct seccomp_data` has the number first, then the architecture. */
const filter: [code: number, yes: number, no: number, value: number][] = [
  [LOAD, 0, 0, 4],
  [JUMP_IF, 1, 0, AUDIT_ARCH_X86_64],
  [RETURN, 0, 0, KILL],
  [LOAD, 0, 0, 0],
];
for (const number of list.split(",").map(Number)) filter.push([JUMP_IF, 0, 1, number], [RETURN, 0, 0, ALLOW]);
filter.push([RETURN, 0, 0, KILL]);

const libc = (await selectRuntime()).openLibc();
const encode = (texts: readonly string[]): { memory: Uint8Array; view: DataView } => {
  const bytes = texts.map((text) => Buffer.from(`${text}\0`));
  const head = (texts.length + 1) * 8;
  const memory = new Uint8Array(head + bytes.reduce((sum, { length }) => sum + length, 0));
  const view = new DataView(memory.buffer);
  let at = head;
  for (const [index, text] of bytes.entries()) {
    memory.set(text, at);
    view.setBigUint64(index * 8, libc.addressOf(memory) + BigInt(at), true);
    at += text.length;
  }
  return { memory, view };
};

const memory = new Uint8Array(16 + filter.length * 8);
const view = new DataView(memory.buffer);
view.setUint16(0, filter.length, true);
view.setBigUint64(8, libc.addressOf(memory) + 16n, true);
for (const [index, [code, yes, no, value]] of filter.entries()) {
  const at = 16 + index * 8;
  view.setUint16(at, code, true);
  view.setUint8(at + 2, yes);
  view.setUint8(at + 3, no);
  view.setUint32(at + 4, value, true);
}
const argv = encode([program, ...args]);
const environment = Object.entries(process.env).map(([name, value]) => `${name}=${value}`);
const envp = encode(environment);
const path = Buffer.from(`${program}\0`);
if (libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) !== 0) throw new Error("no new privileges: refused");
if (libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, Number(libc.addressOf(memory)), 0, 0) !== 0) {
  throw new Error(`seccomp: errno ${libc.errno()}`);
}
libc.execve(path, argv.memory, envp.memory);
