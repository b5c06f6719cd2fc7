// What Mermaid makes of flow charts: a JSON list of texts on stdin, for each on stdout either its parts or Mermaid's error.
//
//     exgrpo graph spec.exg | node tests/node/read_mermaid.mjs --plain

import { readFileSync } from "node:fs";
import { JSDOM } from "jsdom";

const { window } = new JSDOM("");
Object.assign(globalThis, { window, document: window.document });
const { default: mermaid } = await import("mermaid");

// Mermaid keeps `#40;` in a form of its own until it draws.
const decode = (text) =>
  (text ?? "").replace(/ﬂ°°(\d+)¶ß/g, (_, code) => String.fromCodePoint(Number(code))).replaceAll("<br>", "\n");

async function read(text) {
  try {
    await mermaid.parse(text);
    const { db } = await mermaid.mermaidAPI.getDiagramFromText(text);
    return {
      nodes: [...db.getVertices().values()].map(({ id, text, type }) => ({ id, text: decode(text), shape: type })),
      arrows: db.getEdges().map(({ start, end, text, stroke }) => ({ start, end, text: decode(text), stroke })),
      groups: db.getSubGraphs().map(({ title, nodes }) => ({ title: decode(title), nodes })),
    };
  } catch (error) {
    return { error: String(error.message ?? error) };
  }
}

const input = readFileSync(0, "utf8");
const read_all = [];
for (const text of process.argv.includes("--plain") ? [input] : JSON.parse(input)) read_all.push(await read(text));
console.log(JSON.stringify(read_all, null, process.argv.includes("--plain") ? 2 : 0));
process.exitCode = read_all.some(({ error }) => error) ? 1 : 0;
