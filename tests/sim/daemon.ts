/**
 * The daemon of a simulation: the same parts as core/daemon/daemon.ts puts together, without the sockets of its API, on a
 * simulated main thread.
 */
import { BODY_IDLE_MS, OWNER_DISTANCE_DEFAULT } from "../../core/constants.ts";
import { AttrsStore, createAttrsStorage } from "../../core/context/attrs_store.ts";
import { KernelWatch } from "../../core/daemon/kernel_watch.ts";
import { Dataplane } from "../../core/dataplane/dataplane.ts";
import type { ProviderSpec } from "../../core/dataplane/provider.ts";
import { createRecordLog, type LogRecord } from "../../core/log.ts";
import { LinkTable } from "../../core/model/link_table.ts";
import { NorthboundCounters } from "../../core/northbound/counters.ts";
import { OutcomeReader } from "../../core/northbound/outcome.ts";
import { Pacer } from "../../core/northbound/pacer.ts";
import type { RouteStreamParts } from "../../core/northbound/route_stream.ts";
import { UPDATE_DEFAULTS } from "../../core/northbound/update_rules.ts";
import { WithdrawalRoom } from "../../core/northbound/withdrawals.ts";
import { Drift, type DriftEvent } from "../../core/rib/drift.ts";
import { Journal } from "../../core/rib/journal.ts";
import { NexthopGroups } from "../../core/rib/nexthop_groups.ts";
import { OWNER_SETTINGS, type OwnerSettings } from "../../core/rib/owners.ts";
import { Retrier } from "../../core/rib/retry.ts";
import { Rib } from "../../core/rib/rib.ts";
import type { SimThread } from "./scheduler.ts";
import type { Threads } from "./threads.ts";

/** RTPROT_* of our routes. */
export const PROTOCOL = 210;
const ATTRS_BYTES = 1 << 20;
const JOURNAL_ENTRIES = 1024;

export interface SimDaemonOptions {
  main: SimThread;
  threads: Threads;
  queueLimit: number;
  workLimit: number;
  providers: readonly ProviderSpec[];
  owners: readonly ({ name: string } & Partial<OwnerSettings>)[];
  staleTimeMs: number;
  auditIntervalMs: number;
  nexthopObjects: "auto" | "off";
  /** Routes with the same nexthops from which on they share an object; the real one is more than a simulation has. */
  sharedRoutesMin: number;
  onLog: (record: LogRecord) => void;
  onDrift: (event: DriftEvent, rib: Rib) => void;
}

export class SimDaemon {
  readonly dataplane: Dataplane;
  readonly rib: Rib;
  readonly groups: NexthopGroups;
  readonly watch: KernelWatch;
  readonly links = new LinkTable();
  readonly journal: Journal;
  readonly drift: Drift;
  readonly threads: Threads;
  readonly main: SimThread;
  readonly streams: RouteStreamParts;
  readonly shutdown = new AbortController();
  /** It serves its clients. */
  isReady = false;
  /** Why it could not start, or goes on no longer. */
  failure = "";
  readonly #attrs = createAttrsStorage(ATTRS_BYTES);
  readonly #retrier: Retrier;

  constructor(options: SimDaemonOptions) {
    const { main, threads, onLog } = options;
    const { clock } = main;
    this.main = main;
    this.threads = threads;
    const log = createRecordLog("daemon", onLog);
    const portIdCell = new SharedArrayBuffer(4);
    this.dataplane = new Dataplane({
      queueLimit: options.queueLimit,
      workLimit: options.workLimit,
      attrs: this.#attrs,
      spawn: threads.spawn,
      log,
      onLog: ({ record }) => onLog(record),
      onResults: (slots, count) => this.rib.settle(slots, count),
      onHealthChange: () => {
        if (this.dataplane.state === "failed") this.failure = this.dataplane.failure;
      },
      clock,
    });
    this.dataplane.holdAdmission();
    this.rib = new Rib(new AttrsStore(this.#attrs), this.dataplane);
    this.journal = new Journal(this.rib, JOURNAL_ENTRIES);
    this.rib.observe(this.journal);
    this.groups = new NexthopGroups(this.rib, this.dataplane, this.links, options.nexthopObjects);
    this.rib.groups = this.groups;
    this.rib.sharedRoutesMin = options.sharedRoutesMin;
    this.rib.owners.configure(options.owners.map((owner) => ({ ...OWNER_SETTINGS, ...owner })));
    for (const spec of options.providers) {
      const own = spec.kind === "kernel" ? { netns: undefined, protocol: PROTOCOL, portIdCell } : {};
      this.dataplane.register({ ...spec, options: { ...spec.options, ...own } });
    }
    this.#retrier = new Retrier(this.rib);
    this.drift = new Drift(() => clock.now());
    this.watch = new KernelWatch({
      spawn: threads.spawnMonitor,
      netns: undefined,
      protocol: PROTOCOL,
      staleTimeMs: options.staleTimeMs,
      auditIntervalMs: options.auditIntervalMs,
      portIdCell,
      links: this.links,
      rib: this.rib,
      drift: this.drift,
      retrier: this.#retrier,
      journal: this.journal,
      groups: this.groups,
      onLog,
      onChange: () => {},
      onDrift: (event) => options.onDrift(event, this.rib),
      onHealthChange: () => {},
      onGivenUp: (reason) => {
        this.failure = reason;
      },
      log,
    });
    this.streams = {
      rib: this.rib,
      dataplane: this.dataplane,
      outcomes: new OutcomeReader(this.rib, this.dataplane, this.links),
      resolver: {
        deviceIndex: (name) => this.links.indexOf(name),
        vrfTable: (name) => this.links.vrfTable(name),
      },
      defaults: { ...UPDATE_DEFAULTS, distance: OWNER_DISTANCE_DEFAULT },
      pacer: new Pacer(clock),
      withdrawalRoom: new WithdrawalRoom(),
      counters: new NorthboundCounters(),
      collectGarbage: () => {},
      bodyIdleMs: BODY_IDLE_MS,
      log,
      shutdown: this.shutdown.signal,
    };
  }

  /** As the daemon starts; what goes wrong is in `failure`. */
  start(): void {
    void this.#start().catch((error: unknown) => {
      this.failure = (error as Error).message;
    });
  }

  async #start(): Promise<void> {
    const adoption = this.watch.start();
    await Promise.all([this.dataplane.start(), adoption]);
    const broken = this.dataplane.providers().find(({ kind, state }) => kind === "kernel" && state === "failed");
    if (broken !== undefined) throw new Error(broken.reason);
    this.dataplane.openAdmission();
    this.watch.run();
    this.isReady = true;
  }

  /** As the daemon ends in order; resolves when it has. */
  async end(): Promise<void> {
    this.shutdown.abort();
    this.dataplane.preFinish();
    await this.dataplane.finish();
    await this.dataplane.shutdown();
    await this.watch.stop();
    this.groups.stop();
  }

  /** As SIGKILL ends it. */
  kill(): void {
    this.main.kill();
    for (const thread of [...this.threads.running.keys()]) this.threads.kill(thread, "killed");
  }
}
