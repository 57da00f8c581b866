import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { URL } from "node:url";
import { Worker } from "node:worker_threads";
import { createSharedTextStorage, SharedTextReader, SharedTextWriter } from "../../../core/model/shared_text.ts";
import { until } from "../../support/wait.ts";

const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

describe("a shared text", () => {
  it("is read as it was written last, with another version each time", () => {
    const storage = createSharedTextStorage(64);
    const writer = new SharedTextWriter(storage);
    const reader = new SharedTextReader(storage);
    assert.equal(reader.version, 0);
    assert.deepEqual([reader.read().version, decode(reader.read().bytes)], [0, ""]);
    assert.ok(writer.write("first ü"));
    const first = reader.read();
    assert.deepEqual([decode(first.bytes), first.version], ["first ü", reader.version]);
    assert.ok(writer.write(""));
    assert.equal(decode(reader.read().bytes), "");
    assert.notEqual(reader.version, first.version);
  });

  it("stays as it was where another is too long", () => {
    const storage = createSharedTextStorage(4);
    const writer = new SharedTextWriter(storage);
    const reader = new SharedTextReader(storage);
    assert.ok(writer.write("four"));
    const { version } = reader;
    assert.equal(writer.write("fives"), false);
    assert.deepEqual([decode(reader.read().bytes), reader.version], ["four", version]);
  });

  it("is never read half, however fast another thread writes", async () => {
    const storage = createSharedTextStorage(4096);
    const code = `
      import { workerData } from "node:worker_threads";
      import { SharedTextWriter } from ${JSON.stringify(new URL("../../../core/model/shared_text.ts", import.meta.url).href)};
      const writer = new SharedTextWriter(workerData.storage);
      const stop = new Int32Array(workerData.stop);
      for (let round = 0; Atomics.load(stop, 0) === 0; round++) writer.write(String(round % 10).repeat(1 + (round % 4000)));
    `;
    const stop = new SharedArrayBuffer(4);
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {
      workerData: { storage, stop },
    });
    try {
      const reader = new SharedTextReader(storage);
      await until("it writes", () => reader.version > 0);
      let last = 0;
      for (let round = 0; round < 20_000; round++) {
        const { bytes, version } = reader.read();
        assert.ok(
          bytes.every((byte) => byte === bytes[0]),
          `torn at version ${version}: ${decode(bytes)}`,
        );
        last = version;
      }
      assert.ok(last > 0);
    } finally {
      Atomics.store(new Int32Array(stop), 0, 1);
      await worker.terminate();
    }
  });
});
