/** The owners of the configuration as the RIB takes them: with the tokens from their files. Main thread. */
import type { Config, ConfigProblem } from "../config/config.ts";
import { TOKEN_LENGTH_MIN } from "../constants.ts";
import type { OwnerSettings } from "../rib/owners.ts";
import { parseToken } from "../token_file.ts";
import { readTrustedFile } from "../trusted_file.ts";

export type NamedSettings = { name: string } & OwnerSettings;

export interface OwnersRead {
  settings: NamedSettings[];
  problems: ConfigProblem[];
  /** What works, and should not be so. */
  warnings: string[];
}

/** Reads the token files. An owner whose file cannot be read is a problem: without its token anyone could write as it. */
export function readOwnerSettings({ path, owners }: Config): OwnersRead {
  const problems: ConfigProblem[] = [];
  const warnings: string[] = [];
  const settings = owners.map(({ tokenFile, ...rest }) => {
    if (tokenFile === null) return { ...rest, token: null };
    const file = readTrustedFile(tokenFile);
    const parsed = file.ok ? parseToken(file.text) : file;
    if (file.ok && file.isExposed) warnings.push(`Others may read the token in ${tokenFile} (chmod o= ${tokenFile})`);
    if (parsed.ok) {
      if (parsed.token.length < TOKEN_LENGTH_MIN) {
        warnings.push(
          `The token in ${tokenFile} is short enough to be guessed (openssl rand -hex 32 makes a better one)`,
        );
      }
      return { ...rest, token: parsed.token };
    }
    const message = `cannot read the token of owner "${rest.name}" in ${tokenFile}: ${parsed.message}`;
    problems.push({ origin: path ?? "configuration", key: "[[owner]] token-file", message });
    return { ...rest, token: null };
  });
  return { settings, problems, warnings };
}
