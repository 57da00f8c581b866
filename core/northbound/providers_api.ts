/** `/v1/providers`: the providers of the pipeline, and having a plugin started anew. Main thread. */
import type { Dataplane } from "../dataplane/dataplane.ts";
import { type Endpoints, type Handler, json } from "./endpoint.ts";
import { NO_PARAMETERS } from "./parameters.ts";
import type { Plugins } from "./plugins.ts";
import { Problem } from "./problem.ts";
import type { ProviderRestartJson } from "./provider_types.ts";
import { readQuery } from "./query.ts";
import { describeProviders } from "./status.ts";

export interface ProvidersParts {
  dataplane: Dataplane;
  /** Providers that are plugins. */
  plugins?: Plugins;
}

export function providerEndpoints({ dataplane, plugins }: ProvidersParts): Endpoints {
  const show: Handler = (context) => {
    readQuery(context.req.url, NO_PARAMETERS);
    return json({ providers: describeProviders(dataplane, plugins) });
  };
  const restart: Handler = async (context) => {
    readQuery(context.req.url, NO_PARAMETERS);
    const name = context.req.param("provider") ?? "";
    const error = await plugins?.restart(name);
    if (error === undefined) {
      const names = plugins?.names().join(", ") ?? "";
      const hint = names === "" ? 'the configuration has no [[provider]] kind = "plugin"' : `there is ${names}`;
      throw new Problem(404, `There is no plugin ${JSON.stringify(name)}`, hint);
    }
    if (error !== "") throw new Problem(409, error, "the plugin that runs goes on, if one does");
    return json({ provider: name, restarted: true } satisfies ProviderRestartJson);
  };
  return { "/v1/providers": { GET: show }, "/v1/providers/:provider/restart": { POST: restart } };
}
