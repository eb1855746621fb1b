import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { packageRoot } from "../../runtime/config/installation.ts";
import { findRealWorker } from "../doubles/real-worker.ts";

/** Other engines with the same weights, in an environment of their own that is made when it is first asked for. */
export type Peer = "onnxruntime" | "sentence-transformers";

export interface PeerFigure {
  readonly textsPerSecond: number;
  readonly tokensPerSecond: number;
}

const folder = join(packageRoot, ".embedge/bench");
const python = join(folder, "bin/python");
const lock = join(packageRoot, "test/bench/peers.lock");
const marker = join(folder, "complete");

/** Texts a second of one process that may use every core. */
export async function measurePeer(
  peer: Peer,
  work: { readonly texts: readonly string[]; readonly batch: number; readonly seconds: number },
): Promise<PeerFigure> {
  const temporary = await mkdtemp(join(tmpdir(), "embedge-bench-"));
  try {
    const file = join(temporary, "texts.json");
    await writeFile(file, JSON.stringify(work.texts));
    const flags = ["--peer", peer, "--texts", file, "--batch", String(work.batch), "--seconds", String(work.seconds)];
    const { modelFolder } = findRealWorker();
    const script = join(packageRoot, "test/bench/peers.py");
    return JSON.parse(await run(python, [script, ...flags, "--model", modelFolder])) as PeerFigure;
  } finally {
    await rm(temporary, { recursive: true });
  }
}

/** Makes the environment, some 900 MB and a minute or two, unless it is there. */
export async function preparePeers(say: (text: string) => void): Promise<void> {
  if (existsSync(marker)) return;
  say("Installing onnxruntime and sentence-transformers for the comparison (once; some 900 MB in .embedge/bench).");
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const { command } = findRealWorker();
  await run(command[0], ["-I", "-m", "venv", folder]);
  const pip = ["-I", "-m", "pip", "install", "--quiet", "--require-hashes", "--disable-pip-version-check"];
  await run(python, [...pip, "-r", lock]);
  await writeFile(marker, "");
}

/** What it prints; throws where it fails. */
async function run(file: string, args: readonly string[]): Promise<string> {
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "inherit"] });
  const [output, [status]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  if (status !== 0) throw new Error(`${file} ${args.slice(0, 3).join(" ")} ended with status ${String(status)}`);
  return output;
}
