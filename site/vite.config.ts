// How the page is built: relative addresses, so that the site may lie in any folder, into the
// Python package, which carries the built page to those who have no Node.
import { defineConfig, type Plugin } from "vite";

/** Has the browser fetch and compile MapLibre while the page's own program starts. */
function preloadMapLibre(): Plugin {
  return {
    name: "preload-maplibre",
    transformIndexHtml: {
      order: "post",
      handler(_html, { bundle }) {
        const chunks = Object.values(bundle ?? {}).filter(
          (chunk) => chunk.type === "chunk" && chunk.name === "maplibre-gl",
        );
        return chunks.map((chunk) => ({
          tag: "link",
          attrs: { rel: "modulepreload", crossorigin: true, href: `./${chunk.fileName}` },
          injectTo: "head",
        }));
      },
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [preloadMapLibre()],
  build: {
    outDir: "../crime_assets/maps/page",
    emptyOutDir: true,
    license: { fileName: "licences.md" }, // of what is bundled
    target: "es2022",
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    chunkSizeWarningLimit: 1200,
    modulePreload: { polyfill: false },
  },
});
