export const limits = { timeoutMs: 0 };
export default { fetch: (): Response => new Response() };
