/**
 * A program: listens for FPM connections in the namespace it is started in, and tells on its standard output what comes,
 * a line of JSON an event (`ListenerEvent` of fpm_recorder.ts, which starts it). It never answers. A line on its standard
 * input has it close the connections that there are.
 *
 *     fpm_listener.ts ADDRESS PORT
 */
import { createServer, type Socket } from "node:net";
import process from "node:process";
import type { ListenerEvent } from "./fpm_recorder.ts";

function tell(event: ListenerEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

let connections = 0;
const open = new Set<Socket>();
const [address = "127.0.0.1", port = "0"] = process.argv.slice(2);
const server = createServer((socket) => {
  const id = connections++;
  open.add(socket);
  tell({ event: "open", id });
  socket.on("data", (bytes) => tell({ event: "data", id, base64: bytes.toString("base64") }));
  socket.on("error", () => undefined);
  socket.on("close", () => {
    open.delete(socket);
    tell({ event: "close", id });
  });
});
server.on("error", (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
server.listen(Number(port), address, () => {
  const bound = server.address();
  tell({ event: "listening", port: typeof bound === "object" && bound !== null ? bound.port : 0 });
});
process.stdin.on("data", () => {
  for (const socket of open) socket.destroy();
});
