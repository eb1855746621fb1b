import type { Handler } from "../../../../functions/_types.ts";

const PARTS: readonly string[] = ["one\n", "two\n", "three\n"];

const handler: Handler = {
  fetch() {
    const parts = PARTS.values();
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        const { done, value } = parts.next();
        if (done === true) controller.close();
        else controller.enqueue(new TextEncoder().encode(value));
      },
    });
    return new Response(body, { headers: { "content-type": "text/plain" } });
  },
};
export default handler;
