import type { AiTextInput, Handler } from "../../../../functions/_types.ts";

interface Asked {
  readonly model: string;
  readonly input: AiTextInput;
  readonly options?: object;
  /** Aborts before the call, or right after it. */
  readonly abort?: "before" | "after";
}

/** Everything that a function can see of `env.AI`: what a run gives or throws, and what the binding knows after it. */
const handler: Handler = {
  async fetch(request, env) {
    if (request.method === "GET") {
      const search = new URL(request.url).searchParams.get("search");
      return Response.json(await env.AI.models(search === null ? {} : { search }));
    }
    const { model, input, options = {}, abort } = (await request.json()) as Asked;
    const controller = new AbortController();
    if (abort === "before") controller.abort();
    const run = env.AI.run(model, input, { ...options, signal: controller.signal });
    if (abort === "after") controller.abort();
    const outcome = await run.then(
      (answer) => ({ answer }),
      (thrown: unknown) => ({ thrown: describe(thrown) }),
    );
    const { lastRequestId, lastRequestHttpStatusCode, aiGatewayLogId } = env.AI as unknown as Record<string, unknown>;
    const binding = env.AI.constructor.name;
    return Response.json({ ...outcome, binding, lastRequestId, lastRequestHttpStatusCode, aiGatewayLogId });
  },
};
export default handler;

function describe(thrown: unknown): object {
  const isError = thrown instanceof Error;
  const { name, message } = isError ? thrown : { name: typeof thrown, message: "" };
  return { name, message, class: isError ? thrown.constructor.name : undefined, isError };
}
