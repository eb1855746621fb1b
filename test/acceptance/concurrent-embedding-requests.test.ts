import { Agent, request } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import golden from "../golden/minilm.json" with { type: "json" };
import { goldenVector, maxAbsDifference } from "../doubles/golden-vectors.ts";
import { startRealHost, type RealHost } from "../doubles/real-host.ts";

const shortTexts = golden.texts.map((text, index) => ({ text, index })).filter(({ text }) => text.length < 60);

let host: RealHost;
beforeAll(async () => {
  host = await startRealHost();
}, 60_000);
afterAll(() => host.close());

// The original system failed 99.98 % of its requests at 10 connections: it tried a lock where it should have queued.
test.each([10, 100, 1_000])(
  "test_concurrent_embedding_requests: %i connections at once, no failure, each answer is the text's own vector (I4)",
  async (connections) => {
    const agent = new Agent({ maxSockets: connections, keepAlive: true });
    const answers = await Promise.all(
      Array.from({ length: connections }, async (_, at) => {
        const { text, index } = shortTexts[at % shortTexts.length] ?? { text: "", index: 0 };
        const { status, body } = await post(agent, text);
        return { status, index, body };
      }),
    );
    agent.destroy();
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    const differences = answers.map(({ body, index }) => {
      const { embeddings } = JSON.parse(body) as { embeddings: number[][] };
      return maxAbsDifference(embeddings[0] ?? [], goldenVector(index));
    });
    expect(Math.max(...differences)).toBeLessThanOrEqual(1e-5);
  },
  60_000,
);

function post(agent: Agent, text: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(`${host.url}/api/v1/embed`, { method: "POST", agent }, (answer) => {
      let body = "";
      answer.setEncoding("utf8");
      answer.on("data", (chunk: string) => (body += chunk));
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, body }));
      answer.on("error", reject);
    });
    sent.on("error", reject);
    sent.end(JSON.stringify({ texts: [text] }));
  });
}
