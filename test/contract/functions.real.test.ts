import { startFetchHome, startMiniflareHome, startSocketHome, startWranglerHome } from "../doubles/functions-homes.ts";
import { describeFunctions } from "./functions.contract.ts";

const header = { reason: "workerd reads headers as UTF-8, Node as Latin-1", tests: ["a header beyond ASCII"] };

describeFunctions("on a socket", startSocketHome);
describeFunctions("through host.fetch", startFetchHome);
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
