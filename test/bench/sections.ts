/** What `npm run bench` measures, a section for each table or picture. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packageRoot, sizePool, thisMachine } from "../../runtime/config/installation.ts";
import { configSchema } from "../../runtime/config/schema.ts";
import { type LoadResult, measureLoad } from "./load.ts";
import { measureOpenLoad, type OpenLoadResult } from "./open-load.ts";
import { measurePeer, type Peer, type PeerFigure, preparePeers } from "./peers.ts";
import { measurePhases, type PhaseResult } from "./phases.ts";
import { isFastInstalled, measureRaw, type RawFigure } from "./raw.ts";
import { startServedHost } from "./served-host.ts";
import { bodiesOf, type TextSet, textSets, textsOf } from "./texts.ts";

export interface Context {
  /** For each figure. */
  readonly seconds: number;
  readonly workers: number;
  /** Requests before the first figure of a host. */
  readonly warmUpRequests: number;
  readonly say: (text: string) => void;
}

/** Texts of one batch where others are compared with, and the most that a batch of ours holds. */
const BATCH = 32;
/** The original system padded every text to this. */
const PAD_TO = 512;
const PERMITS = [1, 2, 4, 8, 16] as const;
const LOOK_AHEADS = [0, 8, 32, 128] as const;
const CONNECTIONS = [1, 2, 4, 8, 16, 32, 64, 128] as const;
/** Of what the host gets through at most. */
const OFFERED = [0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1] as const;

export interface EngineRow {
  readonly texts: TextSet;
  readonly embedge: RawFigure;
  /** With the extra `fast`, where it is installed. */
  readonly fast: RawFigure | undefined;
  readonly peers: Readonly<Record<Peer, PeerFigure>>;
}

/** Raw workers against other engines, batch 32. */
export async function measureEngines({ seconds, workers, say }: Context): Promise<readonly EngineRow[]> {
  await preparePeers(say);
  const rows: EngineRow[] = [];
  for (const set of textSets) {
    say(`${set}: embedge, onnxruntime, sentence-transformers.`);
    const work = { texts: textsOf(set), batch: BATCH, seconds };
    const embedge = await measureRaw({ ...work, workers, isFast: false });
    const fast = isFastInstalled ? await measureRaw({ ...work, workers, isFast: true }) : undefined;
    const onnxruntime = await measurePeer("onnxruntime", work);
    const torch = await measurePeer("sentence-transformers", work);
    rows.push({ texts: set, embedge, fast, peers: { onnxruntime, "sentence-transformers": torch } });
  }
  return rows;
}

export interface ServedRow {
  readonly texts: TextSet;
  readonly textsPerRequest: number;
  readonly connections: number;
  readonly served: LoadResult;
  readonly servedTextsPerSecond: number;
  /** As many texts in flight, without a host. */
  readonly raw: RawFigure;
}

const SERVED_CASES: readonly Pick<ServedRow, "texts" | "textsPerRequest" | "connections">[] = [
  { texts: "short", textsPerRequest: 1, connections: 1 },
  { texts: "short", textsPerRequest: 1, connections: 10 },
  { texts: "short", textsPerRequest: 1, connections: 100 },
  { texts: "mixed", textsPerRequest: 32, connections: 1 },
  { texts: "mixed", textsPerRequest: 32, connections: 4 },
];

/** Served against raw: the same texts, and as many of them in flight. The two take turns, so that what slows the machine slows both. */
export async function measureServed({ seconds, workers, warmUpRequests, say }: Context): Promise<readonly ServedRow[]> {
  await using host = await startServedHost({ warmUpRequests });
  const rows: ServedRow[] = [];
  for (const row of SERVED_CASES) {
    const { texts, textsPerRequest, connections } = row;
    say(`${connections} × ${textsPerRequest} ${texts} texts: served, raw.`);
    const inFlight = connections * textsPerRequest;
    const processes = Math.min(workers, inFlight);
    const batch = Math.min(BATCH, Math.ceil(inFlight / processes));
    const load = { url: host.url, connections, seconds, bodies: bodiesOf(texts, textsPerRequest) };
    const served = await measureLoad(load);
    const raw = await measureRaw({ texts: textsOf(texts), batch, workers: processes, seconds });
    rows.push({ ...row, served, servedTextsPerSecond: served.requestsPerSecond * textsPerRequest, raw });
  }
  return rows;
}

/** The original system's own case: 10 connections, one short text a request, 20 s. */
export async function measureOriginal({ warmUpRequests, say }: Context): Promise<LoadResult> {
  await using host = await startServedHost({ warmUpRequests });
  say("10 connections for 20 s.");
  return await measureLoad({ url: host.url, connections: 10, seconds: 20, bodies: bodiesOf("short", 1) });
}

export function measureOneRequest({ warmUpRequests, say }: Context): Promise<PhaseResult> {
  say("400 requests, one after the other.");
  return measurePhases({ requests: 400, warmUpRequests });
}

export interface PaddingResult {
  readonly ours: RawFigure;
  readonly padded: RawFigure;
  readonly padTo: number;
}

/** Mixed texts as they are, and all of them padded as the original did. */
export async function measurePadding({ seconds, workers, say }: Context): Promise<PaddingResult> {
  say(`Mixed texts as they are, then padded to ${PAD_TO} tokens.`);
  const work = { texts: textsOf("mixed"), batch: BATCH, workers, seconds };
  return { ours: await measureRaw(work), padded: await measureRaw({ ...work, padTo: PAD_TO }), padTo: PAD_TO };
}

export interface CurveResult {
  readonly connections: readonly { readonly connections: number; readonly load: LoadResult }[];
  readonly offered: readonly OpenLoadResult[];
}

/** Throughput against connections, then latency against offered load up to what the host got through. */
export async function measureCurves({ seconds, warmUpRequests, say }: Context): Promise<CurveResult> {
  await using host = await startServedHost({ warmUpRequests });
  const bodies = bodiesOf("short", 1);
  const connections: CurveResult["connections"][number][] = [];
  for (const count of CONNECTIONS) {
    say(`${count} connections.`);
    connections.push({
      connections: count,
      load: await measureLoad({ url: host.url, connections: count, seconds, bodies }),
    });
  }
  const most = Math.max(...connections.map(({ load }) => load.requestsPerSecond));
  const offered: OpenLoadResult[] = [];
  for (const share of OFFERED) {
    const requestsPerSecond = Math.round(most * share);
    say(`${requestsPerSecond} requests a second offered.`);
    offered.push(await measureOpenLoad({ url: host.url, requestsPerSecond, seconds, bodies }));
  }
  return { connections, offered };
}

export interface SettingRow {
  readonly value: number;
  readonly load: LoadResult;
}

/** One short text a request from 10 connections, for each number of permits. */
export function measurePermits(context: Context): Promise<readonly SettingRow[]> {
  return measureSetting(context, { flag: "--pool-permits", values: PERMITS, connections: 10, set: "short" });
}

/** 64 connections with one text of any length a request, for each look-ahead. */
export function measureLookAhead(context: Context): Promise<readonly SettingRow[]> {
  return measureSetting(context, {
    flag: "--batch-look-ahead-inputs-max",
    values: LOOK_AHEADS,
    connections: 64,
    set: "mixed",
  });
}

async function measureSetting(
  { seconds, warmUpRequests, say }: Context,
  setting: {
    readonly flag: string;
    readonly values: readonly number[];
    readonly connections: number;
    readonly set: TextSet;
  },
): Promise<readonly SettingRow[]> {
  const rows: SettingRow[] = [];
  for (const value of setting.values) {
    say(`${setting.flag} ${value}`);
    await using host = await startServedHost({ flags: [setting.flag, String(value)], warmUpRequests });
    const bodies = bodiesOf(setting.set, 1);
    rows.push({
      value,
      load: await measureLoad({ url: host.url, connections: setting.connections, seconds, bodies }),
    });
  }
  return rows;
}

export interface HomesResult {
  readonly figures: readonly {
    readonly home: string;
    readonly p50Ms: number;
    readonly addedMs: number;
    readonly textsPerSecond: number;
    readonly servedToRaw: number;
  }[];
}

/** What Node and workerd cost beside a pool that is called directly: `npm run bench:homes`. */
export async function measureHomes({ seconds, say }: Context): Promise<HomesResult> {
  say("A pool, `embedge serve` and `embedge dev --miniflare` in turn.");
  const folder = await mkdtemp(join(tmpdir(), "embedge-bench-"));
  try {
    const json = join(folder, "homes.json");
    const args = ["test/bench/homes.ts", "--seconds", String(seconds), "--json", json];
    const child = spawn(process.execPath, args, { cwd: packageRoot, stdio: ["ignore", "ignore", "inherit"] });
    const [status] = (await once(child, "exit")) as [number | null];
    if (status !== 0) throw new Error(`homes.ts ended with status ${status}`);
    return JSON.parse(await readFile(json, "utf8")) as HomesResult;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** As many as a host starts here by itself. */
export function defaultWorkers(): number {
  return sizePool(configSchema.parse({}), thisMachine()).workers;
}
