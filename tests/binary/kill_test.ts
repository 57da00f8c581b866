/**
 * The compiled daemon killed at random moments of 200,000 updates: after a restart and a sync the kernel holds what was
 * last asked for, nothing that should have stayed was ever deleted, and no nexthop object is left over.
 */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { SyncSummaryJson } from "../../core/northbound/api_types.ts";
import { readAll, readLines } from "../../core/northbound/cli/client.ts";
import { Prng } from "../../core/prng.ts";
import { DaemonProcess } from "../../scripts/daemon_process.ts";
import { daemonSkipReason } from "../support/binary.ts";
import { ChangeCounter } from "../support/change_counter.ts";
import { addTestLinks } from "../support/kernel_harness.ts";
import { createNetns, type Netns } from "../support/netns.ts";
import { until } from "../support/wait.ts";

const skip = daemonSkipReason();
const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const UPDATES = 200_000;
/** Of as many prefixes; the last ones are not among what is asked for in the end. */
const PREFIXES = 120_000;
const STALE = 20_000;
const KILLS = 3;
/** What its owner's sync does not claim is swept at its end, for the table is nobody else's. */
const CONFIG = '[kernel]\naudit-interval = "0s"\nstale-time = "20s"\n[[owner]]\nname = "bgp"\ntables = [254]\n';

function prefixOf(index: number): string {
  // In the form in which the kernel's tools show it: without a group that is 0.
  if (index % 4 === 0)
    return `2001:db8:${(0x1000 + (index >> 16)).toString(16)}:${((index & 0xffff) | 1).toString(16)}::/64`;
  return `172.${16 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}/32`;
}

/** One of two forms, by a nexthop of its own or by the group of its family. */
function lineOf(index: number, form: number): string {
  const isIpv6 = index % 4 === 0;
  if (form % 2 === 0) return `route add ${prefixOf(index)} nhid ${isIpv6 ? 8 : 7}`;
  return `route add ${prefixOf(index)} via ${isIpv6 ? "fe80::2" : `10.0.0.${2 + (form % 5)}`} dev v0`;
}

describe(`a daemon that is killed again and again (SEED=${SEED})`, () => {
  let ns: Netns;
  let daemon: DaemonProcess;

  beforeEach(() => {
    if (skip) return;
    ns = createNetns();
    addTestLinks(ns);
  });
  afterEach(async () => {
    if (skip) return;
    await daemon.stop();
    ns.delete();
  });

  const start = async (): Promise<void> => {
    daemon = await DaemonProcess.start({ netns: ns.name, config: CONFIG });
    const members: Record<number, string[]> = { 7: ["10.0.0.2", "10.0.1.2"], 8: ["2001:db8::2", "2001:db8:1::2"] };
    for (const [id, [first, second]] of Object.entries(members)) {
      const body = {
        members: [
          { via: first, dev: "v0" },
          { via: second, dev: "v2" },
        ],
      };
      const headers = { "content-type": "application/json" };
      const request = { method: "PUT", path: `/v1/nexthop-groups/${id}`, headers, body: JSON.stringify(body) } as const;
      assert.match(await readAll(await daemon.client.request(request)), /fib_programmed/);
    }
  };
  const send = (method: "POST" | "PUT", path: string, lines: readonly string[]) => {
    const headers = { "content-type": "text/x-iproute2" };
    return daemon.client.request({ method, path, headers, body: `${lines.join("\n")}\n` });
  };
  /** What the kernel holds of ours, by prefix. */
  const held = (): Map<string, string> => {
    const routes = new Map<string, string>();
    for (const family of ["-4", "-6"]) {
      for (const line of ns.ip("-oneline", family, "route", "show", "proto", "210").split("\n")) {
        const [prefix, ...rest] = line.trim().split(" ");
        if (prefix !== "") routes.set(prefix!.includes("/") ? prefix! : `${prefix}/32`, rest.join(" "));
      }
    }
    return routes;
  };

  /** Nexthop objects that no route goes by, and that are no member of a group which one goes by. */
  const unneeded = (): number[] => {
    const needed = new Set(Array.from(held().values(), (text) => Number(/nhid (\d+)/.exec(text)?.[1])));
    const objects = ns.ipJson("nexthop");
    for (const { id, group } of objects) {
      if (needed.has(id)) for (const member of group ?? []) needed.add(member.id);
    }
    return objects.map(({ id }) => id).filter((id) => !needed.has(id));
  };

  it("comes to what was last asked for", { skip, timeout: 280_000 }, async () => {
    const prng = new Prng(SEED);
    for (let kill = 0; kill < KILLS; kill++) {
      await start();
      const updates = Array.from({ length: UPDATES }, () => {
        const index = prng.below(PREFIXES);
        return prng.chance(0.1) ? `route del ${prefixOf(index)}` : lineOf(index, prng.below(10));
      });
      const after = prng.below(UPDATES);
      let results = 0;
      const running = daemon;
      try {
        for await (const _ of readLines(await send("POST", "/v1/routes?owner=bgp", updates))) {
          if (++results === after) running.signal("SIGKILL");
        }
      } catch {
        // It was killed in the middle of its answer.
      }
      running.signal("SIGKILL");
      await running.ended;
      await running.stop();
    }
    const before = held();
    await start();
    const counter = new ChangeCounter(ns);
    const wanted = Array.from({ length: PREFIXES - STALE }, (_, index) => lineOf(index, index));
    let summary: SyncSummaryJson | undefined;
    for await (const line of readLines(await send("PUT", "/v1/owners/bgp/routes", wanted))) {
      summary = (JSON.parse(line) as { summary?: SyncSummaryJson }).summary ?? summary;
    }
    assert.ok(summary !== undefined);
    assert.equal(summary.fibFailed, 0);
    assert.equal(summary.unchanged + summary.installed + summary.updated, wanted.length);
    const stale = Array.from({ length: STALE }, (_, index) => prefixOf(PREFIXES - STALE + index));
    const strange = stale.filter((prefix) => before.has(prefix)).length;
    assert.ok(before.size > strange && strange > 0, `${before.size} were left, ${strange} of them are not wanted`);
    await until("nothing is left that nobody wants", () => held().size === wanted.length, 60_000);
    const now = held();
    for (const [index, line] of wanted.entries()) {
      const text = now.get(prefixOf(index)) ?? "not there";
      const expected = line.includes("nhid") ? "nhid 25" : /via \S+ dev v0/.exec(line)![0];
      assert.ok(text.includes(expected), `${line}: ${text}`);
    }
    assert.equal(counter.take().routesDeleted, strange, "nothing was deleted that is wanted");
    counter.close();
    // Objects of an earlier life that nobody has claimed stay for stale-time.
    await until(
      () => `no nexthop object is left over: ${unneeded().join()}`,
      () => unneeded().length === 0,
      60_000,
    );
  });
});
