import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { formatConfigProblem, loadConfig } from "../../../core/config/config.ts";
import { readTlsSettings } from "../../../core/daemon/tls_settings.ts";
import { type Certificate, CertificateAuthority, certificatesSkipReason } from "../../support/certificates.ts";

const skip = certificatesSkipReason();

let authority: CertificateAuthority;
let own: Certificate;
let other: Certificate;
before(() => {
  if (skip) return;
  authority = new CertificateAuthority();
  own = authority.issue("own", "/CN=own");
  other = authority.issue("other", "/CN=other");
});
after(() => authority?.delete());

function read(certificate: string, key: string, clientCa = ""): ReturnType<typeof readTlsSettings> {
  const path = join(authority.directory, "dplaned.toml");
  const lines = [`tls-certificate = "${certificate}"`, `tls-key = "${key}"`, `tls-client-ca = "${clientCa}"`];
  writeFileSync(path, `[daemon]\n${lines.join("\n")}\n`, { mode: 0o640 });
  const loaded = loadConfig({ path });
  assert.ok(loaded.ok);
  return readTlsSettings(loaded.config);
}

function problemsOf(...files: Parameters<typeof read>): string {
  const { problems } = read(...files);
  return problems.map((problem) => formatConfigProblem(problem).replaceAll(`${authority.directory}/`, "")).join("\n");
}

describe("readTlsSettings", () => {
  it("reads the files that the configuration names", { skip }, () => {
    const { root } = authority;
    assert.deepEqual(read(own.certificateFile, own.keyFile, root.certificateFile), {
      settings: { certificate: own.certificate, key: own.key, clientCa: root.certificate },
      problems: [],
    });
    assert.equal(read(own.certificateFile, own.keyFile).settings?.clientCa, null);
  });

  it("says of each file what is wrong with it, and nothing of what stands in it", { skip }, () => {
    const { certificateFile, keyFile } = own;
    assert.equal(
      problemsOf("/none", keyFile, "/none"),
      "dplaned.toml: [daemon] tls-certificate: cannot read /none: ENOENT\n" +
        "dplaned.toml: [daemon] tls-client-ca: cannot read /none: ENOENT",
    );
    chmodSync(keyFile, 0o644);
    assert.match(
      problemsOf(certificateFile, keyFile),
      /tls-key: cannot read own.key: others may read it, and it is a secret/,
    );
    chmodSync(keyFile, 0o600);
    assert.match(problemsOf(certificateFile, keyFile, keyFile), /tls-client-ca: own.key has no certificate in PEM/);
    for (const [certificate, key] of [
      [certificateFile, other.keyFile],
      [keyFile, keyFile],
      [certificateFile, authority.root.keyFile],
    ] as const) {
      const problem = problemsOf(certificate, key);
      assert.match(problem, /are not a certificate and its key/, `${certificate} ${key}`);
      assert.ok(!problem.includes(own.key.split("\n")[1]!));
    }
  });
});
