/** HTTPS with client certificates, from the handshake to the owner that may write. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { connect } from "node:tls";
import { NorthboundCounters } from "../../../core/northbound/counters.ts";
import { type NorthboundServer, startServer, type TlsSettings } from "../../../core/northbound/server.ts";
import { OWNER_SETTINGS } from "../../../core/rib/owners.ts";
import { createHarness, type Harness, installLine } from "../../support/api_harness.ts";
import { type Certificate, CertificateAuthority, certificatesSkipReason } from "../../support/certificates.ts";
import { createQuietLog } from "../../support/quiet_log.ts";
import { until } from "../../support/wait.ts";

const skip = certificatesSkipReason();

let authority: CertificateAuthority;
let stranger: CertificateAuthority;
let own: Certificate;
let second: Certificate;
let frr: Certificate;
let evil: Certificate;
before(() => {
  if (skip) return;
  authority = new CertificateAuthority();
  stranger = new CertificateAuthority("somebody else");
  own = authority.issue("server", "/CN=localhost", ["DNS:localhost", "IP:127.0.0.1"]);
  second = authority.issue("second", "/CN=second", ["DNS:localhost", "IP:127.0.0.1"]);
  frr = authority.issue("frr", "/CN=frr-1", ["URI:spiffe://lab/frr"]);
  evil = stranger.issue("evil", "/CN=frr-1", ["URI:spiffe://lab/frr"]);
});
after(() => {
  authority?.delete();
  stranger?.delete();
});

let directory: string;
let harness: Harness;
let counters: NorthboundCounters;
let server: NorthboundServer | undefined;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "dplaned-test-"));
  counters = new NorthboundCounters();
  harness = await createHarness({ queueLimit: 1024, parts: { counters } });
  harness.rib.owners.configure([
    { name: "frr", ...OWNER_SETTINGS, certificates: ["URI:spiffe://lab/frr"] },
    { name: "other", ...OWNER_SETTINGS, certificates: ["CN=other"] },
    { name: "token", ...OWNER_SETTINGS, token: "token" },
  ]);
});
afterEach(async () => {
  harness.shutdown.abort();
  await server?.close(0);
  server = undefined;
  await harness.close();
  rmSync(directory, { recursive: true, force: true });
});

const settings = (certificate: Certificate, clientCa: string | null): TlsSettings => ({ ...certificate, clientCa });

async function start(tls: TlsSettings): Promise<void> {
  server = await startServer({
    fetch: (incoming, environment) => harness.app.fetch(incoming, environment),
    socketPath: join(directory, "dplaned.sock"),
    http: { host: "127.0.0.1", port: 0 },
    tls,
    log: createQuietLog(),
    counters,
    environment: {},
  });
}

interface Call {
  client?: Certificate;
  method?: string;
  path?: string;
  body?: string;
  headers?: Record<string, string>;
}

/** Status and text; throws where there is no answer. */
function call({ client, method = "GET", path = "/healthz", body = "", headers = {} }: Call): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const options = {
      host: "127.0.0.1",
      port: server!.http!.port,
      method,
      path,
      headers,
      ca: authority.root.certificate,
      agent: false as const,
      ...(client === undefined ? {} : { cert: client.certificate, key: client.key }),
    };
    const outgoing = request(options, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (piece: string) => {
        text += piece;
      });
      response.on("end", () => resolve([response.statusCode!, text]));
      response.on("error", reject);
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

const write = (owner: string, rest: Call = {}): Promise<[number, string]> =>
  call({ method: "POST", path: `/v1/routes?owner=${owner}`, body: installLine(1), ...rest });

describe("HTTPS", () => {
  it("serves reads, and writes with a token, where no certificates are asked for", { skip }, async () => {
    await start(settings(own, null));
    assert.equal((await call({}))[0], 200);
    assert.equal((await write("frr"))[0], 403);
    assert.equal((await write("token"))[0], 401);
    assert.equal((await write("token", { headers: { authorization: "Bearer token" } }))[0], 200);
    // Shown, but not asked for, and so not verified by anybody.
    assert.equal((await write("frr", { client: evil }))[0], 403);
  });

  it("lets nobody in without a certificate of the authority, where one is asked for", { skip }, async () => {
    await start(settings(own, authority.root.certificate));
    assert.equal((await call({ client: frr }))[0], 200);
    await assert.rejects(call({}));
    await assert.rejects(call({ client: evil }));
    await assert.rejects(write("token", { headers: { authorization: "Bearer token" } }));
    await until("it is counted", () => counters.refused.tls >= 3);
    assert.equal(harness.dataplane.snapshot().routeUpdates, 0);
  });

  it("lets a certificate write as the owners that name it, and as no others", { skip }, async () => {
    await start(settings(own, authority.root.certificate));
    const [status, text] = await write("frr", { client: frr });
    assert.equal(status, 200);
    assert.match(text, /"fibProgrammed":1/);
    assert.equal((await write("other", { client: frr }))[0], 403);
    assert.equal((await write("token", { client: frr }))[0], 401);
    assert.equal((await write("unknown", { client: frr }))[0], 403);
    const group = { method: "PUT", path: "/v1/nexthop-groups/1", body: '{"members":[]}', client: frr };
    assert.equal((await call(group))[0], 403);
  });

  it("speaks TLS 1.3 only, and no plain HTTP", { skip }, async () => {
    await start(settings(own, null));
    const { port } = server!.http!;
    const versionOf = (maxVersion: "TLSv1.2" | "TLSv1.3"): Promise<string> =>
      new Promise((resolve) => {
        const minVersion = "TLSv1.2";
        const socket = connect({ host: "127.0.0.1", port, ca: authority.root.certificate, minVersion, maxVersion });
        socket.on("secureConnect", () => {
          resolve(socket.getProtocol() ?? "");
          socket.destroy();
        });
        socket.on("error", () => resolve("refused"));
      });
    assert.equal(await versionOf("TLSv1.3"), "TLSv1.3");
    assert.equal(await versionOf("TLSv1.2"), "refused");
    await assert.rejects(
      new Promise((resolve, reject) => {
        httpRequest({ host: "127.0.0.1", port, path: "/healthz", agent: false }, resolve).on("error", reject).end();
      }),
    );
  });

  it("takes new certificates over for connections to come", { skip }, async () => {
    await start(settings(own, null));
    const shown = (): Promise<string> =>
      new Promise((resolve, reject) => {
        const { port } = server!.http!;
        const socket = connect({ host: "127.0.0.1", port, ca: authority.root.certificate }, () => {
          resolve(String(socket.getPeerCertificate().subject.CN));
          socket.destroy();
        });
        socket.on("error", reject);
      });
    assert.equal(await shown(), "localhost");
    server!.setTls(settings(second, null));
    assert.equal(await shown(), "second");
  });

  it("asks for certificates of the authorities in force, also after they have changed", { skip }, async () => {
    await start(settings(own, authority.root.certificate));
    assert.equal((await call({ client: frr }))[0], 200);
    server!.setTls(settings(own, stranger.root.certificate));
    await assert.rejects(call({}));
    await assert.rejects(call({ client: frr }));
    assert.equal((await write("frr", { client: evil }))[0], 200);
  });

  it("ends connections that bring no request", { skip }, async () => {
    server = await startServer({
      fetch: (incoming, environment) => harness.app.fetch(incoming, environment),
      socketPath: join(directory, "dplaned.sock"),
      http: { host: "127.0.0.1", port: 0 },
      tls: settings(own, null),
      log: createQuietLog(),
      counters,
      environment: {},
      timeouts: { headersMs: 200, stallMs: 60_000 },
    });
    const { port } = server.http!;
    const socket = connect({ host: "127.0.0.1", port, ca: authority.root.certificate });
    let isClosed = false;
    socket.on("error", () => {});
    socket.on("close", () => {
      isClosed = true;
    });
    await until("it is ended", () => isClosed);
    assert.equal(counters.refused.timeout, 1);
  });
});
