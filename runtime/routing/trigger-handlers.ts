import type { WorkerSet } from "./worker-set.ts";

/** Where wrangler's development server lets one fire a cron by hand; the first is the older name of the two. */
export const TRIGGER_PATHS: readonly string[] = ["/cdn-cgi/handler/scheduled", "/cdn-cgi/local/scheduled"];

/**
 * The Workers, and the same door as there, for development: `?cron=*+*+*+*+*` and `time` in milliseconds are what the handler is told,
 * `format=json` asks for JSON. The answer is the outcome.
 */
export function withTriggers(workers: WorkerSet): WorkerSet {
  return {
    ...workers,
    async run(call) {
      if (!TRIGGER_PATHS.includes(call.url.pathname)) return workers.run(call);
      const { searchParams } = call.url;
      const time = Number(searchParams.get("time") ?? Date.now());
      const event = { cron: searchParams.get("cron") ?? "", scheduledTime: time };
      const outcome = await workers
        .at(call.url)
        .scheduled(event)
        .then(
          () => "ok",
          () => "exception",
        );
      const init = { status: outcome === "ok" ? 200 : 500 };
      const isJson = searchParams.get("format") === "json";
      const response = isJson ? Response.json({ outcome, noRetry: false }, init) : new Response(outcome, init);
      return { response, error: undefined, embedded: undefined, route: undefined };
    },
  };
}
