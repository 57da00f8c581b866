/** Reads SVG strictly, for tests of what draws it. */
import assert from "node:assert/strict";
import { SaxesParser } from "saxes";

/** Texts of the elements, by the elements' names. Throws where the XML is not well-formed. */
export function parseSvg(svg: string): Map<string, string[]> {
  const parser = new SaxesParser({ xmlns: true });
  const texts = new Map<string, string[]>();
  const open: { name: string; text: string }[] = [];
  parser.on("error", (error) => {
    throw error;
  });
  parser.on("opentag", ({ name, uri }) => {
    assert.equal(uri, "http://www.w3.org/2000/svg");
    open.push({ name, text: "" });
  });
  parser.on("text", (text) => {
    if (open.length > 0) open.at(-1)!.text += text;
  });
  parser.on("closetag", () => {
    const { name, text } = open.pop()!;
    texts.set(name, [...(texts.get(name) ?? []), text]);
  });
  parser.write(svg).close();
  return texts;
}
