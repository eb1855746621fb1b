import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [
    cloudflareTest(({ inject }) => ({
      wrangler: { configPath: "./wrangler.toml" },
      remoteBindings: false,
      miniflare: { ai: { binding: "AI", remoteProxyConnectionString: new URL(inject<string>("embedgeUrl")) } },
    })),
  ],
  test: { globalSetup: "embedge/vitest" },
});
