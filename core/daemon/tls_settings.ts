/** The certificate, key and authorities of the TCP listener, from the files that the configuration names. Main thread. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Config, ConfigProblem } from "../config/config.ts";
import type { TlsSettings } from "../northbound/server.ts";
import { readTrustedFile } from "../trusted_file.ts";

/** Null where the configuration asks for none. Files that cannot be read, or do not belong together, are problems. */
export function readTlsSettings({ path, daemon }: Config): { settings: TlsSettings | null; problems: ConfigProblem[] } {
  const problems: ConfigProblem[] = [];
  if (daemon.tls === null) return { settings: null, problems };
  const fail = (key: string, message: string): void => {
    problems.push({ origin: path ?? "configuration", key: `[daemon] ${key}`, message });
  };
  const read = (key: string, file: string, isSecret = false): string => {
    const content = readTrustedFile(file, { isSecret });
    if (content.ok) return content.text;
    fail(key, `cannot read ${file}: ${content.message}`);
    return "";
  };
  const { certificateFile, keyFile, clientCaFile } = daemon.tls;
  const settings = {
    certificate: read("tls-certificate", certificateFile),
    key: read("tls-key", keyFile, true),
    clientCa: clientCaFile === null ? null : read("tls-client-ca", clientCaFile),
  };
  if (problems.length > 0) return { settings, problems };
  if (settings.clientCa !== null && !settings.clientCa.includes("-----BEGIN CERTIFICATE-----")) {
    fail("tls-client-ca", `${clientCaFile} has no certificate in PEM`);
  }
  if (!belongTogether(settings)) {
    fail("tls-certificate", `${certificateFile} and ${keyFile} are not a certificate and its key, both in PEM`);
  }
  return { settings, problems };
}

function belongTogether({ certificate, key }: TlsSettings): boolean {
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
  } catch {
    // What the library says about a key that it cannot read is nobody's business.
    return false;
  }
}
