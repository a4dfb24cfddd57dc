/**
 * Writes dist/: the sources as one CommonJS file, and what Node imports, which hands on the same classes, so that
 * `instanceof` holds in a program of both kinds. Takes no more of the language than the sources use.
 */

import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const IMPORT = /^(import|export) \{([^}]*)\} from "(\.\/[^"]+)";\n/gm;
const EXPORT = /^export (?=(?:async )?(?:class|const|function)\*? (\w+))/gm;

const written = [];
const done = new Map(); // file to the names it exports

/** Write one module as a function that returns what it exports, those it imports before it. */
function add(file, importers = []) {
  if (importers.includes(file)) throw new Error(`${[...importers, file].join(" imports ")}: that is a circle`);
  if (done.has(file)) return;
  const source = readFileSync(join(HERE, "src", file), "utf8");
  const exported = [];
  let body = source.replace(IMPORT, (_, kind, list, path) => {
    const from = normalize(path);
    const names = list.split(",").map((name) => name.trim()).filter(Boolean);
    add(from, [...importers, file]);
    const missing = names.filter((name) => !done.get(from).includes(name));
    if (missing.length > 0) throw new Error(`${file}: ${from} exports no ${missing}`);
    if (kind === "export") exported.push(...names);
    return `const { ${names.join(", ")} } = ${idOf(from)};\n`;
  });
  body = body.replace(EXPORT, (_, name) => {
    exported.push(name);
    return "";
  });
  if (/^(import|export)\b/m.test(body)) throw new Error(`${file}: an import or export that build.js does not know`);
  done.set(file, exported);
  written.push(`const ${idOf(file)} = (() => {\n${body}\nreturn { ${exported.join(", ")} };\n})();\n`);
}

function idOf(file) {
  return `$${file.replace(/\W/g, "_")}`;
}

add("index.js");
const names = done.get("index.js");
const dist = join(HERE, "dist");
rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);
const common = `"use strict";\n// Written by build.js from src/.\n\n${written.join("\n")}\n`;
const exported = names.map((name) => `exports.${name} = $index_js.${name};\n`).join("");
writeFileSync(join(dist, "index.cjs"), common + exported);
const handedOn = `export { ${names.join(", ")} } from "./index.cjs";\n`;
writeFileSync(join(dist, "index.mjs"), `// Written by build.js.\n\n${handedOn}`);
copyFileSync(join(HERE, "index.d.ts"), join(dist, "index.d.cts"));
