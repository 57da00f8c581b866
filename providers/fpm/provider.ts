/**
 * The FPM provider: exports what is programmed to an FPM server over TCP, as zebra's dplane_fpm_nl does: FRR's own tools,
 * SONiC's fpmsyncd, or another dplaned. It stands behind the kernel and runs on a thread of its own. Contexts never wait
 * here: what cannot be sent now is remembered by its key and asked for later (providers/fpm/exporter.ts).
 */
import { setTimeout } from "node:timers";
import { NO_ATTRS } from "../../core/context/attrs.ts";
import { ContextOp, ContextStatus, isNexthopOp, U8, U32 } from "../../core/context/layout.ts";
import { readNexthopObject } from "../../core/context/nexthop_object.ts";
import type { ExportAnswer, ExportQuestion } from "../../core/context/route_export.ts";
import type { Provider, ProviderIo, RegisteredProvider } from "../../core/dataplane/provider.ts";
import { FpmConnection, RETRY_MIN_MS } from "./connection.ts";
import { FpmCounters } from "./counters.ts";
import { Exporter } from "./exporter.ts";
import { NexthopTable } from "./nexthop_table.ts";
import { OutputBuffer } from "./output.ts";
import { FPM_PROFILES } from "./profile.ts";
import { RouteEncoder } from "./route_encoder.ts";
import { RouteKey } from "./route_key.ts";

/** How long the server has to read the last bytes when the thread ends. */
const CLOSE_DEADLINE_MS = 500;
const CLOSE_POLL_MS = 10;

export interface FpmOptions {
  address: { host: string; port: number };
  /** A name of providers/fpm/profile.ts. */
  profile: string;
  /** False: routes have their nexthops themselves, and no nexthop objects are sent. */
  nexthopGroups: boolean;
  /** Routes that the kernel has refused are sent as if it had not. */
  exportFailed: boolean;
  /** RTPROT_* of routes that have none of their own. */
  protocol: number;
  /** Memory of core/model/fpm_client_counters.ts. */
  counters: SharedArrayBuffer;
  /** First pause before another attempt to connect. */
  retryMinMs?: number;
}

export function createFpmProvider({ name, options }: RegisteredProvider): Provider {
  const { profile } = options as unknown as FpmOptions;
  if (!Object.hasOwn(FPM_PROFILES, profile)) {
    throw new RangeError(`Cannot make FPM provider "${name}": there is no profile "${profile}"`);
  }
  return new FpmProvider(options as unknown as FpmOptions);
}

class FpmProvider implements Provider {
  readonly #options: FpmOptions;
  readonly #counters: FpmCounters;
  readonly #output: OutputBuffer;
  readonly #key = new RouteKey();
  #exporter!: Exporter;
  #connection!: FpmConnection;
  #taken!: Uint32Array;

  constructor(options: FpmOptions) {
    this.#options = options;
    this.#counters = new FpmCounters(options.counters);
    const { frameBytesMax } = FPM_PROFILES[options.profile]!;
    this.#output = new OutputBuffer(frameBytesMax, (bytes) => this.#connection.write(bytes), this.#counters);
  }

  start(io: ProviderIo): void {
    const { address, protocol, nexthopGroups, exportFailed, retryMinMs = RETRY_MIN_MS } = this.#options;
    const profile = FPM_PROFILES[this.#options.profile]!;
    const [output, counters] = [this.#output, this.#counters];
    const isInline = !nexthopGroups;
    this.#taken = new Uint32Array(io.workLimit);
    const nexthops = new NexthopTable({ profile, protocol, isInline, counters });
    const encoder = new RouteEncoder({ profile, protocol, isInline, nexthops });
    const ask = (question: ExportQuestion, transfer?: readonly ArrayBuffer[]) => io.tell(question, transfer);
    const onReplayed = () => this.#connection.markGood();
    this.#exporter = new Exporter({ nexthops, encoder, output, counters, ask, onReplayed });
    this.#connection = new FpmConnection({
      host: address.host,
      port: address.port,
      retryMinMs,
      onConnect: () => this.#exporter.connect(),
      onClose: () => {
        output.reset();
        this.#exporter.disconnect();
      },
      onWritten: (length) => {
        output.onWritten(length);
        this.#exporter.pump();
      },
      counters,
      log: io.log,
    });
    counters.setState("connecting");
    ask({ type: "begin", wantsFailed: exportFailed, routes: "untold" });
    this.#connection.open();
  }

  process(io: ProviderIo): void {
    const count = io.dequeueMany(this.#taken, io.workLimit);
    if (count === 0) return;
    try {
      for (let index = 0; index < count; index++) this.#take(io, this.#taken[index]!);
    } catch (error) {
      // Routes do not fail for an export. A new connection starts with everything, so nothing is missed.
      io.log.error("Updates could not be exported; the export begins anew", { error: String(error) });
      this.#connection.drop("the export begins anew");
    }
    io.enqueueMany(this.#taken, count);
    this.#counters.add("contexts", count);
    this.#exporter.pump();
  }

  /** A later provider has failed it: what the kernel holds now is asked for, once it is known. */
  undo(io: ProviderIo, slot: number): void {
    if (isNexthopOp(io.contexts.getU8(slot, U8.OP))) this.#exporter.markObjects();
    else {
      this.#key.fromContext(io.contexts, slot);
      this.#exporter.mark(this.#key);
    }
    this.#exporter.pump();
  }

  onMessage(_io: ProviderIo, body: unknown): void {
    this.#exporter.onAnswer(body as ExportAnswer);
  }

  async finish(_io: ProviderIo, early: boolean): Promise<void> {
    if (early) return;
    this.#output.flush();
    for (let waited = 0; this.#output.buffered > 0 && waited < CLOSE_DEADLINE_MS; waited += CLOSE_POLL_MS) {
      await new Promise((wake) => setTimeout(wake, CLOSE_POLL_MS));
    }
    this.#connection.close();
    this.#counters.setState("stopped");
  }

  #take(io: ProviderIo, slot: number): void {
    const { contexts, attrs: reader } = io;
    const op = contexts.getU8(slot, U8.OP);
    const attrs = contexts.getU32(slot, U32.ATTRS);
    // What stands before the kernel, or bypassed it, says nothing of what the kernel holds.
    const isDone = contexts.getU8(slot, U8.STATUS) === ContextStatus.SUCCESS;
    if (isNexthopOp(op)) {
      const id = contexts.getU32(slot, U32.NEXTHOP_ID);
      // Number 0 is a question to the kernel whether it has nexthop objects.
      if (id === 0) return;
      if (isDone) this.#exporter.onObject(id, attrs === NO_ATTRS ? null : readNexthopObject(reader, attrs));
      else this.#exporter.markObjects();
      return;
    }
    this.#key.fromContext(contexts, slot);
    if (!isDone) this.#exporter.mark(this.#key);
    else if (op === ContextOp.ROUTE_DELETE) this.#exporter.onDelete(this.#key);
    else this.#exporter.onInstall(this.#key, reader, attrs);
  }
}
