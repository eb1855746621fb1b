import { configSchema } from "../../runtime/config/schema.ts";
import type { HostParts } from "../../runtime/compose/host-parts.ts";
import { createHost } from "../../runtime/create-host.ts";
import type { Host } from "../../runtime/host.ts";
import { findRealWorker } from "./real-worker.ts";

export interface RealHost extends Host {
  readonly url: string;
}

export interface RealHostOptions extends HostParts {
  /** Settings beside those that point to the real worker; as in `embedge.toml`. */
  readonly config?: Readonly<Record<string, object>>;
}

/** A host on a free port over real Python workers, ready to serve. */
export async function startRealHost({ config = {}, ...parts }: RealHostOptions = {}): Promise<RealHost> {
  const { command, modelFolder, blasPath } = findRealWorker();
  const settings = {
    log: { level: "silent" },
    ...config,
    models: { default: modelFolder, aliases: { "@cf/baai/bge-base-en-v1.5": "default" }, ...config["models"] },
    server: { port: 0, ...config["server"] },
    pool: { python: command[0], blas: blasPath ?? "none", ...config["pool"] },
  };
  const host = await createHost(configSchema.parse(settings), parts);
  const { url } = await host.listen();
  await host.ready();
  return Object.assign(host, { url });
}
