/**
 * An attacker's checklist against the compiled daemon: what somebody would try who is on the router but not allowed to change
 * routes, on its network, or the author of a page that is open in a browser there. Each is refused, and after each the
 * daemon works as before. docs/security.md has the threats.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, afterEach, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { DplaneJson, FpmJson, HealthJson } from "../../core/northbound/api_types.ts";
import { readAll } from "../../core/northbound/cli/client.ts";
import { BINARY, DaemonProcess } from "../../scripts/daemon_process.ts";
import { daemonSkipReason, RunningProgram, runBinary, runProgram } from "../support/binary.ts";
import { sendUpdates } from "../support/daemon_routes.ts";
import { FpmClient } from "../support/fpm_client.ts";
import { createNetns, type Netns } from "../support/netns.ts";
import { until } from "../support/wait.ts";

const skip = daemonSkipReason();
const needsSetpriv =
  skip || (spawnSync("setpriv", ["--version"]).status === 0 ? false : "no `setpriv` command (package util-linux)");
const needsBun = needsSetpriv || (process.versions["bun"] === undefined ? "the forger runs on Bun" : false);
const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
const needsBrowser = skip || (CHROMIUM === undefined ? "no Chromium (package chromium)" : false);

const STRANGER = 65_534;
const TOKEN = "0123456789abcdef0123456789abcdef";
const FORGER = fileURLToPath(new URL("../support/netlink_forger_script.ts", import.meta.url).href);

let ns: Netns;
let daemon: DaemonProcess;
let folder: string;
const sockets: Socket[] = [];

before(async () => {
  if (skip) return;
  ns = createNetns();
  folder = mkdtempSync(join(tmpdir(), "dplaned-attacker-"));
  chmodSync(folder, 0o755);
  const tokenFile = join(folder, "bgp.token");
  writeFileSync(tokenFile, TOKEN, { mode: 0o600 });
  const config = [
    `[[owner]]\nname = "bgp"\ntoken-file = "${tokenFile}"`,
    '[fpm]\nlisten = "127.0.0.1:0"\npeers = ["192.0.2.1=frr"]',
  ].join("\n");
  daemon = await DaemonProcess.start({ netns: ns.name, config });
  chmodSync(daemon.directory, 0o755);
  await sendUpdates(daemon, ["route add blackhole 192.0.2.0/24"]);
});

/** Nothing was changed by whatever was tried, and clients are served. */
afterEach(async () => {
  if (skip) return;
  for (const socket of sockets.splice(0)) socket.destroy();
  assert.equal((await daemon.client.getJson<HealthJson>("/healthz")).status, "ok");
  assert.deepEqual(routes(), ["192.0.2.0/24"]);
});

after(async () => {
  await daemon?.stop();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  ns?.delete();
});

function routes(): string[] {
  return ns.ipJson("route", "show", "proto", "210").map(({ dst }: { dst: string }) => dst);
}

const port = (): number => Number(new URL(daemon.dashboard).port);

interface Connection {
  socket: Socket;
  text: () => string;
  isClosed: () => boolean;
}

/** A connection over TCP, on which this is sent first. */
function open(text: string): Connection {
  const socket = connect(port(), "127.0.0.1");
  sockets.push(socket);
  let received = "";
  let isClosed = false;
  socket.on("error", () => {});
  socket.on("data", (piece) => {
    received += String(piece);
  });
  socket.on("close", () => {
    isClosed = true;
  });
  socket.write(text);
  return { socket, text: () => received, isClosed: () => isClosed };
}

/** Sends a request over TCP as it is; resolves with the status of the first answer. */
async function raw(text: string): Promise<{ status: number; answer: Connection }> {
  const answer = open(text);
  await until("it is answered", () => /^HTTP\/1\.1 \d+[\s\S]*\r\n\r\n/.test(answer.text()) || answer.isClosed());
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(answer.text())?.[1] ?? 0), answer };
}

function request(method: string, path: string, headers: readonly string[] = [], body = ""): string {
  const own = headers.some((each) => /^host:/i.test(each)) ? [] : [`host: 127.0.0.1:${port()}`];
  const length = method === "GET" ? [] : [`content-length: ${body.length}`];
  return `${method} ${path} HTTP/1.1\r\n${[...own, ...headers, ...length].join("\r\n")}\r\n\r\n${body}`;
}

const UPDATE = '{"prefix":"198.51.100.0/24","type":"blackhole"}\n';
const bearer = `authorization: Bearer ${TOKEN}`;

async function metric(name: string): Promise<number> {
  const text = await readAll(await daemon.client.request({ path: "/metrics" }));
  return Number(new RegExp(`^${name.replace(/[{}]/g, "\\$&")} (\\d+)$`, "m").exec(text)?.[1]);
}

const refused = (reason: string): Promise<number> => metric(`dplaned_http_refused_total{reason="${reason}"}`);

describe("a web page in a browser on the router", () => {
  const evil = "http://evil.example";

  it("cannot write: not as a form, not by a script, not with the token that it may have learnt", { skip }, async () => {
    for (const headers of [
      [`origin: ${evil}`, "content-type: text/plain", "sec-fetch-site: cross-site", "sec-fetch-mode: no-cors"],
      [`origin: ${evil}`, "content-type: application/x-www-form-urlencoded", "sec-fetch-mode: navigate"],
      ["origin: null", "content-type: text/plain"],
      ["sec-fetch-site: cross-site", "sec-fetch-mode: navigate", "content-type: text/plain"],
    ]) {
      const { status } = await raw(request("POST", "/v1/routes?owner=bgp", [...headers, bearer], UPDATE));
      assert.equal(status, 403, headers.join(", "));
    }
    assert.equal((await raw(request("POST", "/v1/routes", ["content-type: text/plain"], UPDATE))).status, 403);
    assert.ok((await refused("cross_site")) >= 4);
  });

  it("is not allowed to ask what it may do", { skip }, async () => {
    const { status, answer } = await raw(
      request("OPTIONS", "/v1/routes", [`origin: ${evil}`, "access-control-request-method: POST"]),
    );
    assert.equal(status, 403);
    assert.doesNotMatch(answer.text(), /access-control-allow/i);
  });

  it("cannot read, not even as a picture, a script or a stream", { skip }, async () => {
    for (const mode of ["no-cors", "cors"]) {
      const headers = ["sec-fetch-site: cross-site", `sec-fetch-mode: ${mode}`];
      assert.equal((await raw(request("GET", "/v1/events", headers))).status, 403);
    }
    const { answer } = await raw(request("GET", "/healthz"));
    assert.match(answer.text(), /cross-origin-resource-policy: same-origin/i);
    assert.match(answer.text(), /x-content-type-options: nosniff/i);
    assert.match((await raw(request("GET", "/"))).answer.text(), /frame-ancestors 'none'/);
  });

  it("cannot take the daemon's address under its own name (DNS rebinding)", { skip }, async () => {
    for (const host of ["evil.example", `evil.example:${port()}`, "127.0.0.1.evil.example", "localhost.evil.example"]) {
      for (const path of ["/", "/v1/routes", "/metrics"]) {
        assert.equal((await raw(request("GET", path, [`host: ${host}`]))).status, 421, host);
      }
      assert.equal((await raw(request("POST", "/v1/routes?owner=bgp", [`host: ${host}`, bearer], UPDATE))).status, 421);
    }
  });

  it("fails at all of that in a real browser", { skip: needsBrowser }, async () => {
    const reports: Record<string, string>[] = [];
    const target = `http://127.0.0.1:${port()}`;
    const script = `
      const outcome = {};
      const attempt = async (name, work) => { try { outcome[name] = await work(); } catch { outcome[name] = "refused"; } };
      const status = (answer) => answer.type === "opaque" ? "opaque" : String(answer.status);
      const body = ${JSON.stringify(UPDATE)};
      await attempt("read", async () => status(await fetch("${target}/v1/routes")));
      await attempt("write", async () => status(await fetch("${target}/v1/routes", { method: "POST", body })));
      await attempt("blind", async () => status(await fetch("${target}/v1/routes", { method: "POST", body, mode: "no-cors" })));
      await attempt("token", async () => status(await fetch("${target}/v1/routes?owner=bgp",
        { method: "POST", body, headers: { authorization: "Bearer ${TOKEN}" } })));
      await attempt("events", () => new Promise((done) => {
        const events = new EventSource("${target}/v1/events");
        events.onopen = () => done("open");
        events.onerror = () => done("refused");
      }));
      await fetch("/report", { method: "POST", body: JSON.stringify(outcome) });`;
    const page = `<!doctype html><form method="post" action="${target}/v1/routes" target="hidden" enctype="text/plain"></form>
      <iframe name="hidden"></iframe><script type="module">document.forms[0].submit();${script}</script>`;
    const site = createServer((incoming, outgoing) => {
      let text = "";
      incoming.on("data", (piece) => {
        text += String(piece);
      });
      incoming.on("end", () => {
        if (incoming.url === "/report") reports.push(JSON.parse(text));
        outgoing.setHeader("content-type", "text/html");
        outgoing.end(incoming.url === "/" ? page : "");
      });
    });
    await new Promise<void>((resolve) => site.listen(0, "127.0.0.1", () => resolve()));
    const before = await refused("cross_site");
    const profile = mkdtempSync(join(tmpdir(), "dplaned-browser-"));
    const names = "--host-resolver-rules=MAP evil.example 127.0.0.1";
    const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", `--user-data-dir=${profile}`, names];
    const show = (url: string) => runProgram(CHROMIUM!, [...flags, "--virtual-time-budget=10000", "--dump-dom", url]);
    try {
      const { port: sitePort } = site.address() as AddressInfo;
      const visit = new RunningProgram(CHROMIUM!, [...flags, `http://evil.example:${sitePort}/`]);
      try {
        await until("the page has tried everything", () => reports.length > 0, 60_000);
      } finally {
        visit.kill("SIGTERM");
        await visit.ended;
      }
      assert.deepEqual(reports[0], {
        read: "refused",
        write: "refused",
        blind: "opaque",
        token: "refused",
        events: "refused",
      });
      assert.ok((await refused("cross_site")) >= before + 3);
      const rebound = await show(`http://evil.example:${port()}/v1/routes`);
      assert.match(rebound.stdout, /Misdirected request/);
      const own = await show(`http://localhost:${port()}/healthz`);
      assert.match(own.stdout, /"status":"ok"/, "a browser gets answers where it may");
    } finally {
      site.close();
      site.closeAllConnections();
      rmSync(profile, { recursive: true, force: true });
    }
  });
});

describe("somebody on the network", () => {
  it("cannot write without a token, nor guess one", { skip }, async () => {
    for (const path of ["/v1/routes", "/v1/routes?owner=bgp", "/v1/routes?owner=new"]) {
      const { status } = await raw(request("POST", path, [], UPDATE));
      assert.ok(status === 403 || status === 401, path);
    }
    for (const [method, path] of [
      ["PUT", "/v1/nexthop-groups/1"],
      ["DELETE", "/v1/nexthop-groups/1"],
      ["POST", "/v1/audit"],
      ["POST", "/v1/fpm/clients/x/replay"],
      ["DELETE", "/v1/owners/default/routes"],
    ] as const) {
      assert.equal((await raw(request(method, path))).status, 403, path);
    }
    const statuses: number[] = [];
    for (let guess = 0; guess < 30; guess++) {
      const headers = [`authorization: Bearer ${String(guess).repeat(16)}`];
      statuses.push((await raw(request("POST", "/v1/routes?owner=bgp", headers, UPDATE))).status);
    }
    assert.deepEqual(new Set(statuses), new Set([401, 429]));
    assert.ok(statuses.filter((status) => status === 401).length <= 12);
    assert.ok((await refused("credentials")) >= 30);
    await until("it is logged", () => daemon.log.includes('"message":"A wrong token was shown"'));
    assert.ok(!daemon.log.includes(TOKEN));
  });

  it("finds no files behind paths", { skip }, async () => {
    for (const path of [
      "/../../../../etc/passwd",
      "/..%2f..%2f..%2fetc/passwd",
      "/%2e%2e/%2e%2e/etc/passwd",
      "/.%00/etc/passwd",
      "//etc/passwd",
      "/index.html/../../../etc/passwd",
      "/..\\..\\etc\\passwd",
      "/$bunfs/root/dplaned",
      "/file:///etc/passwd",
    ]) {
      const { status, answer } = await raw(request("GET", path));
      assert.ok(status === 404 || status === 400, `${path}: ${status}`);
      assert.doesNotMatch(answer.text(), /root:/);
    }
  });

  it("cannot fill the memory with a body, a line, headers or a path", { skip }, async () => {
    const before = daemon.memoryBytes("VmRSS");
    assert.equal((await raw(request("GET", `/${"a".repeat(9000)}`))).status, 414);
    assert.equal((await raw(request("GET", "/healthz", [`x: ${"a".repeat(1 << 20)}`]))).status, 431);
    assert.equal((await raw(request("GET", "/healthz", Array(20_000).fill("x: 1234")))).status, 431);
    assert.equal((await raw(request("GET", "/healthz", ["content-length: 1000000000"]))).status, 400);
    // Without end: refused at once, and what is sent all the same is thrown away.
    const endless = open(`POST /v1/routes HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n`);
    const megabyte = `100000\r\n${"a".repeat(1 << 20)}\r\n`;
    for (let sent = 0; sent < 200 && !endless.isClosed(); sent++) {
      if (!endless.socket.write(megabyte)) {
        await Promise.race([
          new Promise((resolve) => endless.socket.once("drain", resolve)),
          new Promise((resolve) => endless.socket.once("close", resolve)),
        ]);
      }
    }
    await until("it is broken off", endless.isClosed);
    // One that may write, with a line that does not end.
    const long = open(
      `POST /v1/routes?owner=default HTTP/1.1\r\nhost: localhost\r\n${bearer}\r\ntransfer-encoding: chunked\r\n\r\n`,
    );
    await until("it is refused", () => long.text().includes("403"));
    const response = await daemon.client.request({
      method: "POST",
      path: "/v1/routes",
      body: `{"a":"${"a".repeat(8 << 20)}`,
    });
    assert.match(await readAll(response), /LINE_TOO_LONG/);
    assert.ok(daemon.memoryBytes("VmRSS") - before < 64 << 20, "what was sent is not held");
  });

  it("cannot hold connections by sending slowly, while streams go on", { skip }, async () => {
    const stream = open(request("GET", "/v1/events"));
    await until("the stream is open", () => stream.text().includes("event: health"));
    const slow = open("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-slow: ");
    const silent = open("");
    const timer = setInterval(() => slow.socket.write("a"), 500);
    try {
      await until("both are ended", () => slow.isClosed() && silent.isClosed(), 30_000);
    } finally {
      clearInterval(timer);
    }
    assert.equal(stream.isClosed(), false);
  });

  it("cannot keep others out with a thousand connections", { skip }, async () => {
    const many = Array.from({ length: 1000 }, () => open(request("GET", "/v1/events?types=health")));
    await until("all are answered", () => many.every(({ text, isClosed }) => text() !== "" || isClosed()), 60_000);
    const served = many.filter(({ text }) => text().startsWith("HTTP/1.1 200")).length;
    assert.equal(served, 256, "one address has half of them");
    assert.ok(many.filter(({ text }) => text().startsWith("HTTP/1.1 503")).length >= 700);
    const result = await sendUpdates(daemon, [
      "route add blackhole 198.51.100.0/24",
      "route del blackhole 198.51.100.0/24",
    ]);
    assert.equal(result.summary.fibProgrammed, 2);
  });

  it("cannot hide one request in another", { skip }, async () => {
    const hidden = request("POST", "/v1/routes?owner=bgp", [bearer], UPDATE);
    const cases = [
      `POST /v1/routes HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
      `POST /v1/routes HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\ncontent-length: 9\r\n\r\n`,
      `POST /v1/routes HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n`,
      `POST /v1/routes HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n`,
      `POST /v1/routes HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n`,
      `POST /v1/routes HTTP/1.0\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
      `GET /healthz HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${hidden.length}\r\n\r\n`,
      `GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: a\r\n b\r\n\r\n`,
      `GET /healthz HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n\r\n`,
    ];
    for (const text of cases) {
      const { status, answer } = await raw(text + hidden);
      assert.equal(status, 400, JSON.stringify(text));
      await until("the connection is ended", answer.isClosed);
      assert.equal(answer.text().match(/^HTTP\/1\.1 /gm)!.length, 1, JSON.stringify(text));
    }
  });

  it("cannot send routes over FPM from an address that is not a peer's", { skip }, async () => {
    const { server } = await daemon.client.getJson<FpmJson>("/v1/fpm");
    const client = await FpmClient.connect(Number(server!.listen.split(":").at(-1)));
    client.frame(client.add({ prefix: "198.51.100.0/24", type: 6 }));
    await until("it is broken off", () => client.closed);
    assert.equal((await daemon.client.getJson<FpmJson>("/v1/fpm")).server!.refused, 1);
    assert.match(daemon.log, /A stranger's FPM connection is refused/);
  });
});

describe("another user of the router", () => {
  const asStranger = ["setpriv", `--reuid=${STRANGER}`, `--regid=${STRANGER}`, "--clear-groups", "--bounding-set=-all"];

  it("cannot open the socket", { skip: needsSetpriv }, async () => {
    const [program, ...args] = [...asStranger, BINARY, "route", "install", "blackhole", "198.51.100.0/24"];
    const { status, stderr } = await runProgram(program!, [...args, "--socket", daemon.socket]);
    assert.equal(status, 3);
    assert.match(stderr, /EACCES \(only root and members of the group dplaned may\)/);
  });

  it("cannot put a link or a file in the place of the socket", { skip }, async () => {
    const shared = join(folder, "shared");
    mkdirSync(shared);
    chmodSync(shared, 0o777);
    const precious = join(folder, "precious");
    writeFileSync(precious, "kept");
    symlinkSync(precious, join(shared, "dplaned.sock"));
    lchownSync(join(shared, "dplaned.sock"), STRANGER, STRANGER);
    const other = new DaemonProcess({ netns: ns.name, socket: join(shared, "dplaned.sock") });
    try {
      assert.equal((await other.ended).status, 1);
      assert.match(other.log, /a symbolic link is there/);
    } finally {
      await other.stop();
    }
    assert.equal(existsSync(precious), true);
  });

  it("cannot give the daemon a configuration or a token of his own", { skip }, async () => {
    const his = join(folder, "his.toml");
    writeFileSync(his, "", { mode: 0o644 });
    chownSync(his, STRANGER, STRANGER);
    const link = join(folder, "link.toml");
    symlinkSync(his, link);
    const open = join(folder, "open.toml");
    writeFileSync(open, "");
    chmodSync(open, 0o666);
    const token = join(folder, "token.toml");
    writeFileSync(token, `[[owner]]\nname = "a"\ntoken-file = "${his}"\n`, { mode: 0o640 });
    for (const [path, reason] of [
      [his, /belongs to user 65534/],
      [link, /belongs to user 65534/],
      [open, /others may write to it/],
      [token, /cannot read the token of owner "a" .* belongs to user 65534/],
    ] as const) {
      const { status, stderr } = await runBinary(["run", "--config", path, "--socket", join(folder, "s")]);
      assert.equal(status, 2, stderr);
      assert.match(stderr, reason);
    }
  });

  it("cannot speak to its netlink sockets in the kernel's place", { skip: needsBun }, async () => {
    const events = await daemon.client.request({ path: "/v1/events", query: { types: "kernel" } });
    let heard = "";
    events.on("data", (piece) => {
      heard += String(piece);
    });
    const forge = (...wrapper: string[]) => {
      const args = ["netns", "exec", ns.name, ...wrapper, process.execPath, FORGER];
      return runProgram("ip", args, { cwd: fileURLToPath(new URL("../..", import.meta.url).href) });
    };
    const unprivileged = JSON.parse((await forge(...asStranger)).stdout);
    assert.ok(unprivileged.sockets > 0);
    assert.equal(unprivileged.sent, 0);
    assert.equal(unprivileged.error, "EPERM");
    // Who has CAP_NET_ADMIN can send, but is not the kernel: nothing that he says is believed.
    const running = forge();
    const before = (await daemon.client.getJson<DplaneJson>("/v1/dplane")).results.fibFailed;
    for (let round = 0; round < 20; round++) {
      const add = Array.from({ length: 50 }, (_, index) => `route add blackhole 198.51.${index}.0/24`);
      const remove = add.map((line) => line.replace(" add ", " del "));
      const { summary } = await sendUpdates(daemon, [...add, ...remove]);
      assert.equal(summary.fibFailed, 0);
    }
    const privileged = JSON.parse((await running).stdout);
    assert.ok(privileged.sent > 1000, JSON.stringify(privileged));
    assert.equal((await daemon.client.getJson<DplaneJson>("/v1/dplane")).results.fibFailed, before);
    // A change of the kernel's own is heard; the forged route is not.
    ns.ip("link", "add", "heard0", "type", "veth", "peer", "name", "heard1");
    await until("the kernel is heard", () => heard.includes("heard0"));
    assert.ok(!heard.includes("203.0.113.0"));
    events.destroy();
  });
});
