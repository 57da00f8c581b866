/** What a namespace's kernel holds that somebody put there, in a form that two kernels can be compared in. */
import type { Netns } from "./netns.ts";

/** `PREFIX table N` to where it leads: its nexthops in a fixed order, or `type N` for a route that drops. */
export type Fib = Map<string, string>;

export interface FibHop {
  gateway: string;
  dev: string;
  weight: number;
}

const RTN_UNICAST = "1";
/** Routes that the kernel makes of addresses, of its own, and of router advertisements. */
const NOT_COMPARED = new Set(["0", "2", "9"]);
const LOCAL_TABLE = "255";
/** Where tests/support/route_monitor.ts puts its marks. */
const MARK_TABLE = "4000000000";

interface IpHop {
  gateway?: string;
  via?: { host: string };
  dev?: string;
  weight?: number;
}

interface IpRoute extends IpHop {
  dst: string;
  type?: string;
  table?: string;
  protocol?: string;
  nhid?: number;
  nexthops?: IpHop[];
}

interface IpNexthop extends IpHop {
  id: number;
  group?: { id: number; weight?: number }[];
}

/** Equal shares stay equal: FRR's old FPM module counts each weight one too high. */
export function formatHops(hops: readonly FibHop[]): string {
  const divisor = hops.reduce((common, { weight }) => greatestCommonDivisor(common, weight), 0);
  const texts = hops.map(({ gateway, dev, weight }) => `${gateway}@${dev}*${weight / divisor}`);
  return texts.sort().join(" ");
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

function toHop({ gateway, via, dev = "", weight = 1 }: IpHop): FibHop {
  return { gateway: gateway ?? via?.host ?? "", dev, weight };
}

/** The routes of all tables but the local one, without those that the kernel made itself. Nexthop objects are resolved. */
export function readFib(ns: Netns): Fib {
  const objects = new Map<number, IpNexthop>();
  for (const object of ns.ipJson("nexthop") as IpNexthop[]) objects.set(object.id, object);
  const fib: Fib = new Map();
  for (const family of ["-4", "-6"]) {
    for (const route of ns.ipJson("-N", family, "route", "show", "table", "all") as IpRoute[]) {
      const { dst, type = RTN_UNICAST, table = "254", protocol = "3" } = route;
      if (NOT_COMPARED.has(protocol) || table === LOCAL_TABLE || table === MARK_TABLE) continue;
      const name = `${fullPrefix(dst, family)} table ${table}`;
      const leads = type === RTN_UNICAST ? formatHops(hopsOf(route, objects)) : `type ${type}`;
      const other = fib.get(name);
      fib.set(name, other === undefined ? leads : [other, leads].sort().join(" and "));
    }
  }
  return fib;
}

function fullPrefix(dst: string, family: string): string {
  if (dst === "default") return family === "-4" ? "0.0.0.0/0" : "::/0";
  return dst.includes("/") ? dst : `${dst}/${family === "-4" ? 32 : 128}`;
}

function hopsOf(route: IpRoute, objects: ReadonlyMap<number, IpNexthop>): FibHop[] {
  const object = route.nhid === undefined ? undefined : objects.get(route.nhid);
  if (object === undefined) return (route.nexthops ?? [route]).map(toHop);
  if (object.group === undefined) return [toHop(object)];
  return object.group.map(({ id, weight = 1 }) => ({ ...toHop(objects.get(id)!), weight }));
}

const DIFFERENCES_MAX = 20;

/** In what the second differs from the first, in words; empty if in nothing. */
export function fibDifferences(wanted: Fib, held: Fib): string[] {
  const differences: string[] = [];
  for (const [name, leads] of wanted) {
    const other = held.get(name);
    if (other === undefined) differences.push(`${name} is missing (${leads})`);
    else if (other !== leads) differences.push(`${name} leads to ${other}, not to ${leads}`);
    if (differences.length > DIFFERENCES_MAX) return [...differences, "…"];
  }
  for (const name of held.keys()) if (!wanted.has(name)) differences.push(`${name} should not be there`);
  return differences.slice(0, DIFFERENCES_MAX);
}

/** Whether a FIB has these routes as told; `undefined` is for one that it must not have. */
export function has(routes: Readonly<Record<string, string | undefined>>): (fib: Fib) => boolean {
  return (fib) => Object.entries(routes).every(([name, leads]) => fib.get(name) === leads);
}
