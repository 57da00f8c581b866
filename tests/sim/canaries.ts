/**
 * Bugs planted on purpose, of different kinds, to see that simulations find them. Each puts a wrong part in the place of a right one
 * in a simulation; the program knows nothing of it.
 */

import type { Contexts } from "../../core/context/contexts.ts";
import { ContextStatus, DplaneError, U8, U32 } from "../../core/context/layout.ts";
import { RECORD } from "../../core/context/route_record.ts";
import type { Provider, ProviderIo } from "../../core/dataplane/provider.ts";
import type { Family, RouteUpdate } from "../../core/model/route.ts";
import type { Owner } from "../../core/rib/owners.ts";
import { NLMSG_ERROR, NLMSG_HDRLEN } from "../../ffi/netlink/constants.ts";
import type { SimDaemon } from "./daemon.ts";
import type { ModelNetlink } from "./kernel/model_netlink.ts";
import type { Canary } from "./simulation.ts";

export const CANARIES: Readonly<Record<string, Canary>> = {
  "takes silence of the kernel for success": {
    kernelProvider: (provider) =>
      filtering(provider, (contexts, slot) => {
        if (isUnanswered(contexts, slot)) contexts.succeed(slot);
        return true;
      }),
  },
  "loses the results of a batch whose answers were lost": {
    kernelProvider: (provider) => filtering(provider, (contexts, slot) => !isUnanswered(contexts, slot)),
  },
  "takes a refusal of the kernel for success": { netlink: (netlink) => praising(netlink) },
  "leaks the context of an update that is undone": {
    daemon: ({ dataplane }) => {
      const release = dataplane.release.bind(dataplane);
      dataplane.release = (slot) => {
        const isUndone = dataplane.contexts.getU32(slot, U32.ERROR) === DplaneError.PROVIDER_REFUSED;
        if (!isUndone) release(slot);
      };
    },
  },
  "swaps two updates of one prefix": { daemon: swapping },
  "tells the result of a superseded update twice": {
    daemon: ({ rib }) => {
      const openSession = rib.openSession.bind(rib);
      rib.openSession = (session) =>
        openSession({
          onResult: (slot, outcome, contexts) => {
            session.onResult(slot, outcome, contexts);
            if (outcome === "superseded") session.onResult(slot, outcome, contexts);
          },
        });
    },
  },
  "forgets the metric of an adopted route": {
    daemon: ({ rib }) => {
      const adopt = rib.adopt.bind(rib);
      rib.adopt = (bytes, view, offset) => {
        view.setUint32(offset + RECORD.METRIC, 20, true);
        return adopt(bytes, view, offset);
      };
    },
  },
  "sweeps routes that were claimed in time": { daemon: sweeping },
  "trusts a reading that is not complete": {
    monitor: (message) =>
      message.type === "read" ? { ...message, complete: { ipv4: true, ipv6: true, nexthops: true } } : message,
  },
  "forgets what was under way when the dataplane thread dies": {
    daemon: ({ dataplane }) => {
      dataplane.underWay = () => new Uint32Array(0);
    },
  },
  "does not delete nexthop objects": {
    daemon: ({ groups }) => {
      groups.writer.remove = () => Promise.resolve(null);
    },
  },
};

function isUnanswered(contexts: Contexts, slot: number): boolean {
  return (
    contexts.getU8(slot, U8.STATUS) === ContextStatus.FAILURE &&
    contexts.getU32(slot, U32.ERROR) === DplaneError.NO_ANSWER
  );
}

/** A provider that puts out only what `isKept`, which may change it before. */
function filtering(provider: Provider, isKept: (contexts: Contexts, slot: number) => boolean): Provider {
  const filtered = (io: ProviderIo): ProviderIo =>
    Object.create(io, {
      contexts: { value: io.contexts },
      attrs: { value: io.attrs },
      workLimit: { value: io.workLimit },
      log: { value: io.log },
      dequeueMany: { value: (slots: Uint32Array, limit: number) => io.dequeueMany(slots, limit) },
      enqueueMany: {
        value: (slots: Uint32Array, count: number) => {
          const kept = slots.subarray(0, count).filter((slot) => isKept(io.contexts, slot));
          io.enqueueMany(kept, kept.length);
        },
      },
    }) as ProviderIo;
  return {
    start: (io) => provider.start?.(io),
    process: (io) => provider.process(filtered(io)),
    undo: (io, slot) => provider.undo?.(io, slot),
    finish: (io, early) => provider.finish?.(io, early),
  };
}

/** Each refusal reads as an acknowledgement. */
function praising(netlink: ModelNetlink): void {
  const openLibc = netlink.openLibc.bind(netlink);
  netlink.openLibc = (hooks) => {
    const libc = openLibc(hooks);
    const { recvfrom } = libc;
    const praise: typeof recvfrom = (fd, buffer, ...rest) => {
      const bytes = recvfrom(fd, buffer, ...rest);
      const view = new DataView(buffer.buffer, buffer.byteOffset);
      if (bytes > NLMSG_HDRLEN && view.getUint16(4, true) === NLMSG_ERROR) view.setInt32(NLMSG_HDRLEN, 0, true);
      return bytes;
    };
    return Object.assign(libc, { recvfrom: praise });
  };
}

/** Keeps an update back until the next one, which comes before it if it is of the same prefix. */
function swapping({ rib }: SimDaemon): void {
  const admit = rib.admit.bind(rib);
  const flush = rib.flush.bind(rib);
  let kept: (() => void) | null = null;
  let keptKey = "";
  rib.admit = (update, owner, session, line) => {
    const key = `${update.prefix} ${update.prefixLength} ${update.table} ${update.metric} ${owner.name}`;
    const before = kept;
    kept = null;
    const own = structuredClone(update) as RouteUpdate;
    if (before === null) {
      kept = () => void admit(own, owner, session, line);
      keptKey = key;
      return null;
    }
    if (key !== keptKey) before();
    const error = admit(own, owner, session, line);
    if (key === keptKey) before();
    return error;
  };
  rib.flush = () => {
    kept?.();
    kept = null;
    flush();
  };
}

/** With what nobody has claimed goes what somebody has. */
function sweeping({ rib }: SimDaemon): void {
  const claimed = new Map<string, () => void>();
  const claimAdopted = rib.claimAdopted.bind(rib);
  rib.claimAdopted = (family: Family, route: number, owner: Owner, attrs: number) => {
    claimAdopted(family, route, owner, attrs);
    claimed.set(`${family} ${route}`, () => rib.withdraw(family, route));
  };
  const sweep = rib.sweep.bind(rib);
  rib.sweep = (family, route) => {
    sweep(family, route);
    for (const withdraw of claimed.values()) withdraw();
    claimed.clear();
  };
}
