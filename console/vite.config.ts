import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import preact from "@preact/preset-vite";
import { defineConfig, type Plugin } from "vite";

const OUT = "../api/console/static";

/** What the build was made from, so that a test can tell when the committed one is stale:
 * SHA-256 over `path NUL content NUL` of these files, by path. tests/unit/console does the same. */
function stamp(): Plugin {
  const listed = (folder: string): string[] =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((one) => one.isFile())
      .map((one) => join(one.parentPath, one.name));
  return {
    name: "stamp",
    apply: "build",
    closeBundle() {
      const files = [
        ...listed("src"),
        ...listed("public"),
        "index.html",
        "package-lock.json",
        "tsconfig.json",
        "vite.config.ts",
      ].sort();
      const hash = createHash("sha256");
      for (const file of files) {
        hash.update(`${file}\0`);
        hash.update(readFileSync(file));
        hash.update("\0");
      }
      writeFileSync(join(OUT, "sources.sha256"), `${hash.digest("hex")}\n`);
    },
  };
}

// Relative paths: the console works below whatever prefix a proxy gives the gateway.
export default defineConfig({
  base: "./",
  plugins: [preact({ prefreshEnabled: false }), stamp()],
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: "es2022",
    // Nothing inline: the page's policy allows no data: scripts or styles.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/api": "http://127.0.0.1:3000" } },
});
