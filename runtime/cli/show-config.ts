import type { LoadedConfig } from "../config/load.ts";
import { listSettings } from "../config/settings.ts";
import { print } from "./output.ts";

/** Prints every setting in force and where it comes from. */
export function showConfig({ config, origins, file }: LoadedConfig): void {
  const settings = listSettings();
  const lines = settings.map((setting) => {
    const [section = "", key = ""] = setting.path.split(".");
    const sectionValue: unknown = Reflect.get(config, section);
    const value: unknown = key === "" ? sectionValue : Reflect.get(Object(sectionValue), key);
    const shown = setting.secret ? mask(value) : JSON.stringify(value);
    return { text: `${setting.path} = ${shown}`, origin: origins.get(setting.path) ?? "default" };
  });
  const width = Math.max(...lines.map(({ text }) => Math.min(text.length, 60)));
  print(`# file: ${file ?? "none"}`);
  for (const { text, origin } of lines) print(`${text.padEnd(width)}  # ${origin}`);
}

/** The names of a table, never its values. */
function mask(value: unknown): string {
  const names = Object.keys(Object(value));
  return names.length === 0 ? "{}" : `{ ${names.map((name) => `${name} = "***"`).join(", ")} }`;
}
