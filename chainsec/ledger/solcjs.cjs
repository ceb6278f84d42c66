#!/usr/bin/env node
// Speaks enough of solc's command line over the npm package `solc` (the same compiler as WebAssembly) for
// py-solc-x, forge (--use) and slither (--solc). Layer: ledger. Does not link, print ASTs or take source files.
//
//   solcjs.cjs --version
//   solcjs.cjs --standard-json [--base-path DIR] [--include-path DIR]... [--allow-paths DIR,...] < input.json
//
// --modules DIR, for callers only: where to look for the npm package first.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

function parse(words) {
  const options = { include: [], allow: [] };
  for (let i = 0; i < words.length; i += 1) {
    const [flag, inline] = words[i].split(/=(.*)/s);
    const value = () => inline ?? words[(i += 1)];
    if (flag === "--version") options.version = true;
    else if (flag === "--standard-json") options.standardJson = true;
    else if (flag === "--base-path") options.base = value();
    else if (flag === "--include-path") options.include.push(value());
    else if (flag === "--allow-paths") options.allow.push(...value().split(",").filter(Boolean));
    else if (flag === "--modules") options.modules = value();
    else if (flag !== "-") throw new Error(`unrecognised option '${flag}'`);
  }
  return options;
}

function loadCompiler(options) {
  const places = [options.modules, options.base, process.cwd(), __dirname].filter(Boolean);
  return require(require.resolve("solc", { paths: places }));
}

// solc's own rule: a file is read from the base path, the include paths or node_modules above the base path, and only
// where its real place lies under one of them or under an allowed path.
function makeReader(options) {
  const base = path.resolve(options.base ?? ".");
  const modules = [];
  for (let at = base; ; at = path.dirname(at)) {
    modules.push(path.join(at, "node_modules"));
    if (at === path.dirname(at)) break;
  }
  const roots = [base, ...options.include.map((entry) => path.resolve(entry)), ...modules];
  const real = (place) => (fs.existsSync(place) ? fs.realpathSync(place) : path.resolve(place));
  const allowed = [...roots, ...options.allow.map((entry) => path.resolve(entry))].map(real);
  return (name) => {
    for (const root of roots) {
      const place = path.resolve(root, name);
      if (!fs.existsSync(place) || !fs.statSync(place).isFile()) continue;
      const file = fs.realpathSync(place);
      if (!allowed.some((folder) => file.startsWith(folder + path.sep))) {
        return { error: `File outside of allowed directories: ${name}` };
      }
      return { contents: fs.readFileSync(file, "utf8") };
    }
    return { error: `File not found: ${name}` };
  };
}

function main() {
  const options = parse(process.argv.slice(2));
  if (!options.version && !options.standardJson) throw new Error("give --version or --standard-json");
  const solc = loadCompiler(options);
  if (options.version) {
    process.stdout.write(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}\n`);
    return;
  }
  process.stdout.write(solc.compile(fs.readFileSync(0, "utf8"), { import: makeReader(options) }) + "\n");
}

try {
  main();
} catch (error) {
  process.stderr.write(`${String(error.message).split("\n")[0]}\n`);
  process.exitCode = 1;
}
