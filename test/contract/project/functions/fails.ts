import type { Handler } from "../../../../functions/_types.ts";

class Unreadable extends Error {
  override get message(): string {
    throw new Error("from the getter");
  }
}

/** Each way to fail, by the name in the query. */
const ways: Readonly<Record<string, () => unknown>> = {
  throws() {
    throw new Error("secret words");
  },
  throws_a_text() {
    // oxlint-disable-next-line no-throw-literal -- what functions do
    throw "secret words";
  },
  throws_null() {
    // oxlint-disable-next-line no-throw-literal -- what functions do
    throw null;
  },
  throws_a_response() {
    // oxlint-disable-next-line no-throw-literal -- what functions do
    throw new Response("secret words");
  },
  throws_frozen() {
    throw Object.freeze(new Error("secret words"));
  },
  throws_unreadable() {
    throw new Unreadable();
  },
  async rejects() {
    await Promise.resolve();
    throw new Error("secret words");
  },
  returns_nothing: () => undefined,
  returns_a_text: () => "secret words",
  never_ends: () => new Promise(() => {}),
};

const handler: Handler = {
  fetch: (request) => ways[new URL(request.url).search.slice(1)]?.() as Response,
};
export default handler;
