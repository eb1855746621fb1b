import { expect, test } from "vitest";
import { findHome, findModelsDir, type HomeSources } from "../../runtime/config/home.ts";

const sources = (more: Partial<HomeSources>): HomeSources => ({
  env: {},
  platform: "linux",
  userHome: "/home/me",
  lockText: "lock",
  ...more,
});

test.each<[string, Partial<HomeSources>, RegExp]>([
  ["the usual cache of Linux", {}, /^\/home\/me\/\.cache\/embedge\/\w{12}$/],
  ["XDG_CACHE_HOME", { env: { XDG_CACHE_HOME: "/var/cache/me" } }, /^\/var\/cache\/me\/embedge\/\w{12}$/],
  ["not a relative XDG_CACHE_HOME", { env: { XDG_CACHE_HOME: "cache" } }, /^\/home\/me\/\.cache\/embedge\/\w{12}$/],
  ["the usual cache of macOS", { platform: "darwin" }, /^\/home\/me\/Library\/Caches\/embedge\/\w{12}$/],
  ["EMBEDGE_HOME as it is", { env: { EMBEDGE_HOME: "/opt/embedge", XDG_CACHE_HOME: "/x" } }, /^\/opt\/embedge$/],
  ["not an empty EMBEDGE_HOME", { env: { EMBEDGE_HOME: "" } }, /^\/home\/me\/\.cache\/embedge\/\w{12}$/],
])("the package keeps what it sets up in %s", (_place, more, home) => {
  expect(findHome(sources(more))).toMatch(home);
});

test("versions that need other packages have another folder, those that need the same share one", () => {
  expect(findHome(sources({}))).toBe(findHome(sources({})));
  expect(findHome(sources({ lockText: "other" }))).not.toBe(findHome(sources({})));
});

test.each<[string, Partial<HomeSources>, string]>([
  ["beside the folders of all versions", {}, "/home/me/.cache/embedge/models"],
  ["in EMBEDGE_HOME", { env: { EMBEDGE_HOME: "/opt/embedge" } }, "/opt/embedge/models"],
  ["in the cache of macOS", { platform: "darwin" }, "/home/me/Library/Caches/embedge/models"],
])("models outlive an upgrade: they are %s", (_place, more, folder) => {
  expect(findModelsDir(sources(more))).toBe(folder);
  expect(findModelsDir(sources({ ...more, lockText: "other" }))).toBe(folder);
});
