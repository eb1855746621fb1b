import { createHash, timingSafeEqual } from "node:crypto";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { Caller, InputAllowance } from "../routing/caller.ts";

/** A key as it is kept: never itself, since its hash is enough to know it again. */
export interface ApiKey {
  /** Whose it is; the name of its tenant. */
  readonly name: string;
  /** SHA-256 of the key, in hexadecimal digits. A key has 256 random bits, so that no slower hash is needed. */
  readonly sha256: string;
  /** `bulk`: whatever the request says. */
  readonly priority?: "interactive" | "bulk" | undefined;
  /** Texts that may wait or run at one time. */
  readonly inputsMax?: number | undefined;
  readonly requestsPerMinute?: number | undefined;
}

/** The keys that open this host. */
export interface Keyring {
  /** Without a key in it, everybody may come in. */
  readonly size: number;
  /** Who sends these headers. Throws `invalid_api_key`, and `rate_limited` which says when to come back. */
  identify(headers: Headers): Caller;
  /** The same, for what costs nothing and is not counted. */
  check(headers: Headers): void;
  /** Other keys from now on. What a key with the same name has used stays used. */
  replace(keys: readonly ApiKey[]): void;
}

/** `Bearer`, as all clients of OpenAI's dialect send it, or the bare key, as those of others do. */
const KEY_HEADERS: readonly string[] = ["authorization", "x-api-key"];
const BEARER = /^Bearer +(\S+) *$/i;

const MINUTE_MS = 60_000;

export function createKeyring(keys: readonly ApiKey[], clock: Pick<Clock, "nowMs">): Keyring {
  let holders = holdersOf(keys, []);

  const find = (headers: Headers): KeyHolder => {
    const digest = createHash("sha256")
      .update(keyIn(headers) ?? "")
      .digest();
    let found: KeyHolder | undefined;
    // All of them, so that the time tells nothing of which one it is or how near a wrong one came.
    for (const holder of holders) if (timingSafeEqual(digest, holder.digest)) found = holder;
    if (found === undefined) throw new AppError("invalid_api_key");
    return found;
  };
  return {
    get size() {
      return holders.length;
    },
    identify(headers) {
      const holder = find(headers);
      holder.countRequest(clock.nowMs());
      const { name, priority } = holder.key;
      return { tenant: name, priority, allowance: holder, ownHeaders: KEY_HEADERS };
    },
    check: (headers) => void find(headers),
    replace(next) {
      holders = holdersOf(next, holders);
    },
  };
}

function holdersOf(keys: readonly ApiKey[], before: readonly KeyHolder[]): readonly KeyHolder[] {
  return keys.map((key) => {
    const known = before.find(({ key: { name } }) => name === key.name);
    return new KeyHolder(key, known);
  });
}

function keyIn(headers: Headers): string | undefined {
  const bearer = BEARER.exec(headers.get("authorization") ?? "")?.[1];
  return bearer ?? headers.get("x-api-key") ?? undefined;
}

interface Usage {
  openInputs: number;
  /** Of the last minute, as a bucket that runs empty evenly. */
  requests: number;
  countedAtMs: number;
}

/** One key, and what its requests have used. */
class KeyHolder implements InputAllowance {
  readonly key: ApiKey;
  readonly digest: Buffer;
  readonly usage: Usage;

  constructor(key: ApiKey, before: KeyHolder | undefined) {
    this.key = key;
    this.digest = Buffer.from(key.sha256, "hex");
    this.usage = before?.usage ?? { openInputs: 0, requests: 0, countedAtMs: 0 };
  }

  /** Throws `rate_limited` where it is full. */
  countRequest(nowMs: number): void {
    const { requestsPerMinute } = this.key;
    if (requestsPerMinute === undefined) return;
    const { usage } = this;
    const msPerRequest = MINUTE_MS / requestsPerMinute;
    usage.requests = Math.max(0, usage.requests - (nowMs - usage.countedAtMs) / msPerRequest);
    usage.countedAtMs = nowMs;
    if (usage.requests + 1 > requestsPerMinute) {
      const retryAfterMs = (usage.requests + 1 - requestsPerMinute) * msPerRequest;
      throw new AppError("rate_limited", { retryAfterMs });
    }
    usage.requests += 1;
  }

  take(inputs: number): () => void {
    const { inputsMax = Infinity } = this.key;
    const { usage } = this;
    if (usage.openInputs + inputs > inputsMax) {
      const message = `With these there would be more than ${inputsMax} texts of this API key here at one time; nothing was started.`;
      throw new AppError("tenant_queue_full", { message });
    }
    usage.openInputs += inputs;
    let isOpen = true;
    return () => {
      if (isOpen) usage.openInputs -= inputs;
      isOpen = false;
    };
  }
}
