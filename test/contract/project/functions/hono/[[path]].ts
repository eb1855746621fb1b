import { Hono } from "hono";
import type { Env } from "../../../../../functions/_types.ts";

const app: Hono<{ Bindings: Env }> = new Hono<{ Bindings: Env }>().basePath("/hono");
app.get("/square/:n", (c) => c.json({ square: Number(c.req.param("n")) ** 2 }));
app.post("/text", async (c) => c.text((await c.req.text()).toUpperCase(), 201));

export default app;
