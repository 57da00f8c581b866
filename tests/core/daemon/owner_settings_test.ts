import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { formatConfigProblem, loadConfig } from "../../../core/config/config.ts";
import { readOwnerSettings } from "../../../core/daemon/owner_settings.ts";

const directory = mkdtempSync(join(tmpdir(), "dplaned-owners-"));
after(() => rmSync(directory, { recursive: true }));

function readOwners(...tables: string[]): ReturnType<typeof readOwnerSettings> {
  const path = join(directory, "dplaned.toml");
  writeFileSync(path, tables.map((table) => `[[owner]]\n${table}\n`).join(""), { mode: 0o640 });
  const loaded = loadConfig({ path });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return readOwnerSettings(loaded.config);
}

function write(name: string, text: string, mode = 0o640): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

describe("readOwnerSettings", () => {
  it("takes each owner's terms, and its token from the file", () => {
    const token = write("token", "  s3cret-of-16-or-more\n");
    const { settings, problems } = readOwners(
      `name = "bgp"\ndistance = 5\ntoken-file = "${token}"\nprefix-limit = 9\ntables = [100]\ntake-over = true`,
      'name = "static"',
    );
    assert.deepEqual(problems, []);
    assert.deepEqual(settings, [
      {
        name: "bgp",
        distance: 5,
        token: "s3cret-of-16-or-more",
        certificates: [],
        prefixLimit: 9,
        tables: [100],
        takeOver: true,
      },
      { name: "static", distance: 20, token: null, certificates: [], prefixLimit: 0, tables: [], takeOver: false },
    ]);
  });

  it("says of each token that cannot be used whose it is, where, and why", () => {
    const files = {
      none: join(directory, "none"),
      empty: write("empty", " \n"),
      two: write("two", "one\ntwo\n"),
      directory,
    };
    const { problems } = readOwners(
      ...Object.entries(files).map(([name, file]) => `name = "${name}"\ntoken-file = "${file}"`),
    );
    const reasons = ["ENOENT", "the file is empty", "a token is one line of printable ASCII without blanks", "EISDIR"];
    assert.deepEqual(
      problems.map((problem) => formatConfigProblem(problem)),
      Object.entries(files).map(
        ([name, file], index) =>
          `${join(directory, "dplaned.toml")}: [[owner]] token-file: cannot read the token of owner "${name}" in ${file}: ${reasons[index]}`,
      ),
    );
  });

  it("refuses a token that others may change, and warns of one that they may read or guess", () => {
    const [shared, open, short] = [
      write("shared", "0123456789abcdef", 0o620),
      write("open", "0123456789abcdef", 0o644),
      write("short", "0123456789abcde"),
    ];
    const { problems, warnings, settings } = readOwners(
      ...[shared, open, short].map((file, index) => `name = "o${index}"\ntoken-file = "${file}"`),
    );
    assert.match(problems.map(formatConfigProblem).join("\n"), /^[^\n]* of owner "o0" in .*: others may write to it/);
    assert.equal(warnings.length, 2);
    assert.match(warnings[0]!, /^Others may read the token in .*open \(chmod o= /);
    assert.match(warnings[1]!, /^The token in .*short is short enough to be guessed/);
    assert.deepEqual(
      settings.map(({ token }) => token),
      [null, "0123456789abcdef", "0123456789abcde"],
    );
  });
});
