/** The examples of providers, tried without a daemon. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { formatConfigProblem, loadConfig } from "../../core/config/config.ts";
import { checkPluginFiles } from "../../core/config/plugin_files.ts";
import { Harness, type TrialUpdate } from "../../core/plugin/skeleton/harness.ts";
import ecmp from "../../docs/examples/providers/ecmp_file.ts";
import filter from "../../docs/examples/providers/prefix_filter.ts";
import webhook from "../../docs/examples/providers/webhook.ts";
import { until } from "../support/wait.ts";

const folder = mkdtempSync(join(tmpdir(), "dplaned-examples-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const EXAMPLES = fileURLToPath(new URL("../../docs/examples/providers", import.meta.url).href);

describe("the examples of providers", () => {
  it("have in their first comment a configuration that is one", () => {
    const names = readdirSync(EXAMPLES).filter((name) => name.endsWith(".ts") && name !== "dplaned.d.ts");
    assert.equal(names.length, 3);
    for (const name of names) {
      const comment = readFileSync(join(EXAMPLES, name), "utf8").split("*/")[0]!;
      const toml = comment
        .split("\n")
        .filter((line) => /^ \* {5}(?:\[|[a-z][a-z0-9-]* = )/.test(line))
        .map((line) => line.slice(7));
      assert.ok(toml.length > 5, name);
      const path = join(folder, "dplaned.toml");
      writeFileSync(path, toml.join("\n").replace(/^path = "providers\//m, `path = "${EXAMPLES}/`), { mode: 0o640 });
      const loaded = loadConfig({ path, environment: {} });
      assert.ok(loaded.ok, loaded.ok ? "" : `${name}: ${loaded.problems.map(formatConfigProblem).join("\n")}`);
      assert.deepEqual(checkPluginFiles(loaded.config), []);
      const [provider] = loaded.config.providers;
      assert.ok(provider?.kind === "plugin");
    }
  });
});

describe("the prefix filter", () => {
  /** The prefixes that are refused, with their codes. */
  async function refused(options: Record<string, unknown>, ...updates: (string | TrialUpdate)[]): Promise<string[]> {
    const harness = await Harness.start(filter, { options });
    const trials = updates.map((update) => (typeof update === "string" ? { prefix: update } : update));
    const results = await harness.send(...trials);
    const denied = results.filter(({ verdict }) => verdict === "failed");
    assert.deepEqual(harness.metrics, { permitted: results.length - denied.length, denied: denied.length });
    return denied.map(({ prefix, code }) => `${prefix} ${code}`);
  }

  it("refuses what lies in a bogon, and nothing beside it", async () => {
    assert.deepEqual(
      await refused(
        {},
        ...[
          "10.0.0.0/8",
          "10.1.2.0/24",
          "11.0.0.0/8",
          "8.0.0.0/7",
          "172.15.0.0/16",
          "172.16.0.0/16",
          "172.31.255.0/24",
        ],
        ...["172.32.0.0/16", "100.63.0.0/16", "100.64.0.0/16", "0.0.0.0/0", "224.0.0.1/32", "::/0"],
        ...["2001:db8::/32", "2001:db8:1::/48", "2001:db9::/32", "fe80::1/128", "fec0::/10", "2a00::/16"],
      ),
      [
        ...["10.0.0.0/8", "10.1.2.0/24", "172.16.0.0/16", "172.31.255.0/24", "100.64.0.0/16", "224.0.0.1/32"],
        ...["2001:db8::/32", "2001:db8:1::/48", "fe80::1/128"],
      ].map((prefix) => `${prefix} PREFIX_DENIED`),
    );
  });

  it("goes by its list, its lengths and its owners", async () => {
    const options = { bogons: false, deny: ["192.0.2.128/25"], "max-length-ipv4": 26, "max-length-ipv6": 48 };
    assert.deepEqual(
      await refused(
        options,
        "10.0.0.0/8",
        "192.0.2.0/24",
        "192.0.2.128/26",
        "192.0.2.0/26",
        "198.51.100.0/27",
        "2001:db8::/49",
      ),
      ["192.0.2.128/26 PREFIX_DENIED", "198.51.100.0/27 PREFIX_TOO_LONG", "2001:db8::/49 PREFIX_TOO_LONG"],
    );
    const bgp = { prefix: "10.0.0.0/8", owner: "bgp" };
    assert.deepEqual(await refused({ owners: ["bgp"] }, bgp, { prefix: "10.0.0.0/8", owner: "static" }), [
      "10.0.0.0/8 PREFIX_DENIED",
    ]);
    assert.deepEqual(await refused({}, { op: "delete", prefix: "10.0.0.0/8" }), []);
  });

  it("says what is wrong with its options", async () => {
    const cases: [Record<string, unknown>, RegExp][] = [
      [{ bogon: true }, /there is no option bogon; there are bogons, deny/],
      [{ bogons: 1 }, /bogons is to be true or false/],
      [{ deny: "10.0.0.0/8" }, /deny is to be a list of texts/],
      [{ deny: ["10.0.0.0"] }, /"10\.0\.0\.0" is no prefix/],
      [{ deny: ["10.0.0.0/33"] }, /is no prefix/],
      [{ deny: ["2001:db8:::/32"] }, /is no prefix/],
      [{ "max-length-ipv4": 33 }, /max-length-ipv4 is to be a number from 0 to 32/],
    ];
    for (const [options, message] of cases) await assert.rejects(Harness.start(filter, { options }), message);
  });
});

describe("the webhook", () => {
  it("posts batches, fails where the receiver does, and gives up when it is to end", async () => {
    const bodies: unknown[] = [];
    let status = 204;
    let authorization: string | undefined;
    const server = createServer((request, response) => {
      let text = "";
      request.on("data", (chunk) => {
        text += chunk;
      });
      request.on("end", () => {
        authorization = request.headers.authorization;
        if (status === 204) bodies.push(JSON.parse(text));
        response.writeHead(status).end();
      });
    });
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const { port } = server.address() as AddressInfo;
    const token = join(folder, "token");
    writeFileSync(token, "s3cret\n");
    const options = { url: `http://127.0.0.1:${port}/fib`, "token-file": token };
    const harness = await Harness.start(webhook, { options });
    await harness.export([{ prefix: "192.0.2.0/24", nexthops: [{ via: "10.0.0.2" }] }], {
      isFirst: true,
      isLast: true,
    });
    await harness.export([{ op: "delete", prefix: "192.0.2.0/24" }]);
    assert.equal(authorization, "Bearer s3cret");
    const [first, second] = bodies as { sequence: number; first: boolean; last: boolean; changes: unknown[] }[];
    assert.deepEqual(
      [first!.first, first!.last, second!.first, second!.sequence - first!.sequence],
      [true, true, false, 1],
    );
    assert.deepEqual(second!.changes, [{ op: "delete", prefix: "192.0.2.0/24", table: 254, metric: 20 }]);
    status = 503;
    await assert.rejects(harness.export([{ prefix: "192.0.2.0/24" }]), /answers 503/);
    assert.deepEqual(harness.metrics, { posts: 2, changes: 2, failures: 1, failing: 1 });
    status = 204;
    await harness.export([{ prefix: "192.0.2.0/24" }]);
    assert.equal(harness.metrics["failing"], 0);
    await harness.finish();
    await assert.rejects(harness.export([]), /abort/i);
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  });

  it("says what is wrong with its options", async () => {
    const cases: [Record<string, unknown>, RegExp][] = [
      [{}, /url is to be one of http or https/],
      [{ url: "ftp://x/" }, /url is to be/],
      [{ url: "http://x/", retry: 3 }, /there is no option retry/],
      [{ url: "http://x/", "timeout-ms": 0 }, /timeout-ms/],
    ];
    for (const [options, message] of cases) await assert.rejects(Harness.start(webhook, { options }), message);
  });
});

describe("the ECMP exporter", () => {
  const file = join(folder, "ecmp.json");
  const content = (): { routes: { prefix: string; nexthops: { share: number }[] }[] } =>
    JSON.parse(readFileSync(file, "utf8"));
  const multipath = (prefix: string, ...weights: number[]): TrialUpdate => ({
    prefix,
    nexthops: weights.map((weight, index) => ({ via: `10.0.0.${index + 1}`, dev: "v0", weight })),
  });

  it("writes routes with several nexthops, and their shares, and replaces the file as a whole", async () => {
    const harness = await Harness.start(ecmp, { options: { file, "delay-ms": 1 } });
    await harness.export([multipath("192.0.2.0/24", 1, 3), multipath("198.51.100.0/24", 1)], { isFirst: true });
    assert.equal(existsSync(file), false, "not before it knows all routes");
    await harness.export([multipath("203.0.113.0/24", 2, 2)], { isLast: true });
    await until("it is written", () => existsSync(file));
    assert.deepEqual(
      content().routes.map(({ prefix, nexthops }) => [prefix, ...nexthops.map(({ share }) => share)]),
      [
        ["192.0.2.0/24", 0.25, 0.75],
        ["203.0.113.0/24", 0.5, 0.5],
      ],
    );
    await harness.export([{ op: "delete", prefix: "192.0.2.0/24" }, multipath("198.51.100.0/24", 1, 1)]);
    await until("it is written again", () => content().routes.some(({ prefix }) => prefix === "198.51.100.0/24"));
    assert.equal(content().routes.length, 2);
    await harness.export([multipath("203.0.113.0/24", 5)]);
    await harness.finish();
    assert.deepEqual(
      content().routes.map(({ prefix }) => prefix),
      ["198.51.100.0/24"],
    );
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.startsWith("ecmp.json.")),
      [],
      "nothing is left beside it",
    );
  });

  it("goes on where the file cannot be written, and says so", async () => {
    const harness = await Harness.start(ecmp, { options: { file: join(folder, "gone/ecmp.json"), "delay-ms": 0 } });
    await harness.export([], { isFirst: true, isLast: true });
    await until("it has tried", () => harness.metrics["failures"] === 1);
    assert.match(String(harness.logs[0]?.fields["error"]), /ENOENT/);
    await harness.finish();
  });
});
