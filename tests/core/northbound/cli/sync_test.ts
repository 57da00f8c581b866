/** `route sync`, `route flush`, `--dry-run` and tokens, against the API itself on a socket. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, it } from "node:test";
import { type NorthboundServer, startServer } from "../../../../core/northbound/server.ts";
import { OWNER_SETTINGS } from "../../../../core/rib/owners.ts";
import { createHarness, type Harness } from "../../../support/api_harness.ts";
import { CapturedIo, runCommandLine } from "../../../support/cli_harness.ts";
import { until } from "../../../support/wait.ts";

let harness: Harness;
let server: NorthboundServer;
let directory: string;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "dplaned-sync-"));
  harness = await createHarness();
  server = await startServer({
    fetch: (request, environment) => harness.app.fetch(request, environment),
    socketPath: join(directory, "api.sock"),
    http: null,
    log: harness.log,
    environment: {},
  });
});
afterEach(async () => {
  await server.close(1000);
  await harness.close();
  rmSync(directory, { recursive: true, force: true });
});

async function run(args: string[], io = new CapturedIo()) {
  const status = await runCommandLine([...args, "--socket", server.socketPath], io);
  return { status, out: io.out.replace(/ in \d+\.\d\d s/, " in T s").replace(/ \([\d,]+\/s\)/, ""), err: io.err };
}

function write(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

const routesOf = (owner: string): number => harness.rib.owners.find(owner)?.routes ?? 0;

describe("route sync", () => {
  it("makes the owner's routes those of the file, and says what it did", async () => {
    const file = write(
      "table",
      "route add 10.1.0.0/16 dev v0\nroute add 10.2.0.0/16 dev v0\nroute add 10.3.0.0/16 dev v0\n",
    );
    assert.deepEqual(await run(["route", "sync", file, "--owner", "bgp"]), {
      status: 0,
      out: "3 routes in T s: 3 installed\n",
      err: "",
    });
    const next = write(
      "next",
      '[{"prefix":"10.1.0.0/16","nexthops":[{"dev":"v1"}]},{"prefix":"10.3.0.0/16","nexthops":[{"dev":"v0"}]}]',
    );
    assert.deepEqual(await run(["route", "sync", next, "--owner", "bgp"]), {
      status: 0,
      out: "2 routes in T s: 1 updated, 1 deleted, 1 unchanged\n",
      err: "",
    });
    const { out } = await run(["route", "sync", next, "--owner", "bgp", "--json"]);
    assert.equal(JSON.parse(out).summary.unchanged, 2);
  });

  it("prints a plan like a diff, and does nothing, with --dry-run", async () => {
    await run(["route", "install", "10.1.0.0/16", "dev", "v0", "owner", "bgp"]);
    await run(["route", "install", "10.2.0.0/16", "dev", "v0", "owner", "bgp"]);
    await run(["route", "install", "10.5.0.0/16", "dev", "v0", "owner", "bgp"]);
    await harness.post('{"prefix":"10.2.0.0/16","nexthops":[{"dev":"v1"}],"distance":200}\n', {
      query: "?owner=backup",
    });
    const file = write(
      "table",
      "route add 10.1.0.0/16 nexthop dev v0 weight 2 nexthop dev v1\nroute add 10.5.0.0/16 dev v0\nroute add blackhole 10.3.0.0/16\n",
    );
    const before = harness.dataplane.snapshot().routeUpdates;
    const plan = await run(["route", "sync", file, "--owner", "bgp", "--dry-run"]);
    assert.deepEqual(plan, {
      status: 0,
      out:
        "~ 10.1.0.0/16 dev v0 metric 20\n" +
        "  -> 10.1.0.0/16 metric 20\n\tnexthop dev v0 weight 2\n\tnexthop dev v1 weight 1\n" +
        "+ blackhole 10.3.0.0/16 metric 20\n" +
        "~ 10.2.0.0/16 dev v0 metric 20 [owner bgp]\n  -> 10.2.0.0/16 dev v1 metric 20 [owner backup]\n" +
        "dry run of 3 updates: 1 to add, 2 to replace, 1 unchanged; nothing was done\n",
      err: "",
    });
    assert.equal(harness.dataplane.snapshot().routeUpdates, before);
  });

  it("names file and line of what is wrong with it, and changes nothing", async () => {
    await run(["route", "install", "10.1.0.0/16", "dev", "v0", "owner", "bgp"]);
    const file = write("table", "route add 10.2.0.0/16 dev v0\nroute add 10.2.0.0/16 dev v1\nroute del 10.1.0.0/16\n");
    const { status, out, err } = await run(["route", "sync", file, "--owner", "bgp"]);
    assert.deepEqual([status, out], [1, ""]);
    assert.deepEqual(err.split("\n"), [
      `${file}:2: The body has this route twice (DUPLICATE_ROUTE); prefix, source, table and metric name a route; leave one out`,
      `${file}:3: A full-state sync lists what there is to be, and this is a delete (DELETE_IN_SYNC); leave the route out, and it is deleted`,
      "dplaned: Unprocessable content: 2 updates of the body are wrong, first in line 2: The body has this route twice (nothing was changed)",
      "",
    ]);
    assert.equal(routesOf("bgp"), 1);
  });

  it("changes nothing when it is interrupted, or its input fails, before all of it is sent", async () => {
    await run(["route", "install", "10.1.0.0/16", "dev", "v0", "owner", "bgp"]);
    const reads = new Readable({ read() {} });
    const io = new CapturedIo({ input: reads });
    const running = run(["route", "sync", "-", "--owner", "bgp"], io);
    reads.push("route add 10.2.0.0/16 dev v0\n");
    await until("the daemon has some of it", () => harness.rib.counts().ipv4 === 2);
    io.interrupt!();
    assert.deepEqual(await running, {
      status: 130,
      out: "",
      err: "Interrupted: stdin was not read to its end, and nothing was changed\n",
    });
    await until("the daemon has given it up", () => harness.rib.counts().ipv4 === 1);
    const broken = new Readable({ read() {} });
    const failing = run(["route", "sync", "-", "--owner", "bgp"], new CapturedIo({ input: broken }));
    broken.push("route add 10.2.0.0/16 dev v0\n");
    await until("the daemon has some of it", () => harness.rib.counts().ipv4 === 2);
    broken.destroy(Object.assign(new Error("lost"), { code: "EIO" }));
    const { status, err } = await failing;
    assert.deepEqual([status, err], [1, "dplaned: Cannot read stdin: EIO\n"]);
    await until("the daemon has given it up", () => harness.rib.counts().ipv4 === 1);
    assert.equal(routesOf("bgp"), 1);
  });

  it("tells what failed, and fails", async () => {
    harness.kernel.answer = (io, slot) => io.contexts.fail(slot, 101, "Nexthop has invalid gateway");
    const file = write("table", "route add 10.2.0.0/16 via 192.0.2.9\n");
    const { status, out, err } = await run(["route", "sync", file, "--owner", "bgp"]);
    assert.deepEqual([status, out], [1, "1 route in T s: 1 installed, 1 failed\n"]);
    assert.match(err, /table:1: 10\.2\.0\.0\/16: Nexthop has invalid gateway \(ENETUNREACH\)/);
  });
});

describe("route flush", () => {
  it("withdraws what an owner has, after showing it with --dry-run", async () => {
    await run(["route", "install", "10.1.0.0/16", "dev", "v0", "owner", "bgp"]);
    assert.deepEqual(await run(["route", "flush", "owner", "bgp", "--dry-run"]), {
      status: 0,
      out: "- 10.1.0.0/16 dev v0 metric 20\ndry run of 0 updates: 1 to delete; nothing was done\n",
      err: "",
    });
    assert.equal(routesOf("bgp"), 1);
    assert.equal((await run(["route", "flush", "--owner", "bgp"])).out, "0 routes in T s: 1 deleted\n");
    assert.equal(routesOf("bgp"), 0);
    const unknown = await run(["route", "flush", "owner", "nobody"]);
    assert.deepEqual(
      [unknown.status, unknown.err],
      [1, "dplaned: Not found: There is no owner nobody (GET /v1/owners lists those that there are)\n"],
    );
  });

  it("needs an owner, and knows no other filter", async () => {
    assert.deepEqual(await run(["route", "flush"]), {
      status: 2,
      out: "",
      err: "dplaned: Missing whose routes are to be flushed: owner O\n",
    });
    const { status, err } = await run(["route", "flush", "table", "100"]);
    assert.deepEqual([status, err], [2, 'dplaned: Unknown word "table"; routes are flushed by owner: owner O\n']);
  });
});

describe("--dry-run of single updates and files", () => {
  it("prints the change, and nothing is done", async () => {
    const install = ["route", "install", "10.1.0.0/16", "dev", "v0"];
    assert.equal((await run([...install, "--dry-run"])).out, "+ 10.1.0.0/16 dev v0 metric 20\n");
    assert.equal(routesOf("default"), 0);
    await run(install);
    assert.equal((await run([...install, "--dry-run"])).out, "  10.1.0.0/16 table main: no change\n");
    assert.equal((await run(["route", "delete", "10.1.0.0/16", "--dry-run"])).out, "- 10.1.0.0/16 dev v0 metric 20\n");
    const { out } = await run(["route", "delete", "10.1.0.0/16", "--dry-run", "--json"]);
    assert.deepEqual([JSON.parse(out).plan, JSON.parse(out).old.prefix], ["delete", "10.1.0.0/16"]);
    const file = write(
      "table",
      "route add 10.2.0.0/16 dev v0\nroute del 10.2.0.0/16\nroute add 10.3.0.0/16 dev nowhere\n",
    );
    const load = await run(["route", "load", file, "--dry-run"]);
    assert.equal(load.status, 1);
    assert.equal(
      load.out,
      "+ 10.2.0.0/16 dev v0 metric 20\n- 10.2.0.0/16 dev v0 metric 20\n" +
        "dry run of 3 updates: 1 to add, 1 to delete, 1 rejected; nothing was done\n",
    );
    assert.match(load.err, /table:3: .*UNKNOWN_DEVICE/);
    assert.equal(routesOf("default"), 1);
  });
});

describe("tokens", () => {
  it("are read from a file, named by flag or environment", async () => {
    harness.rib.owners.configure([{ name: "bgp", ...OWNER_SETTINGS, token: "s3cret" }]);
    const token = write("token", "s3cret\n");
    const install = ["route", "install", "10.1.0.0/16", "dev", "v0", "owner", "bgp"];
    const refused = await run(install);
    assert.equal(refused.status, 1);
    assert.match(refused.err, /^dplaned: Unauthorized: Owner bgp needs a token \(.*--token-file FILE/);
    assert.equal((await run([...install, "--token-file", token])).status, 0);
    const io = new CapturedIo();
    io.environment["DPLANED_TOKEN_FILE"] = token;
    assert.equal((await run(["route", "flush", "owner", "bgp"], io)).status, 0);
    const missing = await run([...install, "--token-file", join(directory, "none")]);
    assert.deepEqual(
      [missing.status, missing.err],
      [1, `dplaned: Cannot read the token in ${join(directory, "none")}: ENOENT\n`],
    );
  });
});

describe("show owners", () => {
  it("has a line for each, with what differs from the defaults", async () => {
    harness.rib.owners.configure([
      { name: "bgp", ...OWNER_SETTINGS, distance: 5, token: "t", prefixLimit: 9, tables: [100, 254] },
    ]);
    await run(["route", "install", "10.1.0.0/16", "dev", "v0"]);
    assert.equal(
      (await run(["show", "owners"])).out,
      "bgp: routes: 0, held: 0, distance: 5, prefix-limit: 9, tables: 100 254, token, synced: never\n" +
        "default: routes: 1, held: 0, distance: 20, synced: never\n",
    );
    const { out } = await run(["show", "owners", "--json"]);
    assert.equal(JSON.parse(out).owners.length, 3);
  });
});
