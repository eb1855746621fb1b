/** A client's own id is kept only if it can do no harm in a log or a header. */
const REQUEST_ID = /^[\w-]{1,64}$/;

/** The id that the client gave the request, or a new one. */
export function requestIdOf(headers: Headers): string {
  const asked = headers.get("x-request-id");
  return asked !== null && REQUEST_ID.test(asked) ? asked : crypto.randomUUID();
}
