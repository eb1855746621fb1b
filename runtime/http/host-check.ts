import { AppError } from "../errors.ts";

const HOST_HEADER = /^(?:\[[\da-f:.]+\]|[\w.-]+)(?::\d{1,5})?$/i;

/** Which names are ours. */
export interface HostPolicy {
  /** Names besides those of the loopback; ports are ignored; `*` allows all. */
  readonly allowedHosts: readonly string[];
  /**
   * Every address in figures is ours: the host listens to others than this machine, and may not know by which address they
   * reach it. No web page can have one of them in place of its own name.
   */
  readonly anyAddress?: boolean;
}

/**
 * Throws unless the request names this host, so that a web page whose own name was pointed at our address (DNS rebinding)
 * reaches nothing. The URL counts as well as the Host header: an absolute-form request may have both.
 */
export function checkHost(request: Request, { allowedHosts, anyAddress = false }: HostPolicy): void {
  const header = request.headers.get("host");
  if (header !== null && !HOST_HEADER.test(header)) throw new AppError("invalid_host");
  const names = [hostnameOf(request.url), ...(header === null ? [] : [hostnameOf(`http://${header}`)])];
  if (allowedHosts.includes("*")) return;
  const isOurs = (name: string): boolean =>
    isLoopback(name) || (anyAddress && isAddress(name)) || allowedHosts.some((host) => isSameHost(host, name));
  const allowed = names.every(isOurs);
  if (allowed) return;
  const message =
    "The Host header names a host that is not ours (DNS rebinding). The setting server.allowedHosts lists those that are.";
  throw new AppError("host_not_allowed", { message });
}

/** Whether only this machine can reach it: `localhost`, `*.localhost`, 127.0.0.0/8, `[::1]`. */
export function isLoopback(hostname: string): boolean {
  return /^(?:(?:.+\.)?localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(hostname);
}

function isAddress(hostname: string): boolean {
  return /^(?:\d+(?:\.\d+){3}|\[[\da-f:.]+\])$/.test(hostname);
}

function isSameHost(allowed: string, hostname: string): boolean {
  return URL.canParse(`http://${allowed}`) && hostnameOf(`http://${allowed}`) === hostname;
}

/** Lower case, without port or trailing dot, IPv4 in four decimals. */
function hostnameOf(url: string): string {
  if (!URL.canParse(url)) throw new AppError("invalid_host");
  return new URL(url).hostname.replace(/\.$/, "");
}
