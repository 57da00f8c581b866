/**
 * The daemon: puts its parts together, serves until it is told to stop, and takes them apart in order. Main thread.
 *
 * Start: configuration, log, API sockets (so that probes are answered), dataplane and monitor threads, what the kernel
 * already holds, ready. Stop: no new updates, those under way are finished within a deadline, threads, sockets.
 */
import { networkInterfaces } from "node:os";
import process from "node:process";
import { setTimeout } from "node:timers";
import { now } from "../clock.ts";
import {
  type Config,
  type ConfigProblem,
  type ConfigSource,
  formatConfigProblem,
  loadConfig,
  type ProviderConfig,
} from "../config/config.ts";
import { checkPluginFiles } from "../config/plugin_files.ts";
import { FAILED_EXIT_MS, FINISH_DEADLINE_MS, OWNER_DISTANCE_DEFAULT, VERSION } from "../constants.ts";
import { AttrsStore, createAttrsStorage } from "../context/attrs_store.ts";
import type { ExportQuestion } from "../context/route_export.ts";
import { Dataplane } from "../dataplane/dataplane.ts";
import { PROVIDER_PRIORITY_NAMES, ProviderPriority, type ProviderSpec } from "../dataplane/provider.ts";
import type { SpawnThread } from "../dataplane/supervisor.ts";
import { createLog, type Log, type RootLog } from "../log.ts";
import { createFpmClientCounterStorage } from "../model/fpm_client_counters.ts";
import { LinkTable } from "../model/link_table.ts";
import { createPluginCounterStorage, type PluginTold } from "../model/plugin_counters.ts";
import { createApi } from "../northbound/api.ts";
import { describeDrift, describeNexthopDrift } from "../northbound/audit_api.ts";
import type { RunCommand } from "../northbound/cli/grammar.ts";
import { NorthboundCounters } from "../northbound/counters.ts";
import { EventBus } from "../northbound/events.ts";
import { FpmServer } from "../northbound/fpm/fpm_server.ts";
import type { FpmClient } from "../northbound/fpm_client_json.ts";
import { Pacer } from "../northbound/pacer.ts";
import { type PluginInfo, Plugins } from "../northbound/plugins.ts";
import { formatAddress, type NorthboundServer, startServer, type TlsSettings } from "../northbound/server.ts";
import { readinessReasons } from "../northbound/status.ts";
import { socketGroup } from "../northbound/unix_socket.ts";
import { Drift } from "../rib/drift.ts";
import { RouteExport } from "../rib/export.ts";
import { createJournal, type Journal } from "../rib/journal.ts";
import { NexthopGroups } from "../rib/nexthop_groups.ts";
import { Cause, Retrier } from "../rib/retry.ts";
import { Rib } from "../rib/rib.ts";
import { exceeds, hasNetAdmin, neededCapabilities } from "./capabilities.ts";
import { describeChange } from "./kernel_change_text.ts";
import { KernelWatch } from "./kernel_watch.ts";
import type { SpawnMonitor } from "./monitor_thread.ts";
import { type NamedSettings, readOwnerSettings } from "./owner_settings.ts";
import { createNamesStorage, shareNames } from "./shared_names.ts";
import { type SendDatagram, ServiceManager } from "./systemd.ts";
import { readTableNames } from "./table_names.ts";
import { readTlsSettings } from "./tls_settings.ts";
import { withdrawAll } from "./withdraw.ts";

/** How long clients have to take their last results when the daemon stops. */
const CLOSE_DEADLINE_MS = 3000;

export const EXIT_FAILED = 1;
export const EXIT_CONFIG = 2;

/** What main.ts lends to the daemon: threads, which start at the program's own entry, and calls into libc. */
export interface DaemonEnvironment {
  spawnThread: SpawnThread;
  spawnMonitor: SpawnMonitor;
  sendDatagram: SendDatagram;
  /** ffi/runtime/runtime.ts. */
  collectGarbage: () => void;
  /**
   * Becomes the same program with these capabilities alone, and in this group if there is one. Throws where it cannot, and
   * returns where it has done so already.
   */
  restartConfined: (capabilities: bigint, group: number | undefined) => void;
  /** From now on nobody else may look into the process's memory. */
  hideMemory: () => void;
  writeError: (text: string) => void;
}

/** Runs the daemon; resolves with the exit status when it has stopped. */
export async function runDaemon(command: RunCommand, environment: DaemonEnvironment): Promise<number> {
  const { config: path, socket, http, netns, logLevel } = command;
  const source = { path, environment: process.env, flags: { socket, http, netns, logLevel } };
  const loaded = load(source);
  const problems = Array.isArray(loaded) ? loaded : checkPluginFiles(loaded.config);
  for (const problem of problems) environment.writeError(`${formatConfigProblem(problem)}\n`);
  if (Array.isArray(loaded) || problems.length > 0) return EXIT_CONFIG;
  const log = createLog({ level: loaded.config.daemon.logLevel });
  confine(loaded.config, environment, log.category("daemon"));
  const reload = (): Settings | null => {
    const again = load(source);
    if (!Array.isArray(again)) return again;
    for (const problem of again) log.category("config").error(formatConfigProblem(problem));
    return null;
  };
  try {
    return await new Daemon(loaded, environment, log).run(reload);
  } catch (error) {
    log.category("daemon").error(error instanceof Error ? error.message : String(error));
    return EXIT_FAILED;
  } finally {
    log.flush();
  }
}

/** Gives up all rights that the daemon does not need, before anything is open that could use them. */
function confine(config: Config, environment: DaemonEnvironment, log: Log): void {
  const needed = neededCapabilities(config);
  try {
    if (hasNetAdmin() && exceeds(needed)) environment.restartConfined(needed, socketGroup());
  } catch (error) {
    log.warn("The daemon keeps rights that it does not need", { error: (error as Error).message });
  }
  environment.hideMemory();
}

/** The configuration, with what stands in the files that it names. */
interface Settings {
  config: Config;
  owners: readonly NamedSettings[];
  tls: TlsSettings | null;
  warnings: readonly string[];
}

/** Reads the configuration, or returns what is wrong with it. */
function load(source: ConfigSource): Settings | ConfigProblem[] {
  const loaded = loadConfig(source);
  if (!loaded.ok) return loaded.problems;
  const { config } = loaded;
  const owners = readOwnerSettings(config);
  const tls = readTlsSettings(config);
  const problems = [...owners.problems, ...tls.problems];
  if (problems.length > 0) return problems;
  const warnings = [...owners.warnings, ...findCleartext(config)];
  return { config, owners: owners.settings, tls: tls.settings, warnings };
}

/** Tokens that everybody on the way can read. */
function findCleartext({ daemon: { http, tls }, owners }: Config): string[] {
  const hasToken = owners.some(({ tokenFile }) => tokenFile !== null);
  if (http === null || tls !== null || !hasToken || http.host.startsWith("127.") || http.host === "::1") return [];
  return [`Tokens travel unencrypted to ${formatAddress(http)} ([daemon] tls-certificate and tls-key change that)`];
}

class Daemon {
  readonly #config: Config;
  readonly #tls: TlsSettings | null;
  readonly #warnings: readonly string[];
  readonly #rootLog: RootLog;
  readonly #collectGarbage: () => void;
  readonly #log: Log;
  readonly #startedAt = now();
  readonly #events = new EventBus();
  readonly #links = new LinkTable();
  readonly #shutdown = new AbortController();
  readonly #manager: ServiceManager;
  readonly #dataplane: Dataplane;
  readonly #rib: Rib;
  readonly #drift = new Drift();
  readonly #pacer = new Pacer();
  readonly #retrier: Retrier;
  readonly #watch: KernelWatch;
  readonly #journal: Journal;
  readonly #groups: NexthopGroups;
  readonly #export: RouteExport;
  readonly #fpmClients: FpmClient[] = [];
  readonly #plugins: Plugins;
  /** It ends because it cannot go on. */
  #hasFailed = false;
  /** What startup still waits for. */
  #pending = ["the kernel's links and routes are being read"];
  #stop = Promise.withResolvers<number>();
  #server: NorthboundServer | null = null;
  #fpm: FpmServer | null = null;

  constructor({ config, owners, tls, warnings }: Settings, environment: DaemonEnvironment, rootLog: RootLog) {
    this.#config = config;
    this.#tls = tls;
    this.#warnings = warnings;
    this.#rootLog = rootLog;
    this.#collectGarbage = environment.collectGarbage;
    this.#log = rootLog.category("daemon");
    this.#manager = new ServiceManager(environment.sendDatagram, process.env, this.#log);
    const attrs = createAttrsStorage();
    const portIdCell = new SharedArrayBuffer(4);
    const hasPlugins = config.providers.some(({ kind }) => kind === "plugin");
    const onHealthChange = (): void => {
      this.#publishHealth();
      if (this.#dataplane.state === "failed") this.#fail(this.#dataplane.failure);
      const broken = this.#brokenKernelProvider();
      if (broken !== "") this.#fail(broken);
    };
    this.#dataplane = new Dataplane({
      ...config.dataplane,
      attrs,
      spawn: environment.spawnThread,
      log: rootLog.category("dataplane"),
      onLog: ({ record }) => rootLog.record(record),
      onResults: (slots, count) => this.#rib.settle(slots, count),
      onProviderMessage: (id, body) => this.#onProviderMessage(id, body as ExportQuestion | PluginTold),
      onHealthChange,
      hasLongTexts: hasPlugins,
    });
    this.#plugins = new Plugins((id, message) => this.#dataplane.tellProvider(id, message));
    // An update of a route that is in the kernel and not yet known to the RIB would be taken for a new one.
    this.#dataplane.holdAdmission();
    this.#rib = new Rib(new AttrsStore(attrs), this.#dataplane);
    this.#journal = createJournal(this.#rib);
    this.#rib.observe(this.#journal);
    this.#groups = new NexthopGroups(this.#rib, this.#dataplane, this.#links, config.kernel.nexthopObjects);
    this.#rib.groups = this.#groups;
    this.#rib.owners.configure(owners);
    this.#export = new RouteExport(this.#rib, this.#groups, (id, answer, transfer) =>
      this.#dataplane.tellProvider(id, answer, transfer),
    );
    const names = createNamesStorage();
    for (const spec of providerSpecs(config, { portIdCell, names })) {
      const { id, kind, name, options } = this.#dataplane.register(spec);
      if (kind === "fpm") this.#fpmClients.push(fpmClient(name, options, () => this.#export.replay(id)));
      if (kind === "plugin") this.#plugins.add({ ...(options as unknown as PluginInfo), id, name });
    }
    if (hasPlugins) shareNames(names, this.#links, this.#rib.owners);
    this.#retrier = new Retrier(this.#rib);
    this.#plugins.onUp = () => this.#retrier.wake(Cause.PROVIDER, Cause.PLUGIN);
    this.#watch = new KernelWatch({
      spawn: environment.spawnMonitor,
      netns: config.kernel.netns ?? undefined,
      protocol: config.kernel.protocol,
      staleTimeMs: config.kernel.staleTimeMs,
      auditIntervalMs: config.kernel.auditIntervalMs,
      portIdCell,
      links: this.#links,
      rib: this.#rib,
      drift: this.#drift,
      retrier: this.#retrier,
      journal: this.#journal,
      groups: this.#groups,
      onDrift: (event) => this.#events.publish("drift", () => describeDrift(event, this.#rib)),
      onLog: (record) => rootLog.record(record),
      onChange: (change) => this.#events.publish("kernel", () => describeChange(change, this.#links)),
      onHealthChange,
      onGivenUp: (reason) => this.#fail(reason),
      log: rootLog.category("monitor"),
    });
    this.#drift.onNexthopDrift = (event) => this.#events.publish("nexthop_drift", () => describeNexthopDrift(event));
    this.#events.onInterest((name, wanted) => {
      if (name === "kernel") this.#watch.wantChanges(wanted);
    });
  }

  #onProviderMessage(id: number, body: ExportQuestion | PluginTold): void {
    if (body.type === "plugin-up" || body.type === "plugin-restarted") this.#plugins.onMessage(id, body);
    else this.#export.onMessage(id, body);
  }

  async run(reload: () => Settings | null): Promise<number> {
    if (!hasNetAdmin()) {
      throw new Error(
        "Cannot program routes: CAP_NET_ADMIN is missing (run dplaned as root, as its systemd service, or with " +
          "`setpriv --ambient-caps +net_admin --inh-caps +net_admin`)",
      );
    }
    const tableNames = readTableNames();
    const onSignal = (signal: NodeJS.Signals): void => this.#onStopSignal(signal);
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
    process.on("SIGHUP", () => this.#reload(reload()));
    for (const warning of this.#warnings) this.#log.warn(warning);
    const counters = new NorthboundCounters();
    const api = createApi({
      counters,
      rib: this.#rib,
      auditor: this.#watch,
      drift: this.#drift,
      retrier: this.#retrier,
      journal: this.#journal,
      groups: this.#groups,
      fpmClients: this.#fpmClients,
      plugins: this.#plugins,
      dataplane: this.#dataplane,
      links: this.#links,
      events: this.#events,
      log: this.#rootLog.category("api"),
      version: VERSION,
      startedAt: this.#startedAt,
      readiness: () => this.#readiness(),
      workers: () => [...this.#dataplane.workers(), this.#watch.worker()],
      shutdown: this.#shutdown.signal,
      defaults: {
        table: this.#config.kernel.table,
        metric: this.#config.kernel.metric,
        distance: OWNER_DISTANCE_DEFAULT,
      },
      tableNumber: (name) => tableNames.get(name) ?? 0,
      pacer: this.#pacer,
      fpmServer: () => this.#fpm?.describe() ?? null,
      collectGarbage: this.#collectGarbage,
    });
    this.#server = await startServer({
      fetch: (request, environment) => api.fetch(request, environment),
      socketPath: this.#config.daemon.socket,
      http: this.#config.daemon.http,
      tls: this.#tls,
      hosts: this.#config.daemon.httpHosts,
      connections: this.#config.daemon.httpConnections,
      rate: this.#config.daemon.httpRate,
      counters,
      log: this.#rootLog.category("http"),
    });
    try {
      await Promise.race([this.#start(), this.#stop.promise]);
      return await this.#stop.promise;
    } catch (error) {
      this.#log.error(error instanceof Error ? error.message : String(error));
      return EXIT_FAILED;
    } finally {
      await this.#end();
    }
  }

  async #start(): Promise<void> {
    const adoption = this.#watch.start();
    await Promise.all([this.#dataplane.start(), adoption]);
    const broken = this.#brokenKernelProvider();
    if (broken !== "") throw new Error(broken);
    const { routes, unreadable } = await adoption;
    this.#pending = [];
    this.#export.open();
    this.#dataplane.openAdmission();
    if (this.#config.kernel.nexthopObjects === "on" && !(await this.#groups.isUsingObjects())) {
      throw new Error(
        "Cannot use nexthop objects: this kernel has none, they came with Linux 5.3 " +
          '(set [kernel] nexthop-objects to "auto", and routes on nexthop groups go without)',
      );
    }
    this.#watch.run();
    await this.#startFpm();
    const { http, socketPath } = this.#server!;
    this.#log.info("Ready", {
      version: VERSION,
      socket: socketPath,
      http: http === null ? "off" : `${this.#tls === null ? "http" : "https"}://${formatAddress(http)}/`,
      links: this.#links.size,
      adoptedRoutes: routes,
      startMs: Math.round(now() - this.#startedAt),
    });
    if (unreadable > 0)
      this.#log.warn("Routes of our protocol that dplaned cannot express are left alone", { unreadable });
    this.#manager.ready(`programming routes; ${routes} adopted`);
    this.#manager.startWatchdog(() => this.#dataplane.isAlive() && this.#watch.worker().alive);
    this.#publishHealth();
  }

  /** Why nothing comes into the kernel; empty if it does. One in a thread of its own is started again by itself. */
  #brokenKernelProvider(): string {
    const broken = this.#dataplane
      .providers()
      .find(({ kind, state, threaded }) => kind === "kernel" && state === "failed" && !threaded);
    return broken?.reason ?? "";
  }

  /** Only now: a peer that must wait for the kernel to be read would break the connection off. */
  async #startFpm(): Promise<void> {
    const { listen, peers, offloadReplies, ...fpm } = this.#config.fpm;
    if (listen === null) return;
    // One that connects from an address of this machine lives in our own network namespace.
    const isShared = this.#config.kernel.netns === null && !fpm.allowsSharedKernel;
    const server = new FpmServer({
      rib: this.#rib,
      dataplane: this.#dataplane,
      groups: this.#groups,
      pacer: this.#pacer,
      log: this.#rootLog.category("fpm"),
      listen,
      peers,
      offloadReplies,
      quietTimeMs: fpm.quietTimeMs,
      holdTimeMs: fpm.holdTimeMs,
      mapping: { ...fpm, deviceIndex: (name) => this.#links.indexOf(name) },
      sharesKernel: (address) => isShared && isLocalAddress(address),
      linkName: (ifindex) => this.#links.nameOf(ifindex),
    });
    await server.start();
    this.#fpm = server;
  }

  #readiness(): string[] {
    const reasons = [...this.#pending];
    if (this.#pending.length === 0 && !this.#watch.alive) reasons.push("the thread that listens to the kernel is down");
    return reasons;
  }

  #publishHealth(): void {
    this.#events.publish("health", () => {
      const reasons = readinessReasons(this.#dataplane, this.#readiness());
      return { time: Date.now(), ready: reasons.length === 0, reasons };
    });
  }

  /**
   * A part that nothing goes on without has ended again and again: what mends that, if anything does, is a new start, by
   * the service manager. Routes stay where they are. Until then health probes see what is the matter.
   */
  #fail(reason: string): void {
    if (this.#hasFailed || this.#shutdown.signal.aborted || this.#pending.length > 0) return;
    this.#hasFailed = true;
    this.#log.error("The daemon cannot go on and ends; its routes stay in the kernel", { reason });
    this.#manager.status(`failed: ${reason}`);
    setTimeout(() => this.#stop.resolve(EXIT_FAILED), FAILED_EXIT_MS).unref();
  }

  /** The first signal stops in order; a second one while that takes its time stops at once. */
  #onStopSignal(signal: NodeJS.Signals): void {
    if (this.#shutdown.signal.aborted) {
      this.#log.warn("Stopping at once", { signal });
      this.#rootLog.flush();
      process.exit(EXIT_FAILED);
    }
    this.#log.info("Stopping", { signal });
    this.#manager.stopping();
    this.#shutdown.abort();
    this.#stop.resolve(0);
  }

  /** Takes over what can change while running: log level, queue limit, owners, and the content of TLS files. */
  #reload(reloaded: Settings | null): void {
    if (reloaded === null) return this.#log.error("The configuration is not reloaded, because it has errors");
    const { config, owners, tls, warnings } = reloaded;
    for (const warning of warnings) this.#log.warn(warning);
    this.#rib.owners.configure(owners);
    if (tls !== null) this.#server?.setTls(tls);
    this.#manager.reloading();
    this.#rootLog.setLevel(config.daemon.logLevel);
    this.#dataplane.setQueueLimit(config.dataplane.queueLimit);
    this.#log.info("Configuration reloaded", {
      logLevel: config.daemon.logLevel,
      queueLimit: this.#dataplane.queueLimit,
    });
    this.#manager.ready("programming routes");
  }

  async #end(): Promise<void> {
    this.#shutdown.abort();
    await this.#fpm?.close();
    if (this.#config.daemon.withdrawOnExit && this.#pending.length === 0 && !this.#hasFailed) {
      await withdrawAll(this.#rib, this.#dataplane, FINISH_DEADLINE_MS);
      await this.#groups.withdraw();
    }
    this.#dataplane.preFinish();
    const done = await this.#dataplane.finish();
    if (!done) this.#log.warn("Updates under way did not finish in time; their clients are told that they failed");
    await this.#dataplane.shutdown();
    await this.#watch.stop();
    this.#groups.stop();
    await this.#server?.close(CLOSE_DEADLINE_MS);
    const { poolSize, poolFree } = this.#dataplane.snapshot();
    this.#log.info("Stopped", {
      updates: this.#dataplane.snapshot().routeUpdates,
      slotsFree: poolFree,
      slots: poolSize,
    });
  }
}

function isLocalAddress(address: string): boolean {
  if (address.startsWith("127.")) return true;
  return Object.values(networkInterfaces()).some((addresses) => addresses?.some((each) => each.address === address));
}

/** Memory that the main thread shares with providers. */
export interface SharedWithProviders {
  /** The netlink port of the kernel provider. */
  portIdCell: SharedArrayBuffer;
  /** Names by number, for plugins. */
  names: SharedArrayBuffer;
}

/** The providers that the configuration asks for, and the kernel provider if it does not mention one. */
export function providerSpecs(config: Config, shared: SharedWithProviders): ProviderSpec[] {
  const specs = config.providers.map((provider) => toSpec(provider, config, shared));
  if (config.providers.some(({ kind }) => kind === "kernel")) return specs;
  const kernel = { kind: "kernel", name: "kernel", priority: "kernel", threaded: false } as const;
  return [toSpec(kernel, config, shared), ...specs];
}

const PRIORITY_BY_NAME = new Map(
  Object.entries(PROVIDER_PRIORITY_NAMES).map(([value, name]) => [name, Number(value) as ProviderPriority]),
);

function toSpec(provider: ProviderConfig, config: Config, { portIdCell, names }: SharedWithProviders): ProviderSpec {
  const { kind, name = "", priority, threaded, ...own } = provider;
  const { netns, protocol } = config.kernel;
  let options: ProviderSpec["options"] = own;
  if (kind === "kernel") options = { netns: netns ?? undefined, protocol, portIdCell };
  else if (kind === "fpm") options = { ...own, protocol, counters: createFpmClientCounterStorage() };
  else if (kind === "plugin") options = { ...own, counters: createPluginCounterStorage(), names };
  return {
    kind,
    name,
    priority: PRIORITY_BY_NAME.get(priority) ?? ProviderPriority.POST_KERNEL,
    threaded,
    options,
  };
}

/** An FPM client by what its provider is given. */
function fpmClient(name: string, options: ProviderSpec["options"], replay: () => void): FpmClient {
  const { address, profile, counters } = options as {
    address: { host: string; port: number };
    profile: string;
    counters: SharedArrayBuffer;
  };
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return { name, address: `${host}:${address.port}`, profile, counters, replay };
}
