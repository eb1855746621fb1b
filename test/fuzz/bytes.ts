import type { Chance } from "../simulation/random.ts";

const lines = [
  "POST /api/v1/embed HTTP/1.1",
  "Host: localhost",
  "Content-Type: application/json",
  "Transfer-Encoding: chunked",
  "Content-Length: 17",
  "Content-Length: 99999999999999999999",
  "Expect: 100-continue",
  "Connection: close",
  "Connection: upgrade",
  "Upgrade: websocket",
  "X: \u0000",
  " folded",
  "GET /healthz HTTP/1.0",
  "PRI * HTTP/2.0",
];

/** A request that is nearly one: spoilt line by line, then byte by byte. */
export function spoiltRequest({ between, happens, pick }: Chance): Buffer {
  const body = '{"texts":["abc"]}';
  const head = [
    "POST /api/v1/embed HTTP/1.1",
    "Host: localhost",
    "Content-Type: application/json",
    `Content-Length: ${body.length}`,
  ];
  for (let times = between(0, 3); times > 0; times -= 1)
    head.splice(between(0, head.length), happens(0.5) ? 1 : 0, pick([lines[0] ?? "", ...lines]));
  let bytes = Buffer.from(`${head.join(happens(0.95) ? "\r\n" : "\n")}\r\n\r\n${body}`, "latin1");
  for (let times = between(0, 4); times > 0; times -= 1) {
    const at = between(0, Math.max(0, bytes.length - 1));
    switch (pick(["change", "insert", "remove", "repeat", "cut"])) {
      case "change":
        bytes[at] = between(0, 255);
        break;
      case "insert":
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from([between(0, 255)]), bytes.subarray(at)]);
        break;
      case "remove":
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + between(1, 8))]);
        break;
      case "repeat":
        bytes = Buffer.concat([bytes, bytes.subarray(at)]);
        break;
      case "cut":
        bytes = bytes.subarray(0, at);
    }
  }
  return bytes;
}
