import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { certificateNames } from "../../../core/northbound/certificate_names.ts";
import { CertificateAuthority, certificatesSkipReason, pemBytes } from "../../support/certificates.ts";

const skip = certificatesSkipReason();

describe("certificateNames", () => {
  let authority: CertificateAuthority;
  before(() => {
    if (!skip) authority = new CertificateAuthority();
  });
  after(() => authority?.delete());

  const issue = (subject: string, names?: readonly string[]): Uint8Array =>
    pemBytes(authority.issue("x", subject, names).certificate);

  it("gives the common name and the alternative names as the configuration spells them", { skip }, () => {
    const der = issue("/O=Net/CN=frr-1", [
      "URI:spiffe://lab/frr",
      "DNS:frr.lab",
      "email:a@b.example",
      "IP:10.0.0.9",
      "IP:2001:db8::1",
    ]);
    assert.deepEqual(certificateNames(der), [
      "CN=frr-1",
      "URI:spiffe://lab/frr",
      "DNS:frr.lab",
      "EMAIL:a@b.example",
      "IP:10.0.0.9",
      "IP:2001:db8::1",
    ]);
    assert.deepEqual(certificateNames(issue("/CN=only")), ["CN=only"]);
    assert.deepEqual(certificateNames(pemBytes(authority.root.certificate)), ["CN=test authority"]);
  });

  it("takes a name for one name, whatever it holds", { skip }, () => {
    // As text, "DNS:a, URI:spiffe://lab/frr" would look like two names.
    const der = issue("/CN=a, CN=b", ["DNS:a, URI:spiffe://lab/frr"]);
    assert.deepEqual(certificateNames(der), ["CN=a, CN=b", "DNS:a, URI:spiffe://lab/frr"]);
  });

  it("knows no common name where there are several, or one that is not ASCII", { skip }, () => {
    assert.deepEqual(certificateNames(issue("/CN=a/CN=b", ["DNS:c"])), ["DNS:c"]);
    assert.deepEqual(certificateNames(issue("/CN=Müller", ["DNS:c"])), ["DNS:c"]);
  });

  it("takes any bytes, cut off and changed ones too", { skip }, () => {
    const der = issue("/CN=frr-1", ["DNS:frr.lab"]);
    for (let length = 0; length < der.length; length++) {
      assert.deepEqual(certificateNames(der.subarray(0, length)), []);
    }
    const change = fc.array(fc.tuple(fc.nat(der.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(change, (changes) => {
        const changed = der.slice();
        for (const [at, byte] of changes) changed[at] = byte;
        for (const name of certificateNames(changed)) assert.match(name, /^(?:CN=|DNS:|URI:|EMAIL:|IP:)[ -~]+$/);
      }),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        certificateNames(bytes);
      }),
      { numRuns: 2000 },
    );
  });
});
