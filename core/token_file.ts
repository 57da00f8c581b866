/** Secrets by which a client proves that it may write as an owner. Any thread. */
import { readFileSync } from "node:fs";
import { errorCode } from "./output.ts";

type TokenResult = { ok: true; token: string } | { ok: false; message: string };

/** The token in a client's file, which may be a pipe; or why there is none. */
export function readTokenFile(path: string): TokenResult {
  try {
    return parseToken(readFileSync(path, "utf8"));
  } catch (error) {
    return { ok: false, message: errorCode(error) ?? String(error) };
  }
}

/** The token that a file of this text holds: its only line, without blanks around it. */
export function parseToken(text: string): TokenResult {
  const token = text.trim();
  if (token === "") return { ok: false, message: "the file is empty" };
  if (/[^!-~]/.test(token)) return { ok: false, message: "a token is one line of printable ASCII without blanks" };
  return { ok: true, token };
}
