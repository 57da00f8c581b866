/** Writes as many bytes as its argument says to standard output after making that non-blocking; run by output_test.ts. */
import { EXIT_BROKEN_PIPE, isBrokenPipe, writeAll } from "../../core/output.ts";

// On Bun, touching `process.stdout` is what makes the descriptor non-blocking.
if (process.stdout.isTTY) throw new Error("Standard output must be a pipe");
try {
  writeAll(1, "x".repeat(Number(process.argv[2])));
  process.exit(0);
} catch (error) {
  process.exit(isBrokenPipe(error) ? EXIT_BROKEN_PIPE : 1);
}
