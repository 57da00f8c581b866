/**
 * Gets the Debian packages that test suites use, where that can be done without asking: as root, with apt. It never
 * fails: what cannot be had is said with the reason, and the tests that need it skip themselves. Runs under the bundled bun.
 */
import { spawnSync } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import process from "node:process";

export interface SystemPackage {
  name: string;
  /** Paths of the executable that tests start; the package is there when one of them is. */
  executables: readonly string[];
}

const POLICY = "/usr/sbin/policy-rc.d";

function apt(args: readonly string[]): { ok: boolean; error: string } {
  const { status, stderr, error } = spawnSync("apt-get", args, {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    stdio: ["ignore", "ignore", "pipe"],
    encoding: "utf8",
    timeout: 600_000,
  });
  return { ok: status === 0, error: error?.message ?? stderr.trim().split("\n").at(-1) ?? "" };
}

/** Runs `work` while no package may start a service: a routing daemon started by its package would own the host's routes. */
function withoutServiceStarts<T>(work: () => T): T {
  if (existsSync(POLICY)) return work();
  writeFileSync(POLICY, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    return work();
  } finally {
    rmSync(POLICY, { force: true });
  }
}

/** Installs those of `packages` that are missing, and prints what it did or why it could not. */
export function installSystemPackages(packages: readonly SystemPackage[]): void {
  const missing = packages.filter(({ executables }) => !executables.some((path) => existsSync(path)));
  if (missing.length === 0) return;
  const names = missing.map((each) => each.name);
  const refuse = (reason: string) =>
    console.log(`system packages: ${names.join(", ")} missing, not installed: ${reason}`);
  if (process.env["DPLANED_NO_APT"]) return refuse("DPLANED_NO_APT is set");
  if (process.getuid?.() !== 0) return refuse("not root");
  if (!existsSync("/usr/bin/apt-get")) return refuse("this system has no apt-get");
  console.log(`system packages: installing ${names.join(", ")}`);
  const update = apt(["update", "-q"]);
  withoutServiceStarts(() => {
    for (const name of names) {
      const { ok, error } = apt(["install", "-y", "-q", "--no-install-recommends", name]);
      if (!ok) console.log(`system packages: ${name} not installed: ${error || update.error || "apt-get failed"}`);
    }
  });
}
