/** The owners of the configuration as the RIB takes them: with the tokens from their files. Main thread. */
import type { Config, ConfigProblem } from "../config/config.ts";
import type { OwnerSettings } from "../rib/owners.ts";
import { parseToken } from "../token_file.ts";
import { readTrustedFile } from "../trusted_file.ts";

export type NamedSettings = { name: string } & OwnerSettings;

/** Reads the token files. An owner whose file cannot be read is a problem: without its token anyone could write as it. */
export function readOwnerSettings({ path, owners }: Config): { settings: NamedSettings[]; problems: ConfigProblem[] } {
  const problems: ConfigProblem[] = [];
  const settings = owners.map(({ tokenFile, ...rest }) => {
    if (tokenFile === null) return { ...rest, token: null };
    const file = readTrustedFile(tokenFile, { isSecret: true });
    const parsed = file.ok ? parseToken(file.text) : file;
    if (parsed.ok) return { ...rest, token: parsed.token };
    const message = `cannot read the token of owner "${rest.name}" in ${tokenFile}: ${parsed.message}`;
    problems.push({ origin: path ?? "configuration", key: "[[owner]] token-file", message });
    return { ...rest, token: null };
  });
  return { settings, problems };
}
