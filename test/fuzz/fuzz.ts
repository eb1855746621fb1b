import { Agent, request } from "node:http";
import { connect } from "node:net";
import * as fc from "fast-check";
import { openDescriptors, startSoakedHost } from "../doubles/soaked-host.ts";
import { createChance } from "../simulation/random.ts";
import { spoiltRequest } from "./bytes.ts";
import { type FuzzRequest, fuzzRequests } from "./requests.ts";

export interface FuzzOptions {
  /** Requests by the schemas. */
  readonly requests: number;
  /** Requests in raw bytes. */
  readonly raw: number;
  readonly seed: number;
}

export interface FuzzResult {
  /** By status; `none`: closed without an answer, which only raw bytes may be. */
  readonly statuses: Readonly<Record<string, number>>;
  /** What must not be, with what caused it. */
  readonly wrong: readonly string[];
  readonly descriptors: readonly [before: number | undefined, after: number | undefined];
}

const CLIENTS = 32;
const ANSWER_WITHIN_MS = 20_000;
/** A deadline that the client itself asked for; everything else of the 5xx is a bug. */
const INTENDED = new Set(["504"]);

export async function runFuzz({ requests, raw, seed }: FuzzOptions): Promise<FuzzResult> {
  // Half a body is cut off after so long, well before it counts as a hang.
  await using host = await startSoakedHost(["--server-body-timeout-ms", "3000", "--server-headers-timeout-ms", "3000"]);
  const port = Number(new URL(host.url).port);
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  const statuses: Record<string, number> = {};
  const wrong: string[] = [];
  const note = (status: string, cause: string, fault?: string): void => {
    statuses[status] = (statuses[status] ?? 0) + 1;
    if (fault !== undefined) wrong.push(`${fault}: ${cause}`);
  };

  await send({ method: "GET", path: "/healthz", headers: {}, body: "" }, { port, agent });
  const before = openDescriptors(host.served);
  const generated = fc.sample(fuzzRequests, { numRuns: requests, seed })[Symbol.iterator]();
  await inParallel(async () => {
    for (let next = generated.next(); next.done !== true; next = generated.next()) {
      const cause = JSON.stringify(next.value).slice(0, 500);
      const { status, text, id } = await send(next.value, { port, agent });
      note(status, cause, faultOf({ status, text, id, method: next.value.method }));
    }
  });
  agent.destroy();
  const chance = createChance(seed);
  let left = raw;
  await inParallel(async () => {
    for (; left > 0;) {
      left -= 1;
      const bytes = spoiltRequest(chance);
      const status = await sendRaw(port, bytes);
      const isWrong = status.startsWith("5") || status === "hangs";
      note(status, JSON.stringify(bytes.toString("latin1")), isWrong ? `raw bytes: ${status}` : undefined);
    }
  });
  const alive = await fetch(`${host.url}/readyz`);
  if (alive.status !== 200) wrong.push(`/readyz answers ${alive.status} in the end`);
  return { statuses, wrong, descriptors: [before, openDescriptors(host.served)] };
}

async function inParallel(run: () => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: CLIENTS }, run));
}

interface Answer {
  readonly status: string;
  readonly text: string;
  readonly id: string | undefined;
}

function faultOf({ status, text, id, method }: Answer & { readonly method: string }): string | undefined {
  if (status === "hangs" || status === "none") return `no answer (${text})`;
  if (status.startsWith("5") && !INTENDED.has(status)) return `answered ${status} ${text.slice(0, 200)}`;
  if (id === undefined) return `answered ${status} without x-request-id`;
  const isRefusal = Number(status) >= 400 && method !== "HEAD";
  return isRefusal && !text.startsWith('{"error":{"message":"') ? `answered ${status} without an envelope` : undefined;
}

function send(
  { method, path, headers, body }: FuzzRequest,
  { port, agent }: { readonly port: number; readonly agent: Agent },
): Promise<Answer> {
  return new Promise((resolve) => {
    const hasBody = method === "POST" || method === "PUT";
    const length = hasBody ? { "content-length": Buffer.byteLength(body) } : {};
    const options = { host: "127.0.0.1", port, agent, method, path, headers: { ...headers, ...length } };
    const outgoing = request({ ...options, timeout: ANSWER_WITHIN_MS }, (incoming) => {
      let text = "";
      incoming.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      const id = incoming.headers["x-request-id"];
      incoming.on("end", () => resolve({ status: String(incoming.statusCode), text, id: id?.toString() }));
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error("hangs")));
    outgoing.on("error", (error) => resolve({ status: "none", text: error.message, id: undefined }));
    outgoing.end(hasBody ? body : undefined);
  });
}

/** Writes the bytes, closes its half, and gives the worst status of all answers, "none" or "hangs". */
function sendRaw(port: number, bytes: Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    let answer = "";
    const limit = setTimeout(() => end("hangs"), ANSWER_WITHIN_MS);
    const end = (status?: string): void => {
      clearTimeout(limit);
      socket.destroy();
      const statuses = [...answer.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, code = ""]) => code);
      resolve(status ?? statuses.toSorted().at(-1) ?? "none");
    };
    socket.on("data", (chunk) => (answer += chunk.toString("latin1")));
    socket.on("error", () => {});
    socket.on("close", () => end());
    socket.end(bytes);
  });
}
