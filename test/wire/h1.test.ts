import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ownFunctionsDir } from "../../runtime/config/installation.ts";
import { connectRaw, type RawClient } from "../doubles/raw-client.ts";
import { type ScriptedHost, startScriptedHost } from "../doubles/scripted-host.ts";
import { until } from "../doubles/wait.ts";
import { h1Cases } from "./h1.cases.ts";
import { h1BodyCases } from "./h1-bodies.cases.ts";
import { WIRE, type WireAnswer } from "./wire-case.ts";

const HOST = "Host: localhost\r\n";

/** Answers below /wire/. */
const script = `
  const text = (text) => new Response(text);
  const chunks = (...texts) => new ReadableStream({
    start(controller) {
      for (const text of texts) controller.enqueue(new TextEncoder().encode(text));
      controller.close();
    },
  });
  export default {
    async fetch(request) {
      switch (new URL(request.url).pathname) {
        case "/wire/echo": return text(await request.text());
        case "/wire/later": return new Promise((resolve) => setTimeout(() => resolve(text("later")), 50));
        case "/wire/stream": return new Response(chunks("stre", "amed"));
        case "/wire/never": return new Promise((resolve) => {
          request.signal.addEventListener("abort", () => resolve(text("gone")));
        });
        case "/wire/big": return new Response(new Uint8Array(32 * 2 ** 20));
        default: return new Response("no such thing", { status: 404 });
      }
    },
  };`;

let served: ScriptedHost;
beforeAll(async () => {
  served = await startScriptedHost({
    server: {
      bodyBytesMax: WIRE.bodyBytesMax,
      headersTimeoutMs: WIRE.slowMs,
      bodyTimeoutMs: WIRE.slowMs,
      writeTimeoutMs: WIRE.slowMs,
    },
    queue: { bytesMax: WIRE.heldBytesMax },
    limits: { textBytesMax: WIRE.textBytesMax },
  });
  await served.host.replaceWorkers([
    { name: "functions", functions: ownFunctionsDir },
    { name: "wire", routes: ["*/wire/*"], script },
  ]);
});
afterAll(() => served[Symbol.asyncDispose]());

describe("bytes on a socket", () => {
  test.each([...h1Cases, ...h1BodyCases].map((each) => [`${each.what} (${each.rows})`, each] as const))(
    "%s",
    async (_, each) => {
      const client = await connectRaw(served.port, Buffer.from(each.send, "latin1"));
      if (each.ends === "half-close") client.socket.end();
      if (each.closes) await client.closed();
      else await until("every answer is there", () => isWhole(client.text(), each.answers.length));
      const answers = answersIn(client.text());
      expect(answers.map((answer, index) => answer.as(each.answers[index]))).toEqual(each.answers.map(wanted));
      for (const answer of answers.filter(({ status }) => status >= 400)) expect(answer.hasRequestId).toBe(true);
      expect(client.text()).not.toMatch(each.never ?? /(?!)/);
      if (!each.closes) await isOpen(client);
      client.socket.destroy();
    },
  );
});

describe("a client", () => {
  test("that expects to be asked for its body is asked, and answered (H34)", async () => {
    const client = await connectRaw(served.port, post(5, "Expect: 100-continue\r\n"));
    await client.until(/100 Continue/);
    client.socket.write("hello");
    await client.until(/200 OK[\s\S]*hello$/);
    client.socket.destroy();
  });

  test("that asks to send more than there is room for now gets 429 at once, and is not asked (H35, Q23)", async () => {
    await using held = await hold(2);
    const client = await connectRaw(served.port, post(WIRE.bodyBytesMax, "Expect: 100-continue\r\n"));
    const text = await client.until(/"code":"queue_full"/);
    expect(text).toMatch(/^HTTP\/1\.1 429 /);
    expect(text).toMatch(/^retry-after: \d+\r$/m);
    expect(text).toMatch(/^retry-after-ms: \d+\r$/m);
    expect(held).toBeDefined();
    client.socket.destroy();
  });

  test("that sends in pieces what there is no room for gets 429 (Q23)", async () => {
    await using held = await hold(2);
    const head = `POST /wire/echo HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`;
    const client = await connectRaw(served.port, `${head}10\r\n${"x".repeat(16)}\r\n`);
    const text = await client.until(/"code":"queue_full"/);
    expect(text).toMatch(/^HTTP\/1\.1 429 /);
    expect(held).toBeDefined();
    client.socket.destroy();
  });

  test("that promises long bodies and sends nothing keeps nobody else out (H10)", async () => {
    await using wide = await startScriptedHost({ server: { bodyBytesMax: 200_000 }, queue: { bytesMax: 300_000 } });
    const lazy = await Promise.all(
      Array.from({ length: 20 }, () => connectRaw(wide.port, post(200_000, "", "/api/v1/embed"))),
    );
    const texts = Array.from({ length: 20 }, () => "x".repeat(8_000));
    expect((await wide.embed(texts)).status).toBe(200);
    for (const { socket } of lazy) socket.destroy();
  });

  test("that takes nothing of a long answer is cut, and counted (H11, Q12)", async () => {
    const before = await rejected("deadline_exceeded");
    const client = await connectRaw(served.port);
    client.socket.pause();
    client.socket.write(`GET /wire/big HTTP/1.1\r\n${HOST}\r\n`);
    await until("it is counted", async () => (await rejected("deadline_exceeded")) === before + 1);
    client.socket.resume();
    await once(client.socket, "close");
  });

  test("that resets its connection in mid-answer does no harm (H14)", async () => {
    const client = await connectRaw(served.port, `GET /wire/big HTTP/1.1\r\n${HOST}\r\n`);
    await client.until(/200 OK/);
    client.socket.resetAndDestroy();
    expect((await fetch(`${served.url}/healthz`)).status).toBe(200);
  });
});

test("no more than 16 requests of one connection are at work at one time (H37)", async () => {
  // More than one piece of what a socket reads.
  const get = `GET /wire/x HTTP/1.1\r\n${HOST}Padding: ${"x".repeat(400)}\r\n\r\n`;
  await served.host.replaceWorkers([
    { name: "functions", functions: ownFunctionsDir },
    {
      name: "wire",
      routes: ["*/wire/*"],
      script: `let open = 0, most = 0;
        export default { async fetch(request) {
          if (request.url.endsWith("/most")) return new Response(String(most));
          most = Math.max(most, ++open);
          await new Promise((resolve) => setTimeout(resolve, 5));
          open--;
          return new Response("<done>");
        } };`,
    },
  ]);
  const client = await connectRaw(served.port, get.repeat(300));
  await until("all are answered", () => client.text().match(/<done>/g)?.length === 300);
  expect(await (await fetch(`${served.url}/wire/most`)).text()).toBe("16");
  client.socket.destroy();
});

/** Requests whose bodies are read and whose function never answers, until it is disposed. */
async function hold(requests: number): Promise<AsyncDisposable> {
  const body = "x".repeat(WIRE.bodyBytesMax);
  const clients = await Promise.all(
    Array.from({ length: requests }, () => connectRaw(served.port, post(body.length, "", "/wire/never") + body)),
  );
  await until("there is no room", async () => {
    const probe = await fetch(`${served.url}/wire/echo`, { method: "POST", body: "x" });
    return probe.status === 429;
  });
  return {
    async [Symbol.asyncDispose]() {
      for (const { socket } of clients) socket.destroy();
      await until("there is room again", async () => {
        const probe = await fetch(`${served.url}/wire/echo`, { method: "POST", body });
        return probe.status === 200;
      });
    },
  };
}

function post(length: number, headers: string, path = "/wire/echo"): string {
  return `POST ${path} HTTP/1.1\r\n${HOST}Content-Length: ${length}\r\n${headers}\r\n`;
}

async function rejected(code: string): Promise<number> {
  const metrics = await (await fetch(`${served.url}/metrics`)).text();
  return Number(new RegExp(`^embedding_rejections_total\\{code="${code}"\\} (\\d+)`, "m").exec(metrics)?.[1] ?? 0);
}

async function isOpen(client: RawClient): Promise<void> {
  const before = answersIn(client.text()).length;
  client.socket.write(`GET /healthz HTTP/1.1\r\n${HOST}\r\n`);
  await until("the next request is answered", () => isWhole(client.text(), before + 1));
  expect(answersIn(client.text()).at(-1)?.status).toBe(200);
}

interface Answer {
  readonly status: number;
  readonly hasRequestId: boolean;
  /** What of it the case speaks of. */
  as(asked: WireAnswer | undefined): object;
}

function answersIn(text: string): readonly Answer[] {
  return text
    .split(/(?=HTTP\/1\.1 \d{3} )/)
    .filter((part) => /^HTTP\/1\.1 [2-5]/.test(part))
    .map((part) => {
      const status = Number(part.slice(9, 12));
      const [, body = ""] = part.split("\r\n\r\n", 2);
      const error = status >= 400 && body.startsWith("{") ? (JSON.parse(body) as Failure).error : undefined;
      return {
        status,
        hasRequestId: /^x-request-id: [\w-]+\r$/im.test(part) || status === 404,
        as: (asked) => ({
          status,
          ...(asked?.code !== undefined && { code: error?.code }),
          ...(asked?.param !== undefined && { param: error?.param }),
          ...(asked?.has !== undefined && { has: asked.has.test(part) }),
        }),
      };
    });
}

interface Failure {
  readonly error: { readonly code: string; readonly param: string | null };
}

function wanted({ has, ...answer }: WireAnswer): object {
  return { ...answer, ...(has !== undefined && { has: true }) };
}

/** Whether so many answers have come, the last one to its end. */
function isWhole(text: string, count: number): boolean {
  const parts = text.split(/(?=HTTP\/1\.1 [2-5]\d\d )/).filter((part) => /^HTTP\/1\.1 [2-5]/.test(part));
  const last = parts.at(-1) ?? "";
  const [head = "", body] = last.split("\r\n\r\n", 2);
  const length = /^content-length: (\d+)/im.exec(head)?.[1];
  return parts.length >= count && body !== undefined && body.length >= Number(length ?? 0);
}
