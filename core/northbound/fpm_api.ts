/** `/v1/fpm`: peers that send their routes, servers that routes are exported to, and sending all of them again. Main thread. */
import type { Dataplane } from "../dataplane/dataplane.ts";
import type { FpmJson, FpmReplayJson, FpmServerJson } from "./api_types.ts";
import { type Endpoints, type Handler, json } from "./endpoint.ts";
import { type FpmClient, readFpmClients } from "./fpm_client_json.ts";
import { NO_PARAMETERS } from "./parameters.ts";
import { Problem } from "./problem.ts";
import { readQuery } from "./query.ts";

export interface FpmParts {
  /** The FPM server; null where there is none. */
  fpmServer?: () => FpmServerJson | null;
  /** Providers that export to an FPM server. */
  fpmClients?: readonly FpmClient[];
  dataplane: Dataplane;
}

export function fpmEndpoints({ fpmServer = () => null, fpmClients = [], dataplane }: FpmParts): Endpoints {
  const show: Handler = (context) => {
    readQuery(context.req.url, NO_PARAMETERS);
    return json({ server: fpmServer(), clients: readFpmClients(fpmClients) } satisfies FpmJson);
  };
  const replay: Handler = (context) => {
    readQuery(context.req.url, NO_PARAMETERS);
    const name = context.req.param("client") ?? "";
    const client = fpmClients.find((each) => each.name === name);
    if (client === undefined) {
      const names = fpmClients.map((each) => each.name).join(", ");
      const hint = names === "" ? 'the configuration has no [[provider]] kind = "fpm"' : `there is ${names}`;
      throw new Problem(404, `There is no FPM client ${JSON.stringify(name)}`, hint);
    }
    if (!dataplane.isAccepting()) throw new Problem(503, "dplaned takes no more work", "see GET /readyz");
    client.replay();
    return json({ client: name, replaying: true } satisfies FpmReplayJson, 202);
  };
  return { "/v1/fpm": { GET: show }, "/v1/fpm/clients/:client/replay": { POST: replay } };
}
