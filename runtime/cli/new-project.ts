import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { ConfigError, exitCodes, fileProblem } from "../config/problems.ts";

export interface NewProject {
  readonly written: readonly string[];
  /** Were there already and stay as they are. */
  readonly kept: readonly string[];
  /** embedge can be imported from there. */
  readonly isInstalled: boolean;
}

/** Writes a project that works at once; what is there already is never touched. Throws a ConfigError where that cannot be. */
export function writeProject(folder: string, version: string): NewProject {
  const written: string[] = [];
  const kept: string[] = [];
  for (const [name, text] of Object.entries(projectFiles(folder, version))) {
    (writeNew(path.join(folder, name), text) ? written : kept).push(name);
  }
  return { written, kept, isInstalled: existsSync(path.join(folder, "node_modules/embedge/package.json")) };
}

/** False where there is such a file. */
function writeNew(file: string, text: string): boolean {
  try {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text, { flag: "wx" });
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw fileProblem(file, error);
  }
}

function projectFiles(folder: string, version: string): Readonly<Record<string, string>> {
  const manifest = path.join(folder, "package.json");
  return {
    "package.json": packageJson(nameOf(folder), version),
    "embedge.toml": EMBEDGE_TOML,
    "wrangler.toml": wranglerToml(nameOf(folder)),
    ".gitignore": "node_modules/\n.embedge/\n.wrangler/\nembedge.keys.toml\n",
    "functions/api/v1/embed.ts": EMBED_TS,
    "functions/v1/embeddings.ts": EMBEDDINGS_TS,
    // Without it Node would take the functions of a CommonJS project, which `npm init` makes, for CommonJS.
    ...(existsSync(manifest) && !isModule(manifest) && { "functions/package.json": '{ "type": "module" }\n' }),
  };
}

function isModule(manifest: string): boolean {
  try {
    const { type } = JSON.parse(readFileSync(manifest, "utf8")) as { type?: unknown };
    return type === "module";
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw fileProblem(manifest, error);
    throw new ConfigError([`${manifest}: not JSON.`], exitCodes.config);
  }
}

/** What both npm and Workers take for a name. */
function nameOf(folder: string): string {
  const letters = path
    .basename(folder)
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, "-");
  return letters.replaceAll(/^-+|-+$/g, "") || "functions";
}

function packageJson(name: string, version: string): string {
  const manifest = {
    name,
    private: true,
    type: "module",
    scripts: { start: "embedge serve" },
    dependencies: { embedge: `^${version}` },
  };
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

function wranglerToml(name: string): string {
  return `# What Cloudflare deploys: the functions as one Worker, with the true Workers AI behind \`env.AI\`.
name = "${name}"
main = ".embedge/worker.ts"
compatibility_date = "2026-07-01"

[build]
command = "npx embedge build"
watch_dir = "functions"

[ai]
binding = "AI"
`;
}

const EMBEDGE_TOML = `# Settings of embedge. What is not here has its default; \`npx embedge config\` prints them all.

[server]
# host = "127.0.0.1"      # "0.0.0.0" opens the host to others
# port = 8080

# Names that functions and clients ask for, and the model that answers. This is a choice, not an equality: another model
# answers under these names, with other vectors and other dimensions, and each answer says which one ran.
[models.aliases]
"@cf/baai/bge-base-en-v1.5" = "default"
"text-embedding-3-small" = "default"
`;

const EMBED_TS = `import type { Handler } from "embedge";

/** POST /api/v1/embed with {"texts": ["hello", "world"]}: one vector per text. */
const handler: Handler = {
  async fetch(request, env) {
    const body = (await request.json().catch(() => undefined)) as { texts?: unknown } | undefined;
    const texts = body?.texts;
    if (!Array.isArray(texts) || !texts.every((text) => typeof text === "string")) {
      return Response.json({ error: 'Send {"texts": ["…"]}.' }, { status: 400 });
    }
    const { data, shape } = await env.AI.run("@cf/baai/bge-base-en-v1.5", { text: texts });
    return Response.json({ embeddings: data, dimension: shape[1] });
  },
};

export const methods = ["POST"];
export default handler;
`;

const EMBEDDINGS_TS = [
  "/** POST /v1/embeddings: OpenAI's dialect. */",
  'export { default, methods } from "embedge/functions/v1/embeddings";',
  "",
].join("\n");
