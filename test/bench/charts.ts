/** Pictures as SVG that stand alone: they follow the reader's light or dark scheme, and need no script and no font. */

export interface Series {
  readonly name: string;
  /** Ascending in x. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface LineChart {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly Series[];
  /** Powers of two, or even steps from 0. */
  readonly xScale: "log2" | "linear";
}

export interface BarChart {
  readonly title: string;
  readonly unit: string;
  readonly parts: readonly { readonly name: string; readonly value: number }[];
}

const WIDTH = 720;
const HEIGHT = 360;
const PLOT = { left: 72, right: 24, top: 64, bottom: 56 };

const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; font-size: 15px; }
  .faint { fill: #59636e; }
  .grid { stroke: #d1d9e0; stroke-width: 1; }
  .line { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
  .c0 { stroke: #0969da; } .f0 { fill: #0969da; } .c1 { stroke: #bc4c00; } .f1 { fill: #bc4c00; }
  .c2 { stroke: #1a7f37; } .f2 { fill: #1a7f37; } .c3 { stroke: #8250df; } .f3 { fill: #8250df; }
  .f4 { fill: #9a6700; } .f5 { fill: #bf3989; }
  .paper { fill: #ffffff; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; } .faint { fill: #9198a1; } .grid { stroke: #3d444d; } .paper { fill: #0d1117; }
    .c0 { stroke: #4493f8; } .f0 { fill: #4493f8; } .c1 { stroke: #f0883e; } .f1 { fill: #f0883e; }
    .c2 { stroke: #3fb950; } .f2 { fill: #3fb950; } .c3 { stroke: #ab7df8; } .f3 { fill: #ab7df8; }
    .f4 { fill: #d29922; } .f5 { fill: #db61a2; }
  }`;

/** Lines over one x axis, each with its name at the top. */
export function drawLines({ title, xLabel, yLabel, series, xScale }: LineChart): string {
  const all = series.flatMap(({ points }) => points);
  const xs = all.map(([x]) => x);
  const yTicks = ticksTo(Math.max(...all.map(([, y]) => y)));
  const xTicks = xScale === "linear" ? ticksTo(Math.max(...xs)) : [...new Set(xs)].toSorted((a, b) => a - b);
  const toUnit = (x: number): number => (xScale === "linear" ? x : Math.log2(Math.max(x, 1)) + (x < 1 ? -1 : 0));
  const [xMin, xMax] = [Math.min(...xTicks.map(toUnit)), Math.max(...xTicks.map(toUnit))];
  const yMax = yTicks.at(-1) ?? 1;
  const xAt = (x: number): number =>
    PLOT.left + ((toUnit(x) - xMin) / (xMax - xMin || 1)) * (WIDTH - PLOT.left - PLOT.right);
  const yAt = (y: number): number => HEIGHT - PLOT.bottom - (y / yMax) * (HEIGHT - PLOT.top - PLOT.bottom);
  const bottom = HEIGHT - PLOT.bottom;
  return page(title, HEIGHT, [
    ...yTicks.flatMap((y) => [
      `<line class="grid" x1="${PLOT.left}" x2="${WIDTH - PLOT.right}" y1="${at(yAt(y))}" y2="${at(yAt(y))}"/>`,
      label(short(y), { x: PLOT.left - 8, y: yAt(y) + 4, anchor: "end" }),
    ]),
    ...xTicks.map((x) => label(short(x), { x: xAt(x), y: bottom + 20 })),
    label(xLabel, { x: (PLOT.left + WIDTH - PLOT.right) / 2, y: HEIGHT - 12, className: "faint" }),
    label(yLabel, { x: 16, y: PLOT.top - 14, anchor: "start", className: "faint" }),
    ...series.flatMap(({ name, points }, index) => [
      `<polyline class="line c${index}" points="${points.map(([x, y]) => `${at(xAt(x))},${at(yAt(y))}`).join(" ")}"/>`,
      ...points.map(([x, y]) => `<circle class="f${index}" cx="${at(xAt(x))}" cy="${at(yAt(y))}" r="3.5"/>`),
      `<rect class="f${index}" x="${WIDTH - PLOT.right - 130 * (series.length - index)}" y="40" width="12" height="12" rx="2"/>`,
      label(name, { x: WIDTH - PLOT.right - 130 * (series.length - index) + 18, y: 51, anchor: "start" }),
    ]),
  ]);
}

/** One bar in parts, and under it what each part is. */
export function drawParts({ title, unit, parts }: BarChart): string {
  const sum = parts.reduce((total, { value }) => total + value, 0);
  const room = WIDTH - 48;
  let x = 24;
  const bars = parts.map(({ value }, index) => {
    const width = (value / sum) * room;
    const bar = `<rect class="f${index}" x="${at(x)}" y="52" width="${at(Math.max(0, width - 1))}" height="36"/>`;
    x += width;
    return bar;
  });
  const lines = parts.flatMap(({ name, value }, index) => {
    const y = 118 + index * 24;
    return [
      `<rect class="f${index}" x="24" y="${y - 11}" width="12" height="12" rx="2"/>`,
      label(name, { x: 44, y, anchor: "start" }),
      label(`${value.toFixed(2)} ${unit}`, { x: 420, y, anchor: "end" }),
      label(`${((value / sum) * 100).toFixed(0)} %`, { x: 490, y, anchor: "end", className: "faint" }),
    ];
  });
  return page(title, 118 + parts.length * 24, [...bars, ...lines]);
}

function page(title: string, height: number, content: readonly string[]): string {
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img">`;
  const paper = `<rect class="paper" width="${WIDTH}" height="${height}" rx="6"/>`;
  const heading = label(title, { x: 16, y: 26, anchor: "start", className: "title" });
  const body = [paper, heading, ...content].join("\n");
  return `${head}\n<title>${escapeXml(title)}</title>\n<style>${STYLE}\n</style>\n${body}\n</svg>\n`;
}

interface LabelPlace {
  readonly x: number;
  readonly y: number;
  readonly anchor?: "start" | "middle" | "end";
  readonly className?: string;
}

function label(text: string, { x, y, anchor = "middle", className }: LabelPlace): string {
  const style = className === undefined ? "" : ` class="${className}"`;
  return `<text${style} x="${at(x)}" y="${at(y)}" text-anchor="${anchor}">${escapeXml(text)}</text>`;
}

/** 0 and four to six more, round numbers all, the last at least `max`. */
function ticksTo(max: number): readonly number[] {
  const rough = max / 5;
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * magnitude).find((size) => size >= rough) ?? rough;
  return Array.from({ length: Math.ceil(max / step) + 1 }, (_, index) => index * step);
}

function short(value: number): string {
  return String(Math.round(value * 100) / 100);
}

function at(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
