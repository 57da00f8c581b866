/** Certificates for tests, made by openssl when they are needed: no key lies in the project, and none runs out. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Why certificates cannot be made here, for the `skip` option of `it`. */
export function certificatesSkipReason(): string | false {
  return spawnSync("openssl", ["version"]).status === 0 ? false : "no `openssl` command (package openssl)";
}

export interface Certificate {
  /** Paths of the files. */
  certificateFile: string;
  keyFile: string;
  /** PEM. */
  certificate: string;
  key: string;
}

/** An authority, and what it has signed, in a directory of its own. */
export class CertificateAuthority {
  readonly directory = mkdtempSync(join(tmpdir(), "dplaned-ca-"));
  readonly root: Certificate;

  constructor(name = "test authority") {
    const files = this.#files("ca");
    this.#openssl(
      ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
      ["-keyout", files.keyFile, "-out", files.certificateFile, "-subj", `/CN=${name}`],
    );
    this.root = read(files);
  }

  /** `subject` as `/CN=frr`, `names` as `DNS:a`, `URI:b`. */
  issue(name: string, subject: string, names: readonly string[] = []): Certificate {
    const files = this.#files(name);
    const request = join(this.directory, `${name}.csr`);
    const extensions = join(this.directory, `${name}.ext`);
    this.#openssl(
      ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-utf8"],
      ["-keyout", files.keyFile, "-out", request, "-subj", subject],
    );
    // A line each: in a list a comma would end a name.
    const lines = names.map((each, index) => each.replace(":", `.${index} = `));
    writeFileSync(extensions, names.length === 0 ? "" : `subjectAltName=@names\n[names]\n${lines.join("\n")}\n`);
    const { certificateFile, keyFile } = this.root;
    this.#openssl(
      ["x509", "-req", "-in", request, "-CA", certificateFile, "-CAkey", keyFile, "-CAcreateserial", "-days", "2"],
      ["-out", files.certificateFile, "-extfile", extensions],
    );
    return read(files);
  }

  delete(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  #files(name: string) {
    return { certificateFile: join(this.directory, `${name}.pem`), keyFile: join(this.directory, `${name}.key`) };
  }

  #openssl(...args: string[][]): void {
    execFileSync("openssl", args.flat(), { stdio: ["ignore", "ignore", "pipe"] });
  }
}

function read(files: { certificateFile: string; keyFile: string }): Certificate {
  return {
    ...files,
    certificate: readFileSync(files.certificateFile, "utf8"),
    key: readFileSync(files.keyFile, "utf8"),
  };
}

/** The bytes in a PEM text. */
export function pemBytes(pem: string): Uint8Array {
  return Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ""), "base64");
}
