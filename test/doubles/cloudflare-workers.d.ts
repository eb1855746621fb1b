/** As much of it as functions of the tests import. */
declare module "cloudflare:workers" {
  export const env: object;
  export function waitUntil(work: Promise<unknown>): void;
}
