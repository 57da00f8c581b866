import assert from "node:assert/strict";
import { hostname } from "node:os";
import { describe, it } from "node:test";
import { judgeRequest } from "../../../core/northbound/request_gate.ts";

const HOSTS = ["router1.example"];

interface Request {
  method?: string;
  url?: string;
  httpVersion?: string;
  headers?: readonly string[];
}

/** Reason and status of a refusal; empty for a request that is let through. */
function judge(
  { headers = ["host", "localhost:2680"], httpVersion = "1.1", ...rest }: Request,
  listener = "tcp",
): string {
  const head = { ...rest, httpVersion, rawHeaders: headers };
  const refusal = judgeRequest(head, listener as "tcp" | "unix", HOSTS);
  return refusal === null ? "" : `${refusal.reason} ${refusal.problem.status}`;
}

const host = (name: string, ...more: string[]): Request => ({ headers: ["Host", name, ...more] });

describe("where a request ends", () => {
  const cases: [string, Request, string][] = [
    ["plain", {}, ""],
    ["two hosts", host("localhost", "host", "localhost"), "malformed 400"],
    ["two lengths", { ...host("a", "Content-Length", "5", "content-length", "5"), method: "POST" }, "malformed 400"],
    [
      "length and chunks",
      { ...host("a", "content-length", "5", "transfer-encoding", "chunked"), method: "POST" },
      "malformed 400",
    ],
    [
      "two encodings",
      { ...host("a", "transfer-encoding", "chunked", "transfer-encoding", "x"), method: "POST" },
      "malformed 400",
    ],
    ["another encoding", { ...host("a", "transfer-encoding", "gzip, chunked"), method: "POST" }, "malformed 400"],
    [
      "chunks in HTTP/1.0",
      { ...host("a", "transfer-encoding", "chunked"), method: "POST", httpVersion: "1.0" },
      "malformed 400",
    ],
    ["HTTP/2.0", { httpVersion: "2.0" }, "malformed 505"],
    ["HTTP/0.9", { httpVersion: "0.9" }, "malformed 505"],
    ["GET with a body", host("a", "content-length", "1"), "malformed 400"],
    ["GET with an empty body", host("localhost", "content-length", "0"), ""],
    ["GET in chunks", host("a", "transfer-encoding", "chunked"), "malformed 400"],
    ["for somebody else", { url: "http://other/healthz", ...host("localhost") }, "malformed 400"],
    ["with the whole address", { url: "http://localhost/healthz", ...host("localhost") }, ""],
    ["long", { url: `/${"a".repeat(7999)}` }, ""],
    ["too long", { url: `/${"a".repeat(8000)}` }, "too_large 414"],
    ["two tokens", { ...host("a", "authorization", "Bearer a", "Authorization", "Bearer b") }, "malformed 400"],
  ];
  for (const [name, request, expected] of cases) {
    it(`${name}: ${expected || "let through"}`, () => {
      assert.equal(judge(request), expected);
      // The same over the unix socket, where the name in Host says nothing.
      if (expected !== "" || name === "plain") assert.equal(judge(request, "unix"), expected);
    });
  }
});

describe("for whom a request is", () => {
  for (const name of [
    "localhost",
    "LOCALHOST:2680",
    "a.localhost",
    "127.0.0.1:2680",
    "192.0.2.7",
    "[::1]:2680",
    "[2001:db8::1]",
  ]) {
    it(`${name} is us`, () => assert.equal(judge(host(name)), ""));
  }
  for (const name of [hostname(), "router1.example", "Router1.Example.:80"]) {
    it(`${name} is a name of ours`, () => assert.equal(judge(host(name)), ""));
  }
  for (const name of [
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "notlocalhost",
    "1.2.3",
    "0x7f.1",
    "",
    "router1.example.evil",
  ]) {
    it(`${name} is not`, () => {
      assert.equal(judge(host(name)), "host 421");
      assert.equal(judge(host(name), "unix"), "");
    });
  }
});

describe("from where a request comes", () => {
  const cases: [string, Request, string][] = [
    ["a page of ours", host("localhost:2680", "origin", "http://localhost:2680"), ""],
    ["a page of ours behind TLS", host("localhost:2680", "origin", "https://router1.example"), ""],
    ["a page of another port", host("localhost:2680", "origin", "http://localhost:3000"), "cross_site 403"],
    ["a page of another site", host("localhost:2680", "origin", "https://evil.example"), "cross_site 403"],
    ["a page in a sandbox", host("localhost:2680", "origin", "null"), "cross_site 403"],
    [
      "a page that writes",
      { method: "POST", ...host("localhost", "origin", "https://evil.example") },
      "cross_site 403",
    ],
    [
      "a form of another site",
      { method: "POST", ...host("localhost", "sec-fetch-site", "cross-site", "sec-fetch-mode", "navigate") },
      "cross_site 403",
    ],
    [
      "an image of another site",
      host("localhost", "sec-fetch-site", "cross-site", "sec-fetch-mode", "no-cors"),
      "cross_site 403",
    ],
    [
      "an image of a sister site",
      host("localhost", "sec-fetch-site", "same-site", "sec-fetch-mode", "no-cors"),
      "cross_site 403",
    ],
    ["a link of another site", host("localhost", "sec-fetch-site", "cross-site", "sec-fetch-mode", "navigate"), ""],
    ["the address bar", host("localhost", "sec-fetch-site", "none", "sec-fetch-mode", "navigate"), ""],
    ["a script of ours", host("localhost", "sec-fetch-site", "same-origin", "sec-fetch-mode", "cors"), ""],
  ];
  for (const [name, request, expected] of cases) {
    it(`${name}: ${expected || "let through"}`, () => {
      assert.equal(judge(request), expected);
      assert.equal(judge(request, "unix"), "");
    });
  }
});
