import type { Env } from "../../../../functions/_types.ts";

/** What the project's wrangler.toml binds, as far as it is used. */
export interface Bound extends Env {
  readonly GREETING: string;
  readonly KV: { get(key: string): Promise<string | null>; put(key: string, value: string): Promise<void> };
  readonly JOBS: { send(body: unknown, options?: { readonly contentType: string }): Promise<unknown> };
}
