import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createDoorbellStorage, Doorbell } from "../../../core/ring/doorbell.ts";
import { keepAlive } from "../../support/wait.ts";

describe("doorbell", () => {
  it("does not wait when it rang between looking and waiting", async () => {
    const bell = new Doorbell(createDoorbellStorage());
    const seen = bell.read();
    bell.ring();
    const before = performance.now();
    await keepAlive(bell.wait(seen, 30_000));
    assert.ok(performance.now() - before < 5000);
  });

  it("wakes who waits, on the same thread too", async () => {
    const bell = new Doorbell(createDoorbellStorage());
    const waiting = bell.wait(bell.read(), 30_000);
    bell.ring();
    const before = performance.now();
    await keepAlive(waiting);
    assert.ok(performance.now() - before < 5000);
  });

  it("lets go after the timeout", async () => {
    const bell = new Doorbell(createDoorbellStorage());
    const before = performance.now();
    await keepAlive(bell.wait(bell.read(), 20));
    assert.ok(performance.now() - before >= 15);
  });

  it("waits again after a ring that it has seen", async () => {
    const bell = new Doorbell(createDoorbellStorage());
    bell.ring();
    const before = performance.now();
    await keepAlive(bell.wait(bell.read(), 20));
    assert.ok(performance.now() - before >= 15);
  });
});
