/**
 * The curl commands of the OpenAPI document, which the page of the API and docs/api.md show: each is run by a shell as it
 * stands, but for the socket's path, against the compiled daemon, and its answer is held to the document.
 */
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { SOCKET_PATH_DEFAULT } from "../../core/constants.ts";
import { curlExamples, EXAMPLE_OPERATIONS } from "../../core/northbound/openapi_examples.ts";
import { DaemonProcess } from "../../scripts/daemon_process.ts";
import { daemonSkipReason, runProgram } from "../support/binary.ts";
import { sendUpdates } from "../support/daemon_routes.ts";
import { addTestLinks } from "../support/kernel_harness.ts";
import { createNetns, type Netns } from "../support/netns.ts";
import { CALLS, checkAnswer } from "../support/openapi_check.ts";

const CURL = "/usr/bin/curl";
const skip = daemonSkipReason() || (existsSync(CURL) ? false : `no ${CURL} (package curl)`);

let ns: Netns;
let daemon: DaemonProcess;
let folder: string;

before(async () => {
  if (skip) return;
  folder = mkdtempSync(join(tmpdir(), "dplaned-examples-"));
  const executable = (name: string, text: string): void => {
    writeFileSync(join(folder, name), text);
    chmodSync(join(folder, name), 0o755);
  };
  const lines = [
    '{"prefix":"203.0.113.0/24","nexthops":[{"via":"10.0.0.2"}]}',
    '{"prefix":"198.51.100.0/24","type":"blackhole"}',
  ];
  // What the commands name.
  writeFileSync(join(folder, "table.ndjson"), lines.map((line) => `${line}\n`).join(""));
  writeFileSync(join(folder, "routes.batch"), "route add 192.0.2.0/24 via 10.0.0.2\nroute del 203.0.113.0/24\n");
  writeFileSync(join(folder, "fabric.token"), "0123456789abcdef0123456789abcdef\n", { mode: 0o600 });
  executable("my-controller", `#!/bin/sh\necho '${lines[0]}'\nsleep 0.2\necho '${lines[1]}'\n`);
  // curl as it is, which tells besides what the answer was; a stream of events is not listened to for ever.
  executable(
    "curl",
    `#!/bin/sh\nexec ${CURL} -sS --max-time 3 -w '%{stderr}\\nHTTP %{http_code} %{content_type}\\n' "$@"\n`,
  );
  ns = createNetns();
  addTestLinks(ns);
  const config = `[[owner]]
name = "fabric"
token-file = "${join(folder, "fabric.token")}"
[[provider]]
kind = "fpm"
name = "export"
address = "127.0.0.1:1"
`;
  daemon = await DaemonProcess.start({ netns: ns.name, config });
  // There is one that fails.
  await sendUpdates(daemon, ["route add 198.18.0.0/24 via 10.9.9.9 dev v0"], { owner: "lab" });
});
after(async () => {
  if (skip) return;
  await daemon.stop();
  ns.delete();
  rmSync(folder, { recursive: true, force: true });
});

describe("curl", () => {
  for (const name of EXAMPLE_OPERATIONS) {
    const call = CALLS.find(({ operation }) => operation.operationId === name)!;
    for (const { label, command } of curlExamples(name)) {
      it(`${call.method} ${call.path}: ${label}`, { skip }, async () => {
        const line = command.replaceAll(SOCKET_PATH_DEFAULT, daemon.socket);
        const environment = { PATH: `${folder}:${process.env["PATH"]}` };
        const { stdout, stderr } = await runProgram("bash", ["-c", line], { cwd: folder, environment });
        const [, status, contentType] = /^HTTP (\d{3}) (.*)$/m.exec(stderr) ?? assert.fail(`no answer: ${stderr}`);
        assert.ok(Number(status) < 300, `${status}: ${stdout}`);
        const path = new URL(/http:\/\/localhost[^\s']*/.exec(command)![0]).pathname;
        const answer = { status: Number(status), contentType: contentType!, body: stdout };
        assert.equal(checkAnswer(call.method, path, answer), "");
        if (call.method !== "DELETE") assert.notEqual(stdout, "");
      });
    }
  }
});
