/** The names of architectures, and of what is built for them. tests/binary/cross_build_test.ts builds it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  ARCHITECTURES,
  type Architecture,
  binaryPath,
  isNative,
  parseArchitecture,
} from "../../packaging/architectures.ts";

const NAMES = Object.keys(ARCHITECTURES) as Architecture[];

describe("architectures", () => {
  it("are taken by Debian's names", () => {
    assert.equal(parseArchitecture("arm64"), "arm64");
    assert.throws(() => parseArchitecture("aarch64"), /^Error: Cannot build for "aarch64": ARCH is amd64 or arm64$/);
    assert.throws(() => parseArchitecture("toString"), /Cannot build/);
  });

  it("have each a binary of its own, this machine's the short name", () => {
    const [native, ...others] = NAMES.filter(isNative);
    assert.equal(others.length, 0);
    assert.equal(binaryPath(native!), "dist/dplaned");
    assert.equal(new Set(NAMES.map(binaryPath)).size, NAMES.length);
  });
});
