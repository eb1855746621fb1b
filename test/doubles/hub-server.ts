import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";

/** One request for the content of a file. */
export interface HubRequest {
  readonly file: string;
  readonly rangeStart: number;
  readonly authorization: string | undefined;
}

/** What goes wrong, by the name of a file. */
export interface HubFaults {
  /** The next so many answers end after half of what was asked for. */
  cuts?: Record<string, number>;
  /** Answers stop after half, and the connection stays open. */
  stalls?: string[];
  /** Another content of the same length. */
  spoilt?: string[];
  /** Announced in place of the true size. */
  sizes?: Record<string, number>;
}

/** A hub on this machine with the endpoints that huggingface_hub uses; large files come from a second origin, as from its CDN. */
export interface HubServer extends AsyncDisposable {
  readonly url: string;
  readonly faults: HubFaults;
  /** In order of arrival. */
  readonly requests: readonly HubRequest[];
  /** Resolves when a stalled answer has sent its half. */
  readonly stalled: Promise<void>;
}

export const HUB_COMMIT = "0123456789abcdef0123456789abcdef01234567";

/** Offers `folder` as `test/model` at the revisions `main`, `v1` and HUB_COMMIT, with `extra` files beside it; `test/gated` and `test/private` are refused. */
export async function startHub(folder: string, extra: Readonly<Record<string, string>> = {}): Promise<HubServer> {
  const files = new Map([
    ...readFiles(folder),
    ...Object.entries(extra).map(([name, text]) => [name, Buffer.from(text)] as const),
  ]);
  const faults: HubFaults = {};
  const requests: HubRequest[] = [];
  const stall = Promise.withResolvers<void>();

  const send = (request: IncomingMessage, response: ServerResponse, file: string): void => {
    const content = files.get(file);
    if (content === undefined) return refuse(response, 404, "EntryNotFound");
    const rangeStart = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
    requests.push({ file, rangeStart, authorization: request.headers.authorization });
    const bytes = (faults.spoilt?.includes(file) ? content.map((byte) => byte ^ 1) : content).subarray(rangeStart);
    const head = { "content-length": bytes.length, "accept-ranges": "bytes", etag: `"${gitSha1(content)}"` };
    const range = { "content-range": `bytes ${rangeStart}-${content.length - 1}/${content.length}` };
    response.writeHead(rangeStart > 0 ? 206 : 200, rangeStart > 0 ? { ...head, ...range } : head);
    if (request.method === "HEAD") return void response.end();
    const cutsLeft = faults.cuts?.[file] ?? 0;
    const isStalled = faults.stalls?.includes(file) === true;
    if (cutsLeft === 0 && !isStalled) return void response.end(bytes);
    if (faults.cuts !== undefined) faults.cuts[file] = cutsLeft - 1;
    response.write(bytes.subarray(0, Math.ceil(bytes.length / 2)), () =>
      isStalled ? stall.resolve() : response.destroy(),
    );
  };

  const cdn = await listen((request, response) =>
    send(request, response, decodeURIComponent(request.url?.slice(1) ?? "")),
  );
  const hub = await listen((request, response) => {
    const { pathname } = new URL(request.url ?? "", "http://hub");
    const [, repository = "", revision = ""] =
      /^\/api\/models\/(\w+\/[\w-]+)\/revision\/([\w.%]+)$/.exec(pathname) ?? [];
    const [, owner = "", file = ""] = /^\/(\w+\/[\w-]+)\/resolve\/\w+\/(.+)$/.exec(pathname) ?? [];
    const asked = repository || owner;
    if (asked === "test/gated" && file !== "") return refuse(response, 401, "GatedRepo");
    if (asked === "test/private") return refuse(response, 401, "RepoNotFound");
    if (asked === "test/broken") return refuse(response, 503, "");
    if (asked !== "test/model" && asked !== "test/gated") return refuse(response, 404, "RepoNotFound");
    if (repository !== "") {
      if (!["main", "v1", HUB_COMMIT].includes(revision)) return refuse(response, 404, "RevisionNotFound");
      response.setHeader("content-type", "application/json");
      return void response.end(JSON.stringify(describe(asked, files, faults)));
    }
    const name = decodeURIComponent(file);
    const content = files.get(name);
    if (content === undefined || !isLarge(name)) return send(request, response, name);
    const linked = { "x-linked-etag": `"${sha256(content)}"`, "x-linked-size": content.length };
    response.writeHead(302, { location: `${cdn.url}/${file}`, "x-repo-commit": HUB_COMMIT, ...linked }).end();
  });
  return {
    url: hub.url,
    faults,
    requests,
    stalled: stall.promise,
    async [Symbol.asyncDispose]() {
      await Promise.all([hub.close(), cdn.close()]);
    },
  };
}

function describe(id: string, files: ReadonlyMap<string, Buffer>, { sizes = {} }: HubFaults): object {
  const siblings = [...files].map(([name, content]) => {
    const size = sizes[name] ?? content.length;
    const lfs = { sha256: sha256(content), size, pointerSize: 134 };
    return { rfilename: name, size, blobId: gitSha1(content), ...(isLarge(name) && { lfs }) };
  });
  return { id, modelId: id, sha: HUB_COMMIT, private: false, tags: [], downloads: 0, siblings };
}

function isLarge(name: string): boolean {
  return name.endsWith(".safetensors") || name.endsWith(".bin");
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { "x-error-code": code, "content-type": "application/json" }).end("{}");
}

function readFiles(folder: string): readonly (readonly [name: string, content: Buffer])[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => statSync(path.join(folder, name)).isFile())
    .map((name) => [name, readFileSync(path.join(folder, name))] as const);
}

function sha256(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

/** As git names a file's content. */
function gitSha1(content: Buffer): string {
  return createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
}

async function listen(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ readonly url: string; close(): Promise<void> }> {
  const server: Server = createServer(answer);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
