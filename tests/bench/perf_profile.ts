/**
 * Where the processors' time goes, by `perf`: samples of stacks, each put down to a thread and a stage. In the kernel the stage
 * is told by the innermost function that is known to be one's beginning, in the program by whose code it was.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers";

/** Samples a second of each processor: not a divisor of what runs at round intervals. */
const FREQUENCY = 999;
/** Until perf has begun. */
const START_MS = 500;

/** Functions of the kernel, and what they are part of. */
const KERNEL_STAGES: readonly (readonly [stage: string, functions: RegExp])[] = [
  [
    "kernel: telling of the change",
    /^(?:rtmsg_fib|inet6_rt_notify|nexthop_notify|rtnl_notify|nlmsg_notify|fib_dump_info|rt6_fill_node)$/,
  ],
  ["kernel: listeners inside it", /^call_(?:fib|nexthop)\w*notifiers$/],
  ["kernel: freeing (RCU)", /^(?:rcu_do_batch|rcu_core|rcu_tasks\w*|kfree_rcu_work|kfree_rcu_monitor)$/],
  [
    "kernel: IPv4 trie",
    /^(?:fib_insert_alias|fib_remove_alias|resize|replace|inflate|halve|tnode_new|put_child|trie_rebalance|fib_find_node|fib_find_alias|leaf_walk_rcu)$/,
  ],
  [
    "kernel: IPv4 nexthop and its checks",
    /^(?:fib_create_info|fib_release_info|fib_valid_prefsrc|fib_check_nh|fib_nh_init|nexthop_find_by_id|fib_metrics_match)$/,
  ],
  ["kernel: IPv4 table, the rest", /^(?:fib_table_insert|fib_table_delete|fib_new_table|fib_get_table)$/],
  ["kernel: IPv6 tree", /^(?:fib6_add|fib6_del|fib6_add_1|fib6_locate|fib6_add_rt2node)$/],
  [
    "kernel: IPv6 route and its nexthop",
    /^(?:ip6_route_info_create\w*|ip6_route_add|ip6_route_del|ip6_del_rt|fib6_nh_init|fib6_info_alloc)$/,
  ],
  ["kernel: nexthop objects", /^(?:rtm_new_nexthop|rtm_del_nexthop|remove_nexthop)$/],
  [
    "kernel: reading the request",
    /^(?:inet_rtm_(?:new|del)route|inet6_rtm_(?:new|del)route|rtm_to_fib_config|rtm_to_fib6_config|rtnetlink_rcv_msg)$/,
  ],
  ["kernel: netlink socket", /^(?:netlink_sendmsg|netlink_recvmsg|netlink_ack|netlink_rcv_skb)$/],
  ["kernel: client's socket", /^(?:unix_stream_\w+|tcp_sendmsg|tcp_recvmsg|sock_poll|unix_poll)$/],
  ["kernel: page faults", /^(?:exc_page_fault|do_user_addr_fault|asm_exc_page_fault)$/],
  ["kernel: giving memory back", /^(?:__x64_sys_madvise|__x64_sys_munmap|__arm64_sys_madvise|__arm64_sys_munmap)$/],
  [
    "kernel: waiting and waking",
    /^(?:do_futex|futex_\w+|schedule|ep_poll|do_epoll_wait|__x64_sys_epoll_\w+|try_to_wake_up)$/,
  ],
];

export const KERNEL_OTHER = "kernel: the rest";
export const JIT_CODE = "compiled JavaScript";
export const RUNTIME = "runtime: interpreter, compiler, collector, its own calls";
export const LIBRARIES = "C library";

export interface Frame {
  symbol: string;
  /** File that the code is from, such as `[kernel.kallsyms]`. */
  file: string;
}

export interface Sample {
  /** Name of the thread. */
  thread: string;
  pid: number;
  tid: number;
  /** Innermost first. */
  frames: readonly Frame[];
}

/** Which stage a sample is of. */
export function stageOf(frames: readonly Frame[]): string {
  const leaf = frames[0];
  if (leaf === undefined) return KERNEL_OTHER;
  if (!isKernel(leaf)) {
    if (/\bperf-\d+\.map$|^\/\/anon$|jit/i.test(leaf.file)) return JIT_CODE;
    return /\/lib(?:c|m|pthread)[-.]/.test(leaf.file) ? LIBRARIES : RUNTIME;
  }
  for (const frame of frames) {
    if (!isKernel(frame)) break;
    // GCC names copies of a function after it: `resize.isra.0`.
    const name = frame.symbol.replace(/\.\w.*$/, "");
    for (const [stage, functions] of KERNEL_STAGES) if (functions.test(name)) return stage;
  }
  return KERNEL_OTHER;
}

function isKernel({ file }: Frame): boolean {
  return file.startsWith("[kernel") || file.startsWith("[guest.kernel") || file.endsWith(".ko");
}

/** Samples from the lines of `perf script -F comm,pid,tid,ip,sym,dso`. */
export async function* readSamples(lines: AsyncIterable<string> | Iterable<string>): AsyncGenerator<Sample> {
  let sample: { thread: string; pid: number; tid: number; frames: Frame[] } | undefined;
  for await (const line of lines) {
    const head = /^(\S.*?)\s+(\d+)\/(\d+)\s*$/.exec(line);
    if (head !== null) {
      if (sample !== undefined) yield sample;
      sample = { thread: head[1]!, pid: Number(head[2]), tid: Number(head[3]), frames: [] };
      continue;
    }
    const frame = /^\s+[0-9a-f]+ (.+) \((.*)\)$/.exec(line);
    if (frame !== null) sample?.frames.push({ symbol: frame[1]!, file: frame[2]! });
  }
  if (sample !== undefined) yield sample;
}

/** Why nothing can be sampled here. */
export function perfSkipReason(): string | false {
  const { error, status, stderr } = spawnSync("perf", ["record", "-e", "cpu-clock", "-a", "-o", "/dev/null", "true"], {
    encoding: "utf8",
  });
  if (error !== undefined) return "there is no perf (package linux-perf)";
  return status === 0 ? false : `perf can record nothing here: ${stderr.trim().split("\n").at(-1)}`;
}

/** Seconds of processor time by thread and stage. */
export type Profile = ReadonlyMap<string, ReadonlyMap<string, number>>;

/** Samples all processors while `work` goes on; `threadName` tells whose a sample is, or undefined if it is nobody's. */
export async function profileWork(
  file: string,
  work: () => Promise<void>,
  threadName: (sample: Sample) => string | undefined,
): Promise<Profile> {
  const args = ["record", "-e", "cpu-clock", "-F", String(FREQUENCY), "-a", "-g", "-o", file];
  const perf = spawn("perf", args, { stdio: ["ignore", "ignore", "pipe"] });
  perf.stderr.resume();
  const ended = once(perf, "close");
  try {
    await new Promise((wake) => setTimeout(wake, START_MS));
    await work();
  } finally {
    perf.kill("SIGINT");
    await ended;
  }
  const profile = new Map<string, Map<string, number>>();
  const script = spawn("perf", ["script", "-i", file, "-F", "comm,pid,tid,ip,sym,dso"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  for await (const sample of readSamples(linesOf(script))) {
    const thread = threadName(sample);
    if (thread === undefined) continue;
    const stages = profile.get(thread) ?? new Map<string, number>();
    profile.set(thread, stages);
    const stage = stageOf(sample.frames);
    stages.set(stage, (stages.get(stage) ?? 0) + 1 / FREQUENCY);
  }
  rmSync(file, { force: true });
  return profile;
}

function linesOf(child: ChildProcess): AsyncIterable<string> {
  return createInterface({ input: child.stdout! });
}
