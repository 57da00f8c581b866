import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NOBODY, OWNER_SETTINGS, Owners } from "../../../core/rib/owners.ts";

describe("owners", () => {
  it("numbers owners from 1, each once", () => {
    const owners = new Owners();
    const bgp = owners.intern("bgp")!;
    assert.equal(owners.intern("bgp"), bgp);
    assert.deepEqual([bgp.id, owners.intern("static")!.id], [1, 2]);
    assert.equal(owners.nameOf(bgp.id), "bgp");
    assert.equal(owners.nameOf(NOBODY), "");
    assert.equal(owners.find("ospf"), undefined);
    assert.deepEqual(
      owners.values().map(({ name }) => name),
      ["bgp", "static"],
    );
  });

  it("gives up at the number of owners that a route can tell apart", () => {
    const owners = new Owners();
    for (let number = 1; number <= 4095; number++) assert.ok(owners.intern(`owner-${number}`));
    assert.equal(owners.intern("one too many"), undefined);
    assert.ok(owners.intern("owner-4095"));
  });

  it("takes terms from the configuration, and gives those that it leaves out the defaults", () => {
    const owners = new Owners();
    const settings = { ...OWNER_SETTINGS, distance: 5, prefixLimit: 2, tables: [100] };
    owners.configure([{ name: "bgp", ...settings }]);
    const bgp = owners.find("bgp")!;
    assert.deepEqual([bgp.settings, bgp.isConfigured], [settings, true]);
    assert.deepEqual([bgp.mayWrite(100), bgp.mayWrite(254)], [true, false]);
    bgp.routes = 2;
    assert.equal(bgp.isFull(), true);
    owners.configure([]);
    assert.equal(owners.find("bgp"), bgp);
    assert.deepEqual([bgp.settings, bgp.isConfigured, bgp.isFull()], [OWNER_SETTINGS, false, false]);
  });

  it("attributes a table to the only configured owner that may write to it", () => {
    const owners = new Owners();
    const of = (name: string, tables: number[]) => ({ name, ...OWNER_SETTINGS, tables });
    owners.configure([of("a", [100, 101]), of("b", [101])]);
    assert.equal(owners.attribute(100)?.name, "a");
    assert.equal(owners.attribute(101), undefined, "two may write to it");
    assert.equal(owners.attribute(254), undefined, "nobody is named for it");
    owners.configure([of("a", [100]), of("anywhere", [])]);
    assert.equal(owners.attribute(100), undefined, "another may write anywhere");
  });
});
