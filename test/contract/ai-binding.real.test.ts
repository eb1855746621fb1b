import { startFetchHome, startMiniflareHome } from "../doubles/functions-homes.ts";
import { describeAiBinding } from "./ai-binding.contract.ts";

describeAiBinding("in process", startFetchHome);
describeAiBinding("the genuine class inside workerd", startMiniflareHome);
