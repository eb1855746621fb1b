import type { AiTextInput, Handler } from "../../../../functions/_types.ts";

/** `env.AI.run` with what the body says; its errors are nobody's here. */
const handler: Handler = {
  async fetch(request, env) {
    const { model, input } = (await request.json()) as { model: string; input: AiTextInput };
    return Response.json(await env.AI.run(model, input));
  },
};
export default handler;
