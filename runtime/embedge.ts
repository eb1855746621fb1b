/** What `import … from "embedge"` gives. */
import { ConfigError } from "./config/problems.ts";
import { createHost } from "./create-host.ts";
import { AppError } from "./errors.ts";

export type {
  AiBinding,
  AiEmbedding,
  AiOptions,
  AiTextInput,
  Env,
  EventContext,
  EventHandler,
  ExecutionContext,
  FunctionLimits,
  Handler,
  Message,
  MessageBatch,
  RetryOptions,
  ScheduledController,
} from "../functions/_types.ts";
export type { Settings } from "./config/schema.ts";
export type { EmbedResult, ServedModel } from "./embedder/embedder.ts";
export type { ErrorCode } from "./errors.ts";
export type { Host, HostEmbedOptions } from "./host.ts";
export type { MountedHost } from "./http/mount.ts";
export type { NodeListener } from "./http/node-listener.ts";
export type { Pooling, VectorBlock } from "./pool/worker-pool.ts";

export { AppError, ConfigError, createHost };
