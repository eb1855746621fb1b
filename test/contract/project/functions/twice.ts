import type { Handler } from "../../../../functions/_types.ts";

/** Two runs, one after the other; what the second one throws is the answer. */
const handler: Handler = {
  async fetch(request, env) {
    const { model, first, second } = (await request.json()) as Record<"model" | "first" | "second", string>;
    const run = (text: string): Promise<unknown> => env.AI.run(model, { text });
    await run(first);
    const outcome = await run(second).then(
      () => "answered",
      (thrown: unknown) => (thrown instanceof Error ? thrown.message : "no error"),
    );
    return Response.json(outcome);
  },
};
export default handler;
