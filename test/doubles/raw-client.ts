import { connect, type Socket } from "node:net";

export interface RawClient {
  readonly socket: Socket;
  /** All that has come so far. */
  text(): string;
  /** Resolves when `text()` matches. */
  until(pattern: RegExp): Promise<string>;
  /** Resolves with all that came, when the other side has closed. */
  closed(): Promise<string>;
}

/** A TCP connection that writes exact bytes. */
export async function connectRaw(port: number, first: string | Uint8Array = ""): Promise<RawClient> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  let text = "";
  let check = (): void => {};
  const closing = new Promise<string>((resolve) => {
    socket.once("end", () => {
      resolve(text);
      socket.end();
    });
    socket.once("close", () => resolve(text));
  });
  socket.on("error", () => {});
  socket.on("data", (bytes) => {
    text += bytes.toString("latin1");
    check();
  });
  await new Promise((resolve) => socket.once("connect", resolve));
  socket.write(first);
  return {
    socket,
    text: () => text,
    until: (pattern) =>
      new Promise((resolve) => {
        check = () => {
          if (pattern.test(text)) resolve(text);
        };
        check();
      }),
    closed: () => closing,
  };
}
