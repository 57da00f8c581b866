/** What the browser has beside its own: uPlot, which the page loads as a script. */
import type UPlot from "uplot";

declare global {
  const uPlot: typeof UPlot;
}
