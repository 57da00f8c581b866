/** From admission to the result without a kernel. */
import type { Section } from "../bench_context.ts";
import { type PipelineBenchResult, runPipelineBench } from "../pipeline_bench.ts";
import { formatNumber, formatRange, formatTable, median } from "../report.ts";

const KINDS = ["install", "replace", "delete"] as const;
const TARGET = 2_000_000;

export const pipelineSection: Section = {
  name: "pipeline",
  title: "The pipeline alone",
  document: "benchmarks.md",
  measure: async (bench) => {
    const { runs, pipelineRoutes } = bench.sizes;
    const results: PipelineBenchResult[] = [];
    await bench.untilQuiet();
    for (let run = 1; run <= runs; run++) {
      results.push(await runPipelineBench(pipelineRoutes));
      bench.progress(`run ${run} of ${runs}: pipeline alone`);
    }
    const rates = (kind: (typeof KINDS)[number]) => results.map((result) => result.rates[kind]);
    const rows = KINDS.map((kind) => [kind, formatNumber(median(rates(kind))), formatRange(rates(kind))]);
    return {
      text: formatTable([`${formatNumber(pipelineRoutes)} updates`, "updates/s, median", "all runs"], rows),
      findings: KINDS.map((kind) => ({
        what: `pipeline alone, ${kind}`,
        value: median(rates(kind)),
        unit: "/s",
        target: TARGET,
        atLeast: true,
      })),
    };
  },
};
