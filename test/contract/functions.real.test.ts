import { startFetchHome, startMiniflareHome, startSocketHome, startWranglerHome } from "../doubles/functions-homes.ts";
import { describeFunctions } from "./functions.contract.ts";

const header = { reason: "workerd reads headers as UTF-8, Node as Latin-1", tests: ["a header beyond ASCII"] };

const ambient = {
  reason:
    "vitest imports modules in its own way; test/emulation/bindings-node.real.test.ts has it in a process of its own",
  tests: ["cloudflare:workers gives env at the top of a module and in a request, and waitUntil"],
};

describeFunctions("on a socket", startSocketHome, { skip: [ambient] });
describeFunctions("through host.fetch", startFetchHome, { skip: [ambient] });
describeFunctions("in workerd, by embedge dev --miniflare", startMiniflareHome, { skip: [header] });
describeFunctions("in workerd, by wrangler dev", startWranglerHome, {
  skip: [
    header,
    {
      reason: "wrangler's own proxy does not pass on that a client has gone; the call leaves the queue by its deadline",
      tests: ["a client that goes away leaves the queue (M06)"],
    },
  ],
});
