/** What a client sends byte by byte, and what it must get: rows H of the fault catalogue, and those of S that are raw HTTP. */
export interface WireCase {
  /** Of the fault catalogue. */
  readonly rows: string;
  readonly what: string;
  /** Latin-1. */
  readonly send: string;
  /** After the bytes. */
  readonly ends?: "half-close";
  /** In order; interim answers (100, 102) are left out. A failure is in our envelope, with this code. */
  readonly answers: readonly WireAnswer[];
  /** The host ends the connection; else it takes another request. */
  readonly closes: boolean;
  /** Never in what comes. */
  readonly never?: RegExp;
}

export interface WireAnswer {
  readonly status: number;
  readonly code?: string;
  readonly param?: string;
  /** Somewhere in its head or body. */
  readonly has?: RegExp;
}

/** What comes of it. */
export type Expected = Pick<WireCase, "answers" | "closes">;

/** Limits of the host under test. */
export const WIRE: Readonly<Record<"bodyBytesMax" | "heldBytesMax" | "textBytesMax" | "slowMs", number>> = {
  bodyBytesMax: 4_096,
  heldBytesMax: 8_192,
  textBytesMax: 2_000,
  slowMs: 400,
};

export const HOST = "Host: localhost\r\n";
export const CLOSE = "Connection: close\r\n";
export const get = (target: string, headers: string = HOST): string => `GET ${target} HTTP/1.1\r\n${headers}\r\n`;
export const post = (body: string, headers = "", path = "/wire/echo"): string =>
  `POST ${path} HTTP/1.1\r\n${HOST}Content-Length: ${body.length}\r\n${headers}\r\n${body}`;
export const embed = (body: string, headers = "Content-Type: application/json\r\n"): string =>
  post(body, headers, "/api/v1/embed");
export const openai = (body: string): string => post(body, "Content-Type: application/json\r\n", "/v1/embeddings");
export const head = (headers: string, line = "POST /wire/echo HTTP/1.1"): string => `${line}\r\n${HOST}${headers}\r\n`;

export const refused = (status: number, code: string, param?: string): Expected => ({
  answers: [{ status, code, ...(param !== undefined && { param }) }],
  closes: false,
});
export const cut = (status: number, code: string): Expected => ({
  answers: [{ status, code }],
  closes: true,
});
export const bad: Expected = cut(400, "invalid_request");
