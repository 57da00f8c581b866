/** What `dplaned provider init` writes: a provider that works, with its tests. The texts are part of the program. Any thread. */
import contract from "./dplaned.d.ts.txt" with { type: "text" };
// biome-ignore lint/correctness/useImportExtensions: the text is meant, by a link to the file that is checked and tested.
import harness from "./skeleton/harness.txt" with { type: "text" };
import provider from "./skeleton/provider.ts.txt" with { type: "text" };
import test from "./skeleton/provider_test.ts.txt" with { type: "text" };
import readme from "./skeleton/README.md.txt" with { type: "text" };
import tsconfig from "./skeleton/tsconfig.json.txt" with { type: "text" };

/** The contract of providers, as a file. */
export const CONTRACT: string = contract;

/** The files of a new provider, by name. */
export function createSkeleton(name: string): Record<string, string> {
  const named = (text: string): string => text.replaceAll("NAME", name);
  return {
    [`${name}.ts`]: named(provider),
    [`${name}_test.ts`]: named(test),
    "dplaned.d.ts": contract,
    "dplaned_harness.ts": harness.replace("../dplaned.d.ts", "./dplaned.d.ts"),
    "tsconfig.json": tsconfig,
    "README.md": named(readme),
  };
}
