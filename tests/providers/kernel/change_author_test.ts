import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ChangeAuthors } from "../../../providers/kernel/change_author.ts";

describe("ChangeAuthors", () => {
  it("names the kernel, a process by its number, and a port that no process has", () => {
    const authors = new ChangeAuthors((pid) => {
      if (pid === 4711) return "ip\n";
      throw new Error("ENOENT");
    });
    assert.deepEqual(
      [0, 4711, 4712].map((port) => authors.name(port)),
      ["the kernel", "ip[4711]", "netlink port 4712"],
    );
  });

  it("asks once for many changes, and forgets when there are too many names", () => {
    let asked = 0;
    const authors = new ChangeAuthors(() => {
      asked += 1;
      return "bird";
    });
    for (let change = 0; change < 100; change++) authors.name(7);
    assert.equal(asked, 1);
    for (let port = 1000; port < 1300; port++) authors.name(port);
    authors.name(7);
    assert.equal(asked, 302);
  });
});
