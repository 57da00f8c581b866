import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { parseTableFile, readTableNames } from "../../../core/daemon/table_names.ts";

describe("table names", () => {
  it("are read as iproute2 reads them", () => {
    const text = "#\n# reserved\n255\tlocal\n254 main # the usual\n0x64 hundred\n  7 seven\nnonsense\n12\n";
    assert.deepEqual(parseTableFile(text), [
      [255, "local"],
      [254, "main"],
      [100, "hundred"],
      [7, "seven"],
    ]);
  });

  it("come from all files, the later directory winning", () => {
    const root = mkdtempSync(join(tmpdir(), "dplaned-tables-"));
    try {
      const [usr, etc] = [join(root, "usr"), join(root, "etc")];
      mkdirSync(join(usr, "rt_tables.d"), { recursive: true });
      mkdirSync(etc);
      writeFileSync(join(usr, "rt_tables"), "254 main\n10 blue\n");
      writeFileSync(join(usr, "rt_tables.d", "red.conf"), "20 red\n");
      writeFileSync(join(usr, "rt_tables.d", "README"), "30 green\n");
      writeFileSync(join(etc, "rt_tables"), "11 blue\n");
      const names = readTableNames([usr, etc, join(root, "missing")]);
      assert.deepEqual(Object.fromEntries(names), { main: 254, blue: 11, red: 20 });
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});
