/** Estimates what texts cost before a tokenizer has seen them, and learns from the counts that workers report. */
export interface TokenCost {
  /** Estimated tokens of `text`, 2 to `tokensMax`; looks at no more of the text than fits into `tokensMax`. */
  estimate(text: string, tokensMax: number): number;
  /** Takes in that a text estimated at `estimated` had `actual` tokens (neither cut to the model's limit). */
  learn(estimated: number, actual: number): void;
}

/** [CLS] and [SEP], or a start and an end token: every family of encoder adds about two. */
const SPECIAL_TOKENS = 2;
/** Share of the newest observation in the learnt factor. */
const LEARNING_RATE = 0.02;
const FACTOR_MIN = 0.25;
const FACTOR_MAX = 4;

export function createTokenCost(): TokenCost {
  let factor = 1;
  return {
    estimate(text, tokensMax) {
      const countMax = Math.ceil((tokensMax - SPECIAL_TOKENS) / factor);
      return Math.min(tokensMax, Math.ceil(countPieces(text, countMax) * factor) + SPECIAL_TOKENS);
    },
    learn(estimated, actual) {
      const pieces = estimated - SPECIAL_TOKENS;
      if (pieces <= 0) return;
      const observed = factor * ((actual - SPECIAL_TOKENS) / pieces);
      factor = Math.min(FACTOR_MAX, Math.max(FACTOR_MIN, factor + LEARNING_RATE * (observed - factor)));
    },
  };
}

/**
 * Counts about as many pieces as a WordPiece or BPE tokenizer would, up to `countMax`.
 *
 * A Latin word is one piece per started six letters, other alphabets one per two characters,
 * Chinese, Japanese and Korean one per character, digits one per two, punctuation one each.
 */
function countPieces(text: string, countMax: number): number {
  let pieces = 0;
  let previous: CharacterClass = "space";
  for (let at = 0; at < text.length && pieces < countMax; at++) {
    const kind = classOf(text.charCodeAt(at));
    if (kind === "latin") pieces += previous === "latin" ? 1 / 6 : 1;
    else if (kind === "digit") pieces += previous === "digit" ? 1 / 2 : 1;
    else if (kind === "alphabet") pieces += 1 / 2;
    else if (kind !== "space") pieces += 1;
    previous = kind;
  }
  return Math.min(countMax, pieces);
}

type CharacterClass = "space" | "latin" | "digit" | "mark" | "alphabet" | "ideograph";

function classOf(code: number): CharacterClass {
  if (code <= 0x20 || code === 0xa0) return "space";
  if (code >= 0x30 && code <= 0x39) return "digit";
  if ((code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a) || (code >= 0xc0 && code <= 0x24f))
    return "latin";
  if (code < 0xc0) return "mark";
  // From the CJK radicals on, a character is a piece; half of a surrogate pair counts too, as emoji split in bytes.
  return code < 0x2e80 ? "alphabet" : "ideograph";
}
