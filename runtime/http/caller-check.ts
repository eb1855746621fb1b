import { AppError } from "../errors.ts";
import type { Caller } from "../routing/caller.ts";
import type { Keyring } from "./keyring.ts";

/** How the host tells its callers apart. */
export interface CallerPolicy {
  /** Without a key in it, nobody needs one. */
  readonly keys: Keyring;
  /** A header that a proxy in front of this host sets to the tenant's name; undefined where none can be trusted to. */
  readonly tenantHeader: string | undefined;
}

export const PRIORITY_HEADER = "x-embedge-priority";

/** What may be a label and a line of a log. */
const TENANT = /^[\w.@:-]{1,64}$/;

/** Who sends a request with these headers. Throws where whoever it is may not come in. */
export function identify(headers: Headers, { keys, tenantHeader }: CallerPolicy): Caller {
  const caller = keys.size === 0 ? {} : keys.identify(headers);
  const tenant = readTenant(headers, tenantHeader) ?? caller.tenant;
  const asked = readPriority(headers);
  // Who may only send bulk cannot ask for more.
  return { ...caller, tenant, priority: caller.priority === "bulk" ? "bulk" : asked };
}

function readTenant(headers: Headers, name: string | undefined): string | undefined {
  const value = name === undefined ? null : headers.get(name);
  if (name === undefined || value === null) return undefined;
  if (TENANT.test(value)) return value;
  const message = `${name} must be a name of 1 to 64 letters, digits and . _ @ : -.`;
  throw new AppError("invalid_request", { param: name, message });
}

function readPriority(headers: Headers): Caller["priority"] {
  const value = headers.get(PRIORITY_HEADER);
  if (value === null || value === "interactive" || value === "bulk") return value ?? undefined;
  const message = `${PRIORITY_HEADER} must be interactive or bulk.`;
  throw new AppError("invalid_request", { param: PRIORITY_HEADER, message });
}
