/** FPM clients, which export routes to an FPM server, as the API and the metrics show them. Main thread. */
import {
  FPM_CLIENT_STATES,
  type FpmClientCounterName,
  type FpmClientState,
  readFpmClientCounters,
} from "../model/fpm_client_counters.ts";

/** An FPM client as the main thread knows it; its counters are its own thread's. */
export interface FpmClient {
  /** Of the provider. */
  name: string;
  /** HOST:PORT of the FPM server. */
  address: string;
  profile: string;
  counters: SharedArrayBuffer;
  /** Has everything sent again. */
  replay(): void;
}

export interface FpmClientJson {
  name: string;
  address: string;
  profile: string;
  state: FpmClientState;
  counters: Record<Exclude<FpmClientCounterName, "state">, number>;
}

export function readFpmClients(clients: readonly FpmClient[]): FpmClientJson[] {
  return clients.map(({ name, address, profile, counters: storage }) => {
    const { state, ...counters } = readFpmClientCounters(storage);
    return { name, address, profile, state: FPM_CLIENT_STATES[state]!, counters };
  });
}
