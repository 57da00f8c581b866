/** The dashboard's files as text, by name: the compiled binary carries them along. Main thread. */
import uplotScript from "uplot/dist/uPlot.iife.min.js" with { type: "text" };
import uplotStyle from "uplot/dist/uPlot.min.css" with { type: "text" };
import api from "./api.js" with { type: "text" };
import app from "./app.js" with { type: "text" };
import docsStyle from "./docs.css" with { type: "text" };
import docs from "./docs.html" with { type: "text" };
import docsScript from "./docs.js" with { type: "text" };
import docsSchema from "./docs_schema.js" with { type: "text" };
import docsTry from "./docs_try.js" with { type: "text" };
import dom from "./dom.js" with { type: "text" };
import format from "./format.js" with { type: "text" };
import icon from "./icon.svg" with { type: "text" };
import index from "./index.html" with { type: "text" };
import live from "./live.js" with { type: "text" };
import panels from "./panels.js" with { type: "text" };
import pipeline from "./pipeline.js" with { type: "text" };
import pipelineParts from "./pipeline_parts.js" with { type: "text" };
import plots from "./plots.js" with { type: "text" };
import story from "./story.js" with { type: "text" };
import style from "./style.css" with { type: "text" };
import theme from "./theme.js" with { type: "text" };
import themeSwitch from "./theme_switch.js" with { type: "text" };
import troubles from "./troubles.js" with { type: "text" };

export const WEB_FILES: Readonly<Record<string, string>> = {
  "api.js": api,
  "app.js": app,
  "docs.css": docsStyle,
  "docs.html": docs,
  "docs.js": docsScript,
  "docs_schema.js": docsSchema,
  "docs_try.js": docsTry,
  "dom.js": dom,
  "format.js": format,
  "icon.svg": icon,
  "index.html": index,
  "live.js": live,
  "panels.js": panels,
  "pipeline.js": pipeline,
  "pipeline_parts.js": pipelineParts,
  "plots.js": plots,
  "story.js": story,
  "style.css": style,
  "theme.js": theme,
  "theme_switch.js": themeSwitch,
  "troubles.js": troubles,
  "uplot.css": uplotStyle,
  "uplot.js": uplotScript,
};
