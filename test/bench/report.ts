/** Tables and pictures of what was measured; each table says whether its target is met. */
import { drawLines, drawParts } from "./charts.ts";
import type {
  CurveResult,
  EngineRow,
  HomesResult,
  measureOneRequest,
  measureOriginal,
  PaddingResult,
  ServedRow,
  SettingRow,
} from "./sections.ts";

/** Sections that were measured; one that was not asked for is missing. */
export interface BenchResult {
  readonly machine: string;
  readonly versions: string;
  readonly seconds: number;
  readonly workers: number;
  engines?: readonly EngineRow[];
  served?: readonly ServedRow[];
  original?: Awaited<ReturnType<typeof measureOriginal>>;
  request?: Awaited<ReturnType<typeof measureOneRequest>>;
  padding?: PaddingResult;
  curves?: CurveResult;
  permits?: readonly SettingRow[];
  lookAhead?: readonly SettingRow[];
  homes?: HomesResult;
}

type SectionName = Exclude<keyof BenchResult, "machine" | "versions" | "seconds" | "workers">;

/** A table as Markdown. */
export interface Table {
  readonly name: SectionName;
  readonly text: string;
}

const TARGETS = {
  onnxruntime: 1,
  fast: 1.15,
  "sentence-transformers": 1.6,
  originalP95Ms: 25,
  requestP50Ms: 4,
  padding: 15,
  addedMs: 1,
  homes: 0.95,
} as const;
const SERVED_TARGETS: Readonly<Record<string, number>> = {
  "short 1": 0.93,
  "short 10": 0.92,
  "short 100": 0.95,
  "mixed 1": 0.9,
  "mixed 4": 0.9,
};

export function tablesOf(result: BenchResult): readonly Table[] {
  const { engines, served, original, request, padding, curves, permits, lookAhead, homes } = result;
  const tables: Partial<Record<SectionName, string>> = {
    ...(engines && { engines: enginesTable(engines) }),
    ...(served && { served: servedTable(served) }),
    ...(original && { original: originalTable(original) }),
    ...(request && { request: requestTable(request) }),
    ...(padding && { padding: paddingTable(padding) }),
    ...(homes && { homes: homesTable(homes) }),
    ...(curves && { curves: curvesTable(curves) }),
    ...(permits && { permits: settingTable("permits", permits) }),
    ...(lookAhead && { lookAhead: settingTable("look-ahead", lookAhead) }),
  };
  return Object.entries(tables).map(([name, text]) => ({ name: name as SectionName, text }));
}

/** File name → SVG. */
export function picturesOf({ request, curves, permits, lookAhead }: BenchResult): ReadonlyMap<string, string> {
  const pictures = new Map<string, string>();
  if (request !== undefined) {
    const parts = request.phases.map(({ name, ms }) => ({ name, value: ms }));
    pictures.set("request.svg", drawParts({ title: "One short text alone", unit: "ms", parts }));
  }
  if (curves !== undefined) {
    pictures.set("connections.svg", drawConnections(curves));
    pictures.set("offered.svg", drawOffered(curves));
  }
  if (permits !== undefined) pictures.set("permits.svg", drawSetting("Permits", permits));
  if (lookAhead !== undefined) pictures.set("look-ahead.svg", drawSetting("Look-ahead", lookAhead));
  return pictures;
}

function enginesTable(rows: readonly EngineRow[]): string {
  const head = [
    "texts/s",
    "embedge",
    "with `fast`",
    "onnxruntime",
    "sentence-transformers",
    "embedge / onnxruntime",
    "`fast` / onnxruntime",
    "embedge / sentence-transformers",
  ];
  return markdown(
    head,
    rows.map(({ texts, embedge, fast, peers: { onnxruntime, "sentence-transformers": torch } }) => [
      texts,
      embedge.textsPerSecond.toFixed(0),
      fast?.textsPerSecond.toFixed(0) ?? "not installed",
      onnxruntime.textsPerSecond.toFixed(0),
      torch.textsPerSecond.toFixed(0),
      atLeast(embedge.textsPerSecond / onnxruntime.textsPerSecond, TARGETS.onnxruntime),
      fast === undefined ? "-" : atLeast(fast.textsPerSecond / onnxruntime.textsPerSecond, TARGETS.fast),
      atLeast(embedge.textsPerSecond / torch.textsPerSecond, TARGETS["sentence-transformers"]),
    ]),
  );
}

function servedTable(rows: readonly ServedRow[]): string {
  const head = [
    "request",
    "connections",
    "texts/s",
    "P50 ms",
    "P95 ms",
    "P99 ms",
    "errors",
    "raw texts/s",
    "served/raw",
  ];
  return markdown(
    head,
    rows.map(({ texts, textsPerRequest, connections, served, servedTextsPerSecond, raw }) => [
      textsPerRequest === 1 ? `1 ${texts} text` : `${textsPerRequest} ${texts} texts`,
      String(connections),
      servedTextsPerSecond.toFixed(0),
      served.p50Ms.toFixed(1),
      served.p95Ms.toFixed(1),
      served.p99Ms.toFixed(1),
      percent(served.errorRate),
      `${raw.textsPerSecond.toFixed(0)} (${raw.workers} × batch ${raw.batch})`,
      atLeast(servedTextsPerSecond / raw.textsPerSecond, SERVED_TARGETS[`${texts} ${connections}`] ?? 0),
    ]),
  );
}

function originalTable({
  requestsPerSecond,
  requests,
  errorRate,
  p50Ms,
  p95Ms,
  p99Ms,
  tool,
}: NonNullable<BenchResult["original"]>): string {
  return markdown(
    ["requests/s", "requests", "errors", "P50 ms", "P95 ms", "P99 ms", "client"],
    [
      [
        requestsPerSecond.toFixed(0),
        String(requests),
        percent(errorRate),
        p50Ms.toFixed(1),
        atMost(p95Ms, TARGETS.originalP95Ms),
        p99Ms.toFixed(1),
        tool,
      ],
    ],
  );
}

function requestTable({ phases, totalMs }: NonNullable<BenchResult["request"]>): string {
  const rows = phases.map(({ name, ms }) => [name, ms.toFixed(2)]);
  return markdown(["phase", "P50 ms"], [...rows, ["all", atMost(totalMs, TARGETS.requestP50Ms)]]);
}

function paddingTable({ ours, padded, padTo }: PaddingResult): string {
  const ratio = atLeast(ours.textsPerSecond / padded.textsPerSecond, TARGETS.padding);
  return markdown(
    ["mixed texts as they are", `padded to ${padTo} tokens`, "ratio"],
    [[`${ours.textsPerSecond.toFixed(0)}/s`, `${padded.textsPerSecond.toFixed(1)}/s`, ratio]],
  );
}

function homesTable({ figures }: HomesResult): string {
  return markdown(
    ["home", "P50 ms, one at a time", "added ms", "texts/s, 32 at a time", "served/raw"],
    figures.map(({ home, p50Ms, addedMs, textsPerSecond, servedToRaw }, index) => [
      home,
      p50Ms.toFixed(2),
      index === 1 ? atMost(addedMs, TARGETS.addedMs) : addedMs.toFixed(2),
      textsPerSecond.toFixed(0),
      index === 1 ? atLeast(servedToRaw, TARGETS.homes) : servedToRaw.toFixed(2),
    ]),
  );
}

function curvesTable({ offered }: CurveResult): string {
  return markdown(
    ["offered/s", "answered/s", "P50 ms", "P95 ms", "errors"],
    offered.map(({ offeredPerSecond, answeredPerSecond, p50Ms, p95Ms, errorRate }) => [
      offeredPerSecond.toFixed(0),
      answeredPerSecond.toFixed(0),
      p50Ms.toFixed(1),
      p95Ms.toFixed(1),
      percent(errorRate),
    ]),
  );
}

function settingTable(name: string, rows: readonly SettingRow[]): string {
  return markdown(
    [name, "texts/s", "P50 ms", "P95 ms"],
    rows.map(({ value, load }) => [
      String(value),
      load.requestsPerSecond.toFixed(0),
      load.p50Ms.toFixed(1),
      load.p95Ms.toFixed(1),
    ]),
  );
}

function drawConnections({ connections }: CurveResult): string {
  return drawLines({
    title: "Throughput, one short text a request",
    xLabel: "connections",
    yLabel: "texts/s",
    xScale: "log2",
    series: [
      { name: "texts/s", points: connections.map(({ connections: count, load }) => [count, load.requestsPerSecond]) },
    ],
  });
}

function drawOffered({ offered }: CurveResult): string {
  return drawLines({
    title: "Latency against offered load, one short text a request",
    xLabel: "requests/s offered",
    yLabel: "ms",
    xScale: "linear",
    series: [
      { name: "P50", points: offered.map(({ offeredPerSecond, p50Ms }) => [offeredPerSecond, p50Ms]) },
      { name: "P95", points: offered.map(({ offeredPerSecond, p95Ms }) => [offeredPerSecond, p95Ms]) },
    ],
  });
}

function drawSetting(name: string, rows: readonly SettingRow[]): string {
  return drawLines({
    title: `${name}: throughput and latency`,
    xLabel: name.toLowerCase(),
    yLabel: "texts/s, ms",
    xScale: "log2",
    series: [
      { name: "texts/s", points: rows.map(({ value, load }) => [value, load.requestsPerSecond]) },
      { name: "P95 ms", points: rows.map(({ value, load }) => [value, load.p95Ms]) },
    ],
  });
}

/** Columns of equal width, so that it reads as well on a terminal. */
function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join(" | ")} |`;
  const rule = widths.map((width, at) => (at === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [line(head), `| ${rule.join(" | ")} |`, ...rows.map(line)].join("\n");
}

function atLeast(value: number, target: number): string {
  return `${value.toFixed(2)} (≥ ${target}: ${value >= target ? "met" : "not met"})`;
}

function atMost(value: number, target: number): string {
  return `${value.toFixed(2)} (≤ ${target}: ${value <= target ? "met" : "not met"})`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(share === 0 ? 0 : 2)} %`;
}
