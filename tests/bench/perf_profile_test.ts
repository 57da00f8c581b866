/** What perf has sampled is put down to threads and stages. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { JIT_CODE, KERNEL_OTHER, LIBRARIES, RUNTIME, readSamples, stageOf } from "./perf_profile.ts";

const SCRIPT = `Worker 10883/10897 
\tffffffff81000001 kmem_cache_alloc_noprof ([kernel.kallsyms])
\tffffffff81000002 fib_dump_info ([kernel.kallsyms])
\tffffffff81000003 rtmsg_fib ([kernel.kallsyms])
\tffffffff81000004 fib_table_insert ([kernel.kallsyms])
\t         1842c70 [unknown] (/opt/dplaned)

HTTP Client 10883/10883 
\t    7fa2af3a0170 [unknown] (/tmp/perf-10883.map)

feed 7/7 
\t           2724a __libc_start_call_main (/usr/lib/x86_64-linux-gnu/libc.so.6)
`;

describe("perf's samples", () => {
  it("are read with their thread and stack", async () => {
    const samples = await Array.fromAsync(readSamples(SCRIPT.split("\n")));
    assert.deepEqual(
      samples.map(({ thread, pid, tid, frames }) => [thread, pid, tid, frames.length]),
      [
        ["Worker", 10883, 10897, 5],
        ["HTTP Client", 10883, 10883, 1],
        ["feed", 7, 7, 1],
      ],
    );
    assert.deepEqual(
      samples.map(({ frames }) => stageOf(frames)),
      ["kernel: telling of the change", JIT_CODE, LIBRARIES],
    );
  });

  it("are of the innermost stage", () => {
    const kernel = (...symbols: string[]) => stageOf(symbols.map((symbol) => ({ symbol, file: "[kernel.kallsyms]" })));
    assert.equal(
      kernel("put_child", "resize.isra.0", "fib_insert_alias.isra.0", "fib_table_insert"),
      "kernel: IPv4 trie",
    );
    assert.equal(kernel("memset", "fib_table_insert"), "kernel: IPv4 table, the rest");
    assert.equal(kernel("kfree", "rcu_do_batch", "irq_exit", "fib_table_insert"), "kernel: freeing (RCU)");
    assert.equal(kernel("nobody_knows"), KERNEL_OTHER);
    assert.equal(stageOf([{ symbol: "[unknown]", file: "/opt/dplaned" }]), RUNTIME);
    // A program's own function is none of the kernel's, whatever its name.
    assert.equal(
      stageOf([
        { symbol: "memcpy", file: "[kernel.kallsyms]" },
        { symbol: "resize", file: "/opt/dplaned" },
      ]),
      KERNEL_OTHER,
    );
  });
});
