/**
 * Updates as a plugin sees them (core/plugin/dplaned.d.ts): views into the frame with which they came, each with the decision
 * of the plugin about it. In the process of a plugin.
 */

import { epochOffset } from "../../core/clock.ts";
import { CONTEXT_BYTES } from "../../core/constants.ts";
import { ATTRS, ATTRS_ALIGN, AttrsReader, NO_ATTRS } from "../../core/context/attrs.ts";
import { Contexts } from "../../core/context/contexts.ts";
import { ContextFlag, ContextOp, ContextStatus, DPLANE_ERROR_NAMES, F64, U8, U32 } from "../../core/context/layout.ts";
import { formatRefusal, parseRefusal } from "../../core/context/refusal.ts";
import { formatPrefix } from "../../core/model/prefix.ts";
import { Family as Families, type Family } from "../../core/model/route.ts";
import type { Route, Update, UpdateError, UpdateJson } from "../../core/plugin/dplaned.d.ts";
import { errnoName, errnoText } from "../../ffi/libc/errno.ts";
import { COPIES_HEADER, COPY_SLOT, COPY_TICKET, Verdict } from "./frames.ts";
import { type CopiedAttrs, type RouteViews, routeToJson } from "./route_view.ts";

const OPS: Readonly<Record<number, Update["op"]>> = {
  [ContextOp.ROUTE_INSTALL]: "install",
  [ContextOp.ROUTE_UPDATE]: "replace",
  [ContextOp.ROUTE_DELETE]: "delete",
};

const STATUSES: Readonly<Record<ContextStatus, Update["status"]>> = {
  [ContextStatus.QUEUED]: "queued",
  [ContextStatus.SUCCESS]: "programmed",
  [ContextStatus.FAILURE]: "failed",
};

const CODE = /^[A-Z][A-Z0-9_]{0,31}$/;

/** Where decisions go, and what may be decided. */
export interface Desk {
  readonly views: RouteViews;
  /** Priorities at which updates can be made to bypass the kernel, and can be said to be programmed. */
  readonly isBeforeKernel: boolean;
  readonly isKernel: boolean;
  decide(slot: number, ticket: number, verdict: Verdict, text: string): void;
}

/** The copies of one frame. */
export class Copies {
  readonly desk: Desk;
  readonly contexts: Contexts<ArrayBuffer>;
  readonly attrs: CopiedAttrs;

  constructor(desk: Desk, body: ArrayBuffer) {
    this.desk = desk;
    this.contexts = new Contexts(body);
    this.attrs = new AttrsReader(body);
  }

  /** The copy of one context, with its attributes, in memory of its own. */
  extract(index: number): Copies {
    const { u8, u32 } = this.contexts;
    const parts = [U32.ATTRS, U32.OLD_ATTRS].map((field) => {
      const attrs = this.contexts.getU32(index, field);
      if (attrs === NO_ATTRS) return { field, bytes: new Uint8Array(0) };
      const at = attrs * ATTRS_ALIGN;
      return { field, bytes: u8.subarray(at, at + u32[(at + ATTRS.LENGTH) / 4]!) };
    });
    const length = parts.reduce((sum, { bytes }) => sum + bytes.length, 2 * COPIES_HEADER);
    // A whole number of contexts, because that is what the views are made for.
    const copies = new Copies(this.desk, new ArrayBuffer(Math.ceil(length / CONTEXT_BYTES) * CONTEXT_BYTES));
    const base = index * CONTEXT_BYTES;
    copies.contexts.u8.set(u8.subarray(base, base + CONTEXT_BYTES), COPIES_HEADER);
    let at = 2 * COPIES_HEADER;
    for (const { field, bytes } of parts) {
      copies.contexts.u8.set(bytes, at);
      copies.contexts.setU32(1, field, bytes.length === 0 ? NO_ATTRS : at / ATTRS_ALIGN);
      at += bytes.length;
    }
    return copies;
  }
}

/** How far the plugin is with an update. */
const State = { OPEN: 0, KEPT: 1, DECIDED: 2 } as const;

export class UpdateView implements Update {
  #copies: Copies;
  #index: number;
  #state: number = State.OPEN;

  /** `index` is the number of the copy. */
  constructor(copies: Copies, index: number) {
    this.#copies = copies;
    this.#index = index;
  }

  get sequence(): number {
    return this.#copies.contexts.getF64(this.#index, F64.ADMISSION);
  }

  get op(): Update["op"] {
    return OPS[this.#u8(U8.OP)]!;
  }

  get family(): 4 | 6 {
    return this.#u8(U8.FAMILY) === Families.IPV6 ? 6 : 4;
  }

  get prefix(): string {
    const { u8 } = this.#copies.contexts;
    return formatPrefix(this.#u8(U8.FAMILY) as Family, u8, this.#at(U8.PREFIX), this.prefixLength);
  }

  get address(): Uint8Array {
    const at = this.#at(U8.PREFIX);
    return this.#copies.contexts.u8.slice(at, at + (this.family === 4 ? 4 : 16));
  }

  get prefixLength(): number {
    return this.#u8(U8.PREFIX_LENGTH);
  }

  get source(): string | undefined {
    const length = this.#u8(U8.SOURCE_LENGTH);
    if (length === 0) return undefined;
    return formatPrefix(this.#u8(U8.FAMILY) as Family, this.#copies.contexts.u8, this.#at(U8.SOURCE), length);
  }

  get table(): number {
    return this.#u32(U32.TABLE);
  }

  get metric(): number {
    return this.#u32(U32.METRIC);
  }

  get route(): Route | undefined {
    return this.#copies.desk.views.route(this.#copies.attrs, this.#u32(U32.ATTRS));
  }

  get oldRoute(): Route | undefined {
    return this.#copies.desk.views.route(this.#copies.attrs, this.#u32(U32.OLD_ATTRS));
  }

  get owner(): string {
    return this.#copies.desk.views.ownerName(this.#u32(U32.WINNER) || this.#u32(U32.OWNER));
  }

  get requestedBy(): string {
    return this.#copies.desk.views.ownerName(this.#u32(U32.OWNER));
  }

  get status(): Update["status"] {
    return STATUSES[this.#u8(U8.STATUS) as ContextStatus];
  }

  get error(): UpdateError | undefined {
    if (this.status !== "failed") return undefined;
    const error = this.#u32(U32.ERROR);
    const text = this.#copies.contexts.errorText(this.#index);
    const refusal = parseRefusal(text);
    if (refusal !== undefined) return { code: refusal.code, message: refusal.message };
    return { code: DPLANE_ERROR_NAMES[error] ?? errnoName(error), message: text === "" ? errnoText(error) : text };
  }

  get skipsKernel(): boolean {
    return this.#hasFlag(ContextFlag.SKIP_KERNEL);
  }

  get isBypassed(): boolean {
    return this.#u32(U32.BYPASSED) !== 0;
  }

  get isReplayed(): boolean {
    return this.#hasFlag(ContextFlag.REPLAYED);
  }

  get takesOver(): boolean {
    return this.#hasFlag(ContextFlag.TAKE_OVER);
  }

  get admittedAt(): number {
    return Math.round(this.#copies.contexts.getF64(this.#index, F64.ADMITTED_AT) + epochOffset());
  }

  pass(): void {
    this.#decide(Verdict.PASS, "");
  }

  fail(code: string, message: string, hint = ""): void {
    if (!CODE.test(code)) {
      throw new TypeError(
        `fail: the code ${JSON.stringify(code)} is not capital letters, digits and underscores, 32 at most`,
      );
    }
    if (typeof message !== "string" || message === "") throw new TypeError("fail: the message says nothing");
    this.#decide(Verdict.FAIL, formatRefusal({ code, message, hint: String(hint) }));
  }

  skipKernel(): void {
    if (!this.#copies.desk.isBeforeKernel) {
      throw new TypeError("skipKernel: only a provider before the kernel can have an update bypass it");
    }
    this.#decide(Verdict.SKIP_KERNEL, "");
  }

  succeed(): void {
    if (!this.#copies.desk.isKernel) {
      throw new TypeError('succeed: only a provider with priority "kernel" can say that an update is programmed');
    }
    this.#decide(Verdict.SUCCEED, "");
  }

  keep(): void {
    if (this.#state === State.DECIDED) throw new TypeError(`keep: ${this.prefix} is decided already`);
    this.#state = State.KEPT;
  }

  toJSON(): UpdateJson {
    const { route, source } = this;
    return {
      op: this.op === "delete" ? "delete" : "install",
      prefix: this.prefix,
      ...(source === undefined ? {} : { source }),
      table: this.table,
      metric: this.metric,
      ...(route === undefined ? {} : routeToJson(route)),
    };
  }

  /** The call is over: what was neither decided nor kept goes on. */
  static end(update: UpdateView): void {
    if (update.#state === State.OPEN) update.#decide(Verdict.PASS, "");
    else if (update.#state === State.KEPT) UpdateView.#leaveFrame(update);
  }

  /** The call has returned a promise, for which what is not decided waits. */
  static keepAll(updates: readonly UpdateView[]): void {
    for (const update of updates) {
      if (update.#state === State.OPEN) update.#state = State.KEPT;
      if (update.#state === State.KEPT) UpdateView.#leaveFrame(update);
    }
  }

  /** The promise is fulfilled, or it failed: what was not decided meanwhile is now. */
  static settle(update: UpdateView, verdict: Verdict, text: string): void {
    if (update.#state !== State.DECIDED) update.#decide(verdict, text);
  }

  /** One update that is kept must not keep the memory of all that came with it. */
  static #leaveFrame(update: UpdateView): void {
    update.#copies = update.#copies.extract(update.#index);
    update.#index = 1;
  }

  #decide(verdict: Verdict, text: string): void {
    if (this.#state === State.DECIDED)
      throw new TypeError(`${this.prefix} is decided already; an update is decided once`);
    this.#state = State.DECIDED;
    this.#copies.desk.decide(this.#u32(COPY_SLOT), this.#u32(COPY_TICKET), verdict, text);
  }

  #at(field: number): number {
    return this.#index * CONTEXT_BYTES + field;
  }

  #u8(field: number): number {
    return this.#copies.contexts.getU8(this.#index, field);
  }

  #u32(field: number): number {
    return this.#copies.contexts.getU32(this.#index, field);
  }

  #hasFlag(flag: number): boolean {
    return this.#copies.contexts.hasFlag(this.#index, flag);
  }
}
