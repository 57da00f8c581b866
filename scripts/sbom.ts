/**
 * Writes the bill of materials of the compiled binary, dist/dplaned.cdx.json: what package-lock.json says is in it, and the
 * runtime that it is compiled with, as CycloneDX 1.6. The same lock file gives the same bytes. Runs under the bundled bun
 * (`make sbom`).
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url).href);
const OUTPUT = join(ROOT, "dist/dplaned.cdx.json");

/** Packages that are not dependencies at run time, and of which something is in the binary all the same. */
const COMPILED_IN: readonly string[] = ["bun"];

interface LockedPackage {
  version: string;
  integrity?: string;
  license?: string;
  dev?: boolean;
  dependencies?: Readonly<Record<string, string>>;
}

interface Lock {
  packages: Readonly<Record<string, LockedPackage>>;
}

export interface Component {
  type: "library" | "platform" | "application";
  "bom-ref": string;
  name: string;
  version: string;
  purl: string;
  licenses: readonly { expression: string }[];
  hashes?: readonly { alg: string; content: string }[];
}

export interface Bom {
  bomFormat: "CycloneDX";
  specVersion: "1.6";
  version: 1;
  metadata: { component: Component };
  components: readonly Component[];
  dependencies: readonly { ref: string; dependsOn: readonly string[] }[];
}

/** `pkg:npm/%40hono/node-server@1.2.3` */
function purl(name: string, version: string): string {
  return `pkg:npm/${name.replace("@", "%40")}@${version}`;
}

/** A subresource integrity as CycloneDX writes hashes. */
function hashes(integrity: string): NonNullable<Component["hashes"]> {
  return integrity.split(" ").map((each) => {
    const [algorithm, digest] = [each.slice(0, each.indexOf("-")), each.slice(each.indexOf("-") + 1)];
    return {
      alg: algorithm.toUpperCase().replace("SHA", "SHA-"),
      content: Buffer.from(digest, "base64").toString("hex"),
    };
  });
}

function component(name: string, { version, integrity, license = "NOASSERTION" }: LockedPackage): Component {
  const reference = purl(name, version);
  return {
    type: COMPILED_IN.includes(name) ? "platform" : "library",
    "bom-ref": reference,
    name,
    version,
    purl: reference,
    licenses: [{ expression: license }],
    ...(integrity === undefined ? {} : { hashes: hashes(integrity) }),
  };
}

/** What is in the binary, by the lock file's text. */
export function createBom(lockText: string): Bom {
  const { packages } = JSON.parse(lockText) as Lock;
  const root = packages[""]! as LockedPackage & { name?: string };
  const shipped = Object.entries(packages)
    .map(([path, each]) => ({ name: path.replace(/^.*node_modules\//, ""), each }))
    .filter(({ name, each }) => name !== "" && (each.dev !== true || COMPILED_IN.includes(name)))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const own: Component = { ...component("dplaned", root), type: "application" };
  const known = new Map(shipped.map(({ name, each }) => [name, purl(name, each.version)]));
  const direct = [...Object.keys(root.dependencies ?? {}), ...COMPILED_IN];
  const dependsOn = (names: readonly string[]) => names.flatMap((name) => known.get(name) ?? []).sort();
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: { component: own },
    components: shipped.map(({ name, each }) => component(name, each)),
    dependencies: [
      { ref: own["bom-ref"], dependsOn: dependsOn(direct) },
      ...shipped.map(({ name, each }) => ({
        ref: purl(name, each.version),
        // Of the runtime the packages for each system, which are what it is made of and not what it uses.
        dependsOn: COMPILED_IN.includes(name) ? [] : dependsOn(Object.keys(each.dependencies ?? {})),
      })),
    ],
  };
}

if (import.meta.main) {
  const bom = createBom(readFileSync(join(ROOT, "package-lock.json"), "utf8"));
  mkdirSync(join(ROOT, "dist"), { recursive: true });
  writeFileSync(OUTPUT, `${JSON.stringify(bom, null, 2)}\n`);
  process.stdout.write(`dist/dplaned.cdx.json: ${bom.components.length} components\n`);
}
