import { Agent, request } from "node:http";

export interface SteadyClients {
  /** Requests that got their own vector. */
  readonly answered: number;
  /** What every other request got; empty is what is hoped for. */
  readonly failures: readonly string[];
  /** Milliseconds from request to answer, in order of the answers. */
  readonly tookMs: readonly number[];
  /** Lets each client end its request. */
  stop(): Promise<void>;
}

export interface SteadyOptions {
  /** Clients that keep their connection as long as the host lets them. */
  readonly keepAlive: number;
  /** Clients that open a connection for each request. */
  readonly fresh: number;
  readonly textOf?: (client: number, turn: number) => string;
  /** Whether a vector belongs to its text. */
  readonly isVectorOf: (vector: readonly number[], text: string) => boolean;
}

/** Clients that ask one after the other without a pause, and never try again: what is refused or lost shows. */
export function startSteadyClients(url: string, options: SteadyOptions): SteadyClients {
  const { keepAlive, fresh, isVectorOf, textOf = (client, turn) => `client ${client}, turn ${turn}` } = options;
  const failures: string[] = [];
  const tookMs: number[] = [];
  const over = new AbortController();

  const run = async (client: number): Promise<void> => {
    const agent = new Agent({ keepAlive: client < keepAlive, maxSockets: 1 });
    for (let turn = 0; !over.signal.aborted; turn += 1) {
      const text = textOf(client, turn);
      const startMs = performance.now();
      try {
        const vector = await embed(url, text, agent);
        if (!isVectorOf(vector, text)) failures.push(`${text}: the vector of another text`);
        else tookMs.push(performance.now() - startMs);
      } catch (error) {
        failures.push(`${text}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    agent.destroy();
  };

  const clients = Array.from({ length: keepAlive + fresh }, (_, client) => run(client));
  return {
    get answered() {
      return tookMs.length;
    },
    failures,
    tookMs,
    async stop() {
      over.abort();
      await Promise.all(clients);
    },
  };
}

/** One text over HTTP; rejects at anything but 200. */
function embed(url: string, text: string, agent: Agent): Promise<readonly number[]> {
  const body = JSON.stringify({ texts: [text] });
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const outgoing = request(`${url}/api/v1/embed`, { method: "POST", agent, headers }, (incoming) => {
      let answer = "";
      incoming.setEncoding("utf8").on("data", (chunk: string) => (answer += chunk));
      incoming.on("error", reject);
      incoming.on("end", () => {
        if (incoming.statusCode !== 200) reject(new Error(`${incoming.statusCode} ${answer.slice(0, 200)}`));
        else
          resolve((JSON.parse(answer) as { readonly embeddings: readonly (readonly number[])[] }).embeddings[0] ?? []);
      });
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}
