import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LinkTable } from "../../../core/model/link_table.ts";
import { createLink } from "../../support/links.ts";

describe("LinkTable", () => {
  it("finds interfaces by name, alternative name and iproute2's if<number>", () => {
    const links = new LinkTable();
    links.replaceAll([createLink({}), createLink({ ifindex: 7, name: "v0", altNames: ["uplink"] })]);
    assert.equal(links.indexOf("v0"), 7);
    assert.equal(links.indexOf("uplink"), 7);
    assert.equal(links.indexOf("if7"), 7);
    assert.equal(links.indexOf("if8"), 0, "no interface has the number");
    assert.equal(links.indexOf("if07"), 0);
    assert.equal(links.indexOf("v1"), 0);
    assert.equal(links.nameOf(7), "v0");
    assert.equal(links.nameOf(8), "");
  });

  it("prefers an interface that really has such a name", () => {
    const links = new LinkTable();
    links.replaceAll([createLink({ ifindex: 7, name: "v0" }), createLink({ ifindex: 9, name: "if7" })]);
    assert.equal(links.indexOf("if7"), 9);
  });

  it("forgets the old name of a renamed interface, also when another has taken it", () => {
    const links = new LinkTable();
    links.set(createLink({ ifindex: 1, name: "a" }));
    links.set(createLink({ ifindex: 2, name: "b" }));
    links.set(createLink({ ifindex: 1, name: "c" }));
    assert.equal(links.indexOf("a"), 0);
    links.set(createLink({ ifindex: 2, name: "a" }));
    links.delete(1);
    assert.equal(links.indexOf("a"), 2, "the name went to another interface before its first owner was deleted");
    assert.equal(links.size, 1);
  });

  it("knows VRFs by name and by table", () => {
    const links = new LinkTable();
    links.replaceAll([createLink({}), createLink({ ifindex: 5, name: "blue", kind: "vrf", vrfTable: 100 })]);
    assert.equal(links.vrfTable("blue"), 100);
    assert.equal(links.vrfTable("lo"), 0);
    assert.equal(links.vrfName(100), "blue");
    assert.equal(links.vrfName(0), "");
  });
});
