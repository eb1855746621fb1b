// A plugin of Miniflare's binding registry: `env.AI` stays workerd's own class, and its service is embedge.
// Plain JavaScript, since Miniflare loads it from node_modules, where Node strips no types.

const NAME = "embedge-ai";
const SERVICE = `${NAME}:host`;
const DEFAULT_URL = "http://127.0.0.1:9700";

/** @type {import("./index.d.ts").plugins} */
export const plugins = {
  [NAME]: {
    bindingTypeDescription: "AI (embedge)",
    async getBindings({ config }) {
      return bindingsOf(config).map(([name]) => ({
        name,
        // What `[ai]` of wrangler.toml becomes in workerd.
        wrapped: {
          moduleName: "cloudflare-internal:ai-api",
          innerBindings: [{ name: "fetcher", service: { name: SERVICE } }],
        },
      }));
    },
    getNodeBindings() {
      return {};
    },
    async getServices({ options }) {
      const [first] = bindingsOf(options.config);
      if (first === undefined) return [];
      const url = new URL(process.env.EMBEDGE_URL ?? first[1].dev.options?.url ?? DEFAULT_URL);
      return [{ name: SERVICE, external: { address: url.host, http: {} } }];
    },
  },
};

/** The entries of a Worker's `env` that are ours. */
function bindingsOf(config) {
  return Object.entries(config?.env ?? {}).filter(
    ([, binding]) => binding?.type === "unsafe:ai" && binding.dev?.plugin?.name === NAME,
  );
}
