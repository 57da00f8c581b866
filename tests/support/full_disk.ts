/** A small file system of its own, for what happens when a disk is full. Needs root. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export class SmallDisk {
  readonly path = mkdtempSync(join(tmpdir(), "dplaned-disk-"));
  readonly #ballast = join(this.path, "ballast");

  constructor(kilobytes: number) {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${kilobytes}k,mode=0755`, "dplaned-test", this.path]);
  }

  /** Leaves no room at all. */
  fill(): void {
    const piece = Buffer.alloc(4096, "x");
    try {
      for (;;) writeFileSync(this.#ballast, piece, { flag: "a" });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    }
  }

  /** Gives the room back that {@linkcode fill} took. */
  free(): void {
    rmSync(this.#ballast, { force: true });
  }

  delete(): void {
    execFileSync("umount", ["-l", this.path]);
    rmdirSync(this.path);
  }
}
