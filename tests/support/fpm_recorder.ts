/** A FPM server that only keeps what it is sent: fpm_listener.ts as a child in a namespace, and what it tells. */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { FPM_HEADER_LENGTH, FrameReader } from "../../ffi/fpm/frame.ts";
import type { Netns } from "./netns.ts";
import { until } from "./wait.ts";

const PROGRAM = fileURLToPath(new URL("fpm_listener.ts", import.meta.url).href);

export type ListenerEvent =
  | { event: "listening"; port: number }
  | { event: "open"; id: number }
  | { event: "data"; id: number; base64: string }
  | { event: "close"; id: number };

/** One connection of a sender, from its beginning. */
export class RecordedConnection {
  /** Whole frames with their headers, in copies of their own. */
  readonly frames: Uint8Array[] = [];
  isOpen = true;
  readonly #reader = new FrameReader();

  push(bytes: Uint8Array): void {
    this.#reader.push(bytes);
    while (this.#reader.next()) {
      const { view, start, end } = this.#reader;
      const from = view.byteOffset + start - FPM_HEADER_LENGTH;
      this.frames.push(new Uint8Array(view.buffer.slice(from, view.byteOffset + end) as ArrayBuffer));
    }
  }

  /** Bytes of a frame that has not come as a whole. */
  get rest(): number {
    return this.#reader.buffered;
  }
}

export class FpmRecorder {
  port = 0;
  readonly connections: RecordedConnection[] = [];
  readonly #child: ChildProcess;
  #errors = "";
  #hasEnded = false;

  constructor(ns: Netns, address: string, port: number) {
    const args = ["netns", "exec", ns.name, process.execPath, PROGRAM, address, String(port)];
    this.#child = spawn("ip", args, { stdio: ["pipe", "pipe", "pipe"] });
    createInterface({ input: this.#child.stdout! }).on("line", (line) => this.#take(JSON.parse(line)));
    this.#child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.#errors += text;
    });
    this.#child.once("close", () => {
      this.#hasEnded = true;
    });
  }

  static async start(ns: Netns, address: string, port = 0): Promise<FpmRecorder> {
    const recorder = new FpmRecorder(ns, address, port);
    await until("the FPM recorder listens", () => {
      if (recorder.#hasEnded) throw new Error(`The FPM recorder did not come up: ${recorder.#errors}`);
      return recorder.port !== 0;
    });
    return recorder;
  }

  /** The newest connection; undefined before the first. */
  get last(): RecordedConnection | undefined {
    return this.connections.at(-1);
  }

  /** Closes the connections that there are; senders come again. */
  dropConnections(): void {
    this.#child.stdin!.write("drop\n");
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGKILL");
    await until("the FPM recorder has ended", () => this.#hasEnded);
  }

  #take(event: ListenerEvent): void {
    if (event.event === "listening") this.port = event.port;
    else if (event.event === "open") this.connections.push(new RecordedConnection());
    else if (event.event === "close") this.connections[event.id]!.isOpen = false;
    else this.connections[event.id]!.push(Buffer.from(event.base64, "base64"));
  }
}
