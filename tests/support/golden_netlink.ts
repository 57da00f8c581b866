/** Reads the recorded netlink messages of tests/golden/netlink; capture_netlink.ts beside them makes the files. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { messagePortId, messageSequence } from "../../ffi/netlink/message.ts";

const FOLDER = fileURLToPath(new URL("../golden/netlink", import.meta.url).href);

/** Names of all topics. */
export function goldenTopics(): string[] {
  return readdirSync(FOLDER)
    .filter((name) => name.endsWith(".hex"))
    .map((name) => name.slice(0, -".hex".length))
    .sort();
}

/** The messages of a topic. */
export function goldenMessages(topic: string): DataView[] {
  return readFileSync(join(FOLDER, `${topic}.hex`), "utf8")
    .trim()
    .split("\n")
    .map((line) => viewOfHex(line));
}

/** The message of a topic that has one. */
export function goldenMessage(topic: string): DataView {
  const messages = goldenMessages(topic);
  if (messages.length !== 1) throw new Error(`Cannot take ${topic} for one message: it has ${messages.length}`);
  return messages[0]!;
}

export function viewOfHex(hex: string): DataView {
  const bytes = Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
  return new DataView(bytes.buffer);
}

export function hexOf(view: DataView, length = view.byteLength): string {
  return Array.from(new Uint8Array(view.buffer, view.byteOffset, length), (b) => b.toString(16).padStart(2, "0")).join(
    "",
  );
}

/** Sequence numbers and port ids differ with every recording; tests take them from the bytes. */
export function sessionOf(view: DataView): { sequence: number; portId: number } {
  return { sequence: messageSequence(view, 0), portId: messagePortId(view, 0) };
}

/** What an encoder writes, as hex; "" if it says that the message does not fit. */
export function encodedHex<T>(encode: (view: DataView, offset: number, message: T) => number, message: T): string {
  // A dirty buffer shows bytes that an encoder forgets to write.
  const view = new DataView(new Uint8Array(1 << 17).fill(0xee).buffer);
  const length = encode(view, 0, message);
  return hexOf(view, length);
}

/**
 * Asserts that an encoder wrote the recorded bytes. iproute2 leaves what was on its stack in the padding of some
 * attributes (at most three bytes each, and at most three attributes of a recording); ours must be zero there.
 */
export function assertSameBytes(written: string, golden: DataView): void {
  const recorded = hexOf(golden);
  const differing = [];
  for (let i = 0; i < recorded.length; i += 2) {
    if (recorded.slice(i, i + 2) !== written.slice(i, i + 2)) differing.push(written.slice(i, i + 2));
  }
  const padding = differing.length <= 6 && differing.every((byte) => byte === "00");
  if (!padding || written.length !== recorded.length) assert.equal(written, recorded);
}

/** An address in an array of 16 bytes: "10.0.0.2", or IPv6 with at most one "::". */
export function address(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  if (!text.includes(":")) {
    bytes.set(text.split(".").map(Number));
    return bytes;
  }
  const [head = "", tail = ""] = text.split("::");
  const groups = (part: string) => (part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16)));
  const view = new DataView(bytes.buffer);
  groups(head).forEach((group, i) => {
    view.setUint16(2 * i, group);
  });
  const last = groups(tail);
  last.forEach((group, i) => {
    view.setUint16(16 - 2 * (last.length - i), group);
  });
  return bytes;
}
