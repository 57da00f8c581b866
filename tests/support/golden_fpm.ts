/** Reads the recorded FPM frames of tests/golden/fpm; capture_fpm.ts beside them makes the files. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("../golden/fpm", import.meta.url).href);

/** Names of all topics, `<module>_<topic>`. */
export function fpmTopics(): string[] {
  return readdirSync(FOLDER)
    .filter((name) => name.endsWith(".hex"))
    .map((name) => name.slice(0, -".hex".length))
    .sort();
}

/** The frames of a topic with their headers, one after the other as they were sent; none if nothing was. */
export function fpmFrames(topic: string): Uint8Array[] {
  const lines = readFileSync(join(FOLDER, `${topic}.hex`), "utf8").split("\n");
  return lines
    .filter((line) => line !== "")
    .map((line) => Uint8Array.from(line.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)));
}

/** What iproute2 makes of the messages of a topic, a line each. */
export function fpmListing(topic: string): string[] {
  const lines = readFileSync(join(FOLDER, `${topic}.list`), "utf8").split("\n");
  return lines.filter((line) => line !== "");
}

/** Frames as the stream of bytes that they were. */
export function fpmStream(frames: readonly Uint8Array[]): Uint8Array {
  const stream = new Uint8Array(frames.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const frame of frames) {
    stream.set(frame, at);
    at += frame.length;
  }
  return stream;
}
