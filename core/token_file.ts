/** Files that hold a secret by which a client proves that it may write as an owner. Any thread. */
import { readFileSync } from "node:fs";
import { errorCode } from "./output.ts";

/** The token in the file: its first line, without blanks around it; or why there is none. */
export function readTokenFile(path: string): { ok: true; token: string } | { ok: false; message: string } {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    return { ok: false, message: errorCode(error) ?? String(error) };
  }
  const token = text.trim();
  if (token === "") return { ok: false, message: "the file is empty" };
  if (/[^!-~]/.test(token)) return { ok: false, message: "a token is one line of printable ASCII without blanks" };
  return { ok: true, token };
}
