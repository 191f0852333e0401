// Compiles the WAHA node as its own package does (tsc, CommonJS): node build.mjs SOURCE TARGET
import fs from "node:fs";
import path from "node:path";
import ts from "typescript";

const [source, target] = process.argv.slice(2);
const options = { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2019, esModuleInterop: true };

for (const name of fs.readdirSync(source, { recursive: true })) {
  const from = path.join(source, name);
  if (!fs.statSync(from).isFile()) continue;
  const to = name === "package.json" ? path.join(target, name) : path.join(target, "dist", name);
  fs.mkdirSync(path.dirname(to), { recursive: true });
  if (name.endsWith(".ts")) {
    const code = ts.transpileModule(fs.readFileSync(from, "utf8"), { compilerOptions: options });
    fs.writeFileSync(to.replace(/\.ts$/, ".js"), code.outputText);
  } else fs.copyFileSync(from, to);
}
