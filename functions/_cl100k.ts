/** Ids of the tokens that stand for themselves and no bytes. */
const SPECIAL_MIN = 100_257;

let loading: Promise<Vocabulary> | undefined;

/** Token ids of OpenAI's cl100k_base, back into bytes. */
export interface Vocabulary {
  has(id: number): boolean;
  /** The text; a character that is cut at either end becomes U+FFFD, as clients cut long texts at any token. */
  decode(ids: readonly number[]): string;
}

/** Loaded when first needed: it has 1 MB, and only clients that count tokens themselves need it. */
export function loadCl100k(): Promise<Vocabulary> {
  loading ??= import("js-tiktoken/ranks/cl100k_base").then((module) => createVocabulary(module.default));
  return loading;
}

/**
 * `bpe_ranks` has lines of `! FIRST_ID BASE64 BASE64 …`.
 *
 * The library's own decoder is not used: it builds its table for encoding too, which blocks for half a second.
 */
function createVocabulary(ranks: {
  readonly bpe_ranks: string;
  readonly special_tokens: Readonly<Record<string, number>>;
}): Vocabulary {
  const encoded: string[] = [];
  for (const line of ranks.bpe_ranks.split("\n")) {
    const [, firstId, ...tokens] = line.split(" ");
    for (const [index, token] of tokens.entries()) encoded[Number(firstId) + index] = token;
  }
  const special = new Map(Object.entries(ranks.special_tokens).map(([name, id]) => [id, name]));
  const known = new Map<number, string>();

  /** One character per byte. */
  const bytesOf = (id: number): string => {
    const bytes = known.get(id) ?? special.get(id) ?? atob(encoded[id] ?? "");
    known.set(id, bytes);
    return bytes;
  };
  return {
    has: (id) => (id < SPECIAL_MIN ? encoded[id] !== undefined : special.has(id)),
    decode(ids) {
      const binary = ids.map(bytesOf).join("");
      const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
      return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
    },
  };
}
