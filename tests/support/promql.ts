/** What an expression of PromQL names: enough of its grammar to hold dashboards and alerts to the metrics that there are. */

export interface Selector {
  metric: string;
  matchers: { label: string; operator: string; value: string }[];
}

export interface Expression {
  selectors: Selector[];
  /** Labels of `by (…)` and its like. */
  grouped: string[];
}

const FUNCTIONS = new Set(
  "abs avg changes count delta deriv histogram_quantile increase irate max max_over_time min rate sum time topk".split(
    " ",
  ),
);
const WORDS = new Set("and or unless bool offset".split(" "));

/** Throws for an identifier that is followed by a bracket and no function that Prometheus has, or brackets that do not pair. */
export function readExpression(text: string): Expression {
  const selectors: Selector[] = [];
  const grouped: string[] = [];
  const token =
    /"(?:[^"\\]|\\.)*"|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)|([a-zA-Z_:][\w:]*)(?:\s*(\{[^}]*\}))?(\s*\()?|(\d[\w.]*)|([()])|[-+*/%^=!<>,\s]+|./g;
  let depth = 0;
  for (const [whole, labels, name, braces, call, , bracket] of text.matchAll(token)) {
    if (bracket !== undefined || call !== undefined) depth += whole.endsWith("(") ? 1 : -1;
    if (labels !== undefined) grouped.push(...labels.split(",").map((label) => label.trim()));
    else if (call !== undefined && !FUNCTIONS.has(name!)) throw new Error(`${text}: ${name} is no function`);
    else if (name !== undefined && call === undefined && !WORDS.has(name) && !FUNCTIONS.has(name)) {
      selectors.push({ metric: name, matchers: readMatchers(braces ?? "") });
    } else if (/^["{}$;]/.test(whole)) throw new Error(`${text}: ${whole} has no place there`);
  }
  if (depth !== 0) throw new Error(`${text}: brackets do not pair`);
  return { selectors, grouped };
}

function readMatchers(braces: string): Selector["matchers"] {
  const found = [...braces.matchAll(/(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"/g)];
  const rest = braces.replace(/(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"/g, "").replace(/[{},\s]/g, "");
  if (rest !== "") throw new Error(`${braces}: ${rest} is no matcher`);
  return found.map(([, label, operator, value]) => ({ label: label!, operator: operator!, value: value! }));
}
