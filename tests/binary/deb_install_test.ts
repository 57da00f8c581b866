/**
 * The life of the Debian package on a system: installed, upgraded, removed and purged, with a daemon that programs a
 * kernel all the while. A script plays systemd: it starts and stops what the unit names, when the package asks for it.
 */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { VERSION } from "../../core/constants.ts";
import { buildDeb, debSkipReason } from "../support/deb.ts";
import { createNetns, type Netns, skipReason } from "../support/netns.ts";
import { OverlayRoot, overlaySkipReason } from "../support/overlay_root.ts";
import { RouteMonitor } from "../support/route_monitor.ts";

const ROUTES = 1000;
const CONFIG = "/etc/dplaned/dplaned.toml";
const NEXT_VERSION = `${VERSION}+next`;

/** deb-systemd-invoke ACTION dplaned.service, which notes in /run/asked what it was asked for. */
const SYSTEMD = `#!/bin/sh
echo "$*" >> /run/asked
case "$1" in stop | restart)
  pid=$(cat /run/pid)
  kill "$pid"
  while [ -e "/proc/$pid/exe" ]; do sleep 0.05; done
esac
case "$1" in start | restart)
  install -d -m 2755 -g dplaned /run/dplaned
  : > /run/log
  $(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/dplaned.service) >> /run/log 2>&1 < /dev/null &
  echo $! > /run/pid
  until grep -q '"message":"Ready"' /run/log; do [ -e "/proc/$!/exe" ] || exit 1; sleep 0.05; done
esac
`;

/** Why the package cannot be installed here. */
function installSkipReason(): string | false {
  const missing = ["/usr/sbin/addgroup", "/usr/bin/deb-systemd-helper"].filter((path) => !existsSync(path));
  if (missing.length > 0) return `no ${missing.join(", no ")} (packages adduser, init-system-helpers)`;
  return skipReason() || debSkipReason() || overlaySkipReason();
}

const skip = installSkipReason();

describe("the Debian package", () => {
  let folder = "";
  let ns: Netns;
  let root: OverlayRoot;

  const install = (deb: string) => {
    root.do("cat > /tmp/dplaned.deb", readFileSync(deb));
    return root.do("dpkg --force-unsafe-io --no-triggers -i /tmp/dplaned.deb");
  };
  const asked = () => root.do("cat /run/asked; rm /run/asked").trimEnd();
  const routes = () => ns.ip("-4", "route", "show", "proto", "210").trimEnd().split("\n").filter(Boolean);

  before(async () => {
    if (skip) return;
    folder = mkdtempSync(join(tmpdir(), "dplaned-deb-"));
    ns = createNetns();
    root = await OverlayRoot.create(ns.name);
    root.do(
      "mkdir -p /run/systemd/system; cat > /usr/bin/deb-systemd-invoke; chmod 755 /usr/bin/deb-systemd-invoke",
      SYSTEMD,
    );
    // What the machine may have of dplaned is none of the package's.
    root.do("rm -rf /etc/dplaned /var/lib/dplaned; groupdel dplaned 2> /dev/null || true");
  });
  after(async () => {
    await root?.delete();
    ns?.delete();
    if (folder) rmSync(folder, { recursive: true });
  });

  it("installs, and starts the daemon as a service", { skip }, () => {
    install(buildDeb(folder));
    assert.equal(asked(), "start dplaned.service");
    assert.match(root.do("dpkg -s dplaned"), /^Status: install ok installed$/m);
    assert.match(root.do("ls /etc/systemd/system/multi-user.target.wants"), /^dplaned\.service$/m);
    assert.equal(root.do(`dplaned check-config && stat -c '%a %U:%G' ${CONFIG}`).split("\n").at(-2), "640 root:root");
    assert.equal(root.do("stat -c '%a %U:%G' /run/dplaned/dplaned.sock"), "660 root:dplaned\n");
    assert.match(root.do("dplaned show health"), /^Ready: +yes$/m);
  });

  it("programs routes", { skip }, () => {
    const lines = Array.from(
      { length: ROUTES },
      (_, index) => `route add blackhole 10.${index >> 8}.${index & 255}.0/24\n`,
    );
    root.do("dplaned route load -", lines.join(""));
    assert.equal(routes().length, ROUTES);
  });

  it("keeps the routes in the kernel over an upgrade, without a write, and the configuration", { skip }, async () => {
    root.do(`echo '# Mine.' >> ${CONFIG}`);
    const [before, pid, monitor] = [routes(), root.do("cat /run/pid"), await RouteMonitor.start(ns)];
    try {
      install(buildDeb(folder, NEXT_VERSION));
      assert.deepEqual(await monitor.take(), []);
    } finally {
      monitor.stop();
    }
    assert.equal(asked(), "restart dplaned.service");
    assert.match(root.do("dpkg -s dplaned"), new RegExp(`^Version: ${NEXT_VERSION.replace("+", "\\+")}$`, "m"));
    assert.notEqual(root.do("cat /run/pid"), pid);
    assert.match(root.do("cat /run/log"), new RegExp(`"adoptedRoutes":${ROUTES},`));
    assert.deepEqual(routes(), before);
    assert.match(root.do(`cat ${CONFIG}`), /^# Mine\.$/m);
  });

  it("leaves a service alone that the administrator has disabled", { skip }, () => {
    const link = "/etc/systemd/system/multi-user.target.wants/dplaned.service";
    root.do(`rm ${link} && dpkg --force-unsafe-io --no-triggers -i /tmp/dplaned.deb`);
    assert.equal(root.run(`test -e ${link}`).status, 1);
    asked();
  });

  it("stops the daemon when it is removed, and tells of the routes that stay", { skip }, () => {
    const told = root.do("dpkg --force-unsafe-io --no-triggers -r dplaned");
    assert.equal(asked(), "stop dplaned.service");
    assert.match(told, new RegExp(`^dplaned: ${ROUTES} routes stay in the kernel; to remove them:\n  (ip .*)$`, "m"));
    assert.equal(root.run("test -e /usr/bin/dplaned").status, 1);
    assert.equal(root.run(`test -e ${CONFIG}`).status, 0);
    assert.equal(routes().length, ROUTES);
    root.do(/^ {2}(ip .*)$/m.exec(told)![1]!);
    assert.deepEqual(routes(), []);
  });

  it("leaves nothing when it is purged", { skip }, () => {
    root.do("mkdir -p /var/lib/dplaned && touch /var/lib/dplaned/journal.ndjson");
    assert.ok(root.written().includes(CONFIG));
    root.do("dpkg --force-unsafe-io --no-triggers -P dplaned");
    assert.deepEqual(
      root.written().filter((path) => path.includes("dplaned")),
      [],
    );
    assert.equal(root.run("dpkg -s dplaned").status, 1);
    assert.equal(root.run("getent group dplaned").status, 2);
    assert.equal(root.run("test -e /run/dplaned").status, 1);
  });
});
