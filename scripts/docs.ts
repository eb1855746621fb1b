/**
 * `node scripts/docs.ts`: writes the documents that are made from code.
 * `node scripts/docs.ts --check`: ends with 1 when one of them is not what the code says.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { systemClock } from "../runtime/clock.ts";
import { ownFunctionsDir, packageVersion } from "../runtime/config/installation.ts";
import {
  configJsonSchema,
  describeValue,
  listSections,
  listSettings,
  type Setting,
} from "../runtime/config/settings.ts";
import { errorCatalogue, type ErrorEntry } from "../runtime/errors.ts";
import { openApiDocument } from "../runtime/http/openapi.ts";
import { loadFunctions } from "../runtime/routing/functions-folder.ts";

const GENERATED = "Made by `npm run docs`; do not edit.";

const functions = await loadFunctions({ folder: ownFunctionsDir, clock: systemClock, loadTimeoutMs: 10_000 });
const documents: Readonly<Record<string, string>> = {
  "docs/errors.md": errorsDocument(),
  "docs/configuration.md": configurationDocument(),
  "docs/config.schema.json": `${JSON.stringify(configJsonSchema(), null, 2)}\n`,
  "docs/openapi.json": `${JSON.stringify(openApiDocument({ version: packageVersion(), routes: functions }), null, 2)}\n`,
};

const root = new URL("../", import.meta.url);
const stale = Object.keys(documents).filter((name) => {
  const file = new URL(name, root);
  return !existsSync(file) || readFileSync(file, "utf8") !== documents[name];
});
if (process.argv.includes("--check")) {
  for (const name of stale) process.stderr.write(`${name} is not what the code says: npm run docs\n`);
  process.exitCode = stale.length === 0 ? 0 : 1;
} else {
  for (const name of stale) writeFileSync(new URL(name, root), documents[name] ?? "");
  process.stdout.write(stale.length === 0 ? "Every document is up to date.\n" : `Wrote ${stale.join(", ")}.\n`);
}

function errorsDocument(): string {
  const advice: Readonly<Record<ErrorEntry["retry"], string>> = {
    never: "no: the same request fails again",
    after: "yes, after `Retry-After`",
    client: "if the client can bear a second try",
  };
  const rows = Object.entries(errorCatalogue).map(
    ([code, { status, type, retry, meaning }]) =>
      `| ${status} | \`${code}\` | \`${type}\` | ${advice[retry]} | ${meaning} |`,
  );
  return `# Errors

${GENERATED} Source: \`runtime/errors.ts\`.

Every error of the host is JSON of this shape, with the header \`x-request-id\`. Routes of other dialects than OpenAI's say the
same, with the same status and headers, in their own words: [clients.md](clients.md).

\`\`\`json
{ "error": { "message": "…", "type": "invalid_request_error", "param": "texts[3]", "code": "empty_input" } }
\`\`\`

\`code\` is for programs: it stays the same. \`message\` is for people. \`param\` names the field or the phase, or is null.

| status | code | type | repeat the request? | meaning |
| --- | --- | --- | --- | --- |
${rows.join("\n")}
`;
}

function configurationDocument(): string {
  const settings = listSettings();
  const sections = listSections().map(({ name, description }) => {
    const own = settings.filter(({ path }) => path === name || path.startsWith(`${name}.`));
    return `## \`[${name}]\`\n\n${description}\n\n| key | value | default | variable, flag | meaning |\n| --- | --- | --- | --- | --- |\n${own.map(settingRow).join("\n")}\n`;
  });
  return `# Configuration

${GENERATED} Source: \`runtime/config/schema.ts\`. For editors: [config.schema.json](config.schema.json).

Settings come from, each stronger than the one before:

1. the defaults below,
2. \`embedge.toml\` in the working directory (or the file of \`--config\`, or of \`EMBEDGE_CONFIG\`),
3. environment variables,
4. flags: \`npm start -- --port 9090\`.

Keys are written in camelCase everywhere. Times are in milliseconds (\`…Ms\`), sizes in bytes. In variables and flags a list is
written with commas, a table as JSON (\`EMBEDGE_VARS='{"GREETING":"hello"}'\`), and the entries of a table are added to those
of the file. A relative path starts at the file that it stands in, else at the working directory.

\`npm run config\` prints every setting in force and where it comes from. Every mistake is reported at once, and
nothing is started: exit code 78 for a wrong setting, 64 for an unknown flag, 66 for a missing file, 77 for one that may not
be read.

A setting with ↻ can be changed while the host runs: write it into the file and send SIGHUP to the process
(\`kill -HUP PID\`), which reads files and keys again, says what has changed and what waits for the next start. A file with a
mistake changes nothing.

${sections.join("\n")}`;
}

function settingRow(setting: Setting): string {
  const { path, envNames, flags, description } = setting;
  const key = path.slice(path.indexOf(".") + 1);
  const names = envNames.map((name, index) => `\`${name}\` \`${flags[index] ?? ""}\``).join("<br>");
  return `| \`${key}\`${setting.live ? " ↻" : ""} | ${describeValue(setting)} | \`${JSON.stringify(setting.default)}\` | ${names} | ${description} |`;
}
