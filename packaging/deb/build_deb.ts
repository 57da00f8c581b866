/**
 * Makes dist/dplaned_VERSION_ARCH.deb of the compiled binary: what `make install` puts below /usr and /etc, and beside it
 * what Debian wants of a package. Needs make and dpkg-deb. Runs under the bundled bun (`make deb`).
 *
 *   bun packaging/deb/build_deb.ts [ARCH] [--version V] [--output FOLDER] [--compression none|gzip|xz]
 *
 * DEBFULLNAME and DEBEMAIL name its maintainer, as with Debian's own tools.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  globSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { type Component, createBom } from "../../scripts/sbom.ts";
import { type Architecture, binaryPath, parseArchitecture } from "../architectures.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url).href);
const HERE = join(ROOT, "packaging/deb");
const SCRIPTS = ["postinst", "prerm", "postrm"];
const DOCUMENTS = "usr/share/doc/dplaned";

/** The version of the newest entry of the changelog, who wrote it, and when, in seconds since 1970. */
function readChangelog(text: string) {
  const version = /^dplaned \((\S+)\)/.exec(text)?.[1];
  const [, maintainer, date] = /^ -- (.+ <.+>) {2}(.+)$/m.exec(text) ?? [];
  if (version === undefined || date === undefined) throw new Error("packaging/deb/changelog has no entry");
  return { version, maintainer: maintainer!, epoch: Date.parse(date) / 1000 };
}

function run(program: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}): void {
  // A make that was started by make obeys the other's variables.
  const { MAKEFLAGS: _, MFLAGS: __, MAKELEVEL: ___, ...inherited } = process.env;
  const env = { ...inherited, ...environment };
  const { status, error, stdout, stderr } = spawnSync(program, args, { cwd: ROOT, encoding: "utf8", env });
  if (status === 0) return;
  const reason = error?.message ?? `exit status ${status}\n${stdout}${stderr}`.trimEnd();
  throw new Error(`Cannot make the package: ${program} ${args.join(" ")}: ${reason}`);
}

function writeFile(path: string, content: string | Uint8Array, mode = 0o644): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  chmodSync(path, mode);
}

/** Every file below `stage` that the package puts on the system, without the leading slash. */
function packagedFiles(stage: string): string[] {
  return globSync("**", { cwd: stage })
    .filter((path) => !path.startsWith("DEBIAN") && lstatSync(join(stage, path)).isFile())
    .sort();
}

/** The licence of the program and of all that is compiled into it. */
function createCopyright(): string {
  const { components } = createBom(readFileSync(join(ROOT, "package-lock.json"), "utf8"));
  const libraries = components.filter(({ type }) => type === "library");
  const runtime = components.find(({ type }) => type === "platform")!;
  return `dplaned is under the Apache License, version 2.0, which stands in /usr/share/common-licenses/Apache-2.0.
Copyright: the authors of dplaned.

/usr/bin/dplaned is compiled with Bun ${runtime.version} (https://bun.sh), which is in it: Copyright Oven and contributors, under
the MIT licence; it is linked with JavaScriptCore and WebCore of WebKit, under version 2 of the GNU Library General Public
License, which stands in /usr/share/common-licenses/LGPL-2, and with the libraries that https://bun.sh/docs/project/license lists.

These packages of npm are in it too:
${libraries.map(describeLibrary).join("")}`;
}

function describeLibrary({ name, version, licenses }: Component): string {
  const licence = licenses[0]!.expression;
  const [file] = globSync("LICEN[CS]E*", { cwd: join(ROOT, "node_modules", name) });
  const text = file === undefined ? "" : readFileSync(join(ROOT, "node_modules", name, file), "utf8");
  // Debian has the text of the Apache licence in one place; only who holds the rights is each package's own.
  const isCommon = licence === "Apache-2.0";
  const holders = text.match(/^\s*Copyright (?!\[yyyy\]|notice|owner|License)[^\n]*\d{4}.*$/gm) ?? [];
  const body = isCommon ? holders.map((line) => line.trim()).join("\n") : text.trim();
  return `\n${name} ${version}: ${licence}\n${body.replace(/^(?=.)/gm, "  ")}\n`;
}

function installFiles(stage: string, architecture: Architecture): void {
  const where = [`DESTDIR=${stage}`, "PREFIX=/usr", "SYSCONFDIR=/etc", "ZSH_SITE=/usr/share/zsh/vendor-completions"];
  run("make", ["install", `ARCH=${architecture}`, ...where]);
  for (const page of globSync("usr/share/man/man*/*", { cwd: stage })) {
    const path = join(stage, page);
    writeFile(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
    rmSync(path);
  }
  const changelog = readFileSync(join(HERE, "changelog"));
  writeFile(join(stage, DOCUMENTS, "changelog.gz"), gzipSync(changelog, { level: 9 }));
  writeFile(join(stage, DOCUMENTS, "copyright"), createCopyright());
  writeFile(join(stage, "usr/share/lintian/overrides/dplaned"), readFileSync(join(HERE, "lintian-overrides")));
}

/** The folder DEBIAN: what dpkg reads. */
function writeControl(stage: string, values: Readonly<Record<string, string>>): void {
  const files = packagedFiles(stage);
  const sizeKib = files.reduce((sum, path) => sum + Math.ceil(statSync(join(stage, path)).size / 1024), 0);
  const control = readFileSync(join(HERE, "control"), "utf8").replace(
    /@(\w+)@/g,
    (_, name: string) => ({ ...values, SIZE: String(sizeKib) })[name]!,
  );
  writeFile(join(stage, "DEBIAN/control"), control);
  const configured = files.filter((path) => path.startsWith("etc/"));
  writeFile(join(stage, "DEBIAN/conffiles"), configured.map((path) => `/${path}\n`).join(""));
  const sums = files
    .filter((path) => !configured.includes(path))
    .map(
      (path) =>
        `${createHash("md5")
          .update(readFileSync(join(stage, path)))
          .digest("hex")}  ${path}\n`,
    );
  writeFile(join(stage, "DEBIAN/md5sums"), sums.join(""));
  for (const script of SCRIPTS) {
    copyFileSync(join(HERE, script), join(stage, "DEBIAN", script));
    chmodSync(join(stage, "DEBIAN", script), 0o755);
  }
}

function main(args: readonly string[]): number {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      version: { type: "string" },
      output: { type: "string", default: "dist" },
      compression: { type: "string", default: "gzip" },
    },
  });
  const architecture = parseArchitecture(positionals[0] ?? (process.arch === "arm64" ? "arm64" : "amd64"));
  const binary = binaryPath(architecture);
  if (!existsSync(join(ROOT, binary))) throw new Error(`Cannot make the package: there is no ${binary} (make build)`);
  const entry = readChangelog(readFileSync(join(HERE, "changelog"), "utf8"));
  const { DEBFULLNAME: name, DEBEMAIL: email, SOURCE_DATE_EPOCH: epoch } = process.env;
  const version = values.version ?? entry.version;
  const output = resolve(ROOT, values.output);
  mkdirSync(output, { recursive: true });
  process.umask(0o022);
  const stage = mkdtempSync(join(output, "deb-"));
  try {
    chmodSync(stage, 0o755);
    installFiles(stage, architecture);
    const maintainer = name && email ? `${name} <${email}>` : entry.maintainer;
    writeControl(stage, { VERSION: version, ARCHITECTURE: architecture, MAINTAINER: maintainer });
    const file = join(output, `dplaned_${version}_${architecture}.deb`);
    const options = ["--root-owner-group", `-Z${values.compression}`, "--build", stage, file];
    run("dpkg-deb", options, { SOURCE_DATE_EPOCH: epoch ?? String(entry.epoch) });
    console.log(`${join(values.output, `dplaned_${version}_${architecture}.deb`)}: ${megabytes(file)} MB`);
    return 0;
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

function megabytes(path: string): string {
  return (statSync(path).size / 1e6).toFixed(1);
}

try {
  process.exit(main(process.argv.slice(2)));
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
