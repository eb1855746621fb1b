/** Estimates what texts cost before a tokenizer has seen them, and learns from the counts that workers report. */
export interface TokenCost {
  /** Estimated tokens of `text`, 2 to `tokensMax`; looks at no more of the text than fits into `tokensMax`. */
  estimate(text: string, tokensMax: number): number;
  /** Takes in that `text` had `actual` tokens, and was not cut to the model's limit. */
  learn(text: string, actual: number): void;
}

/** [CLS] and [SEP], or a start and an end token: every family of encoder adds about two. */
const SPECIAL_TOKENS = 2;
/** How much of its error one text takes away from the estimate of its like. */
const LEARNING_RATE = 0.05;
/** No text moves the estimate of its like as if it had had more than so many times the estimated tokens. */
const SURPRISE_MAX = 3;
const WEIGHT_MIN = 0.02;
const WEIGHT_MAX = 6;

/**
 * What a character adds, by its script and by where it stands in its word: to begin with, as a WordPiece or BPE tokenizer
 * with an English vocabulary has it.
 */
const INITIAL_WEIGHTS = {
  mark: 1,
  digitFirst: 1,
  digitMore: 0.5,
  latinFirst: 1,
  latinMore: 0.05,
  /** From the seventh letter on. */
  latinLate: 0.2,
  /** Letters with marks, which English does not have. */
  latinMarked: 0.4,
  /** Greek, Cyrillic, Armenian. */
  europeanFirst: 1,
  europeanMore: 0.8,
  semiticFirst: 1,
  semiticMore: 0.8,
  /** Thai, Lao, Khmer, Burmese: no spaces between words. */
  unspacedFirst: 1,
  unspacedMore: 0.5,
  /** Of India and its neighbours, Georgian, Ethiopic and whatever else there is before punctuation and the scripts of East Asia. */
  otherFirst: 1,
  otherMore: 0.5,
  kana: 1,
  hangul: 1.5,
  ideograph: 1,
  /** Half of a surrogate pair: emoji, rare ideographs. */
  surrogate: 0.5,
};

type Feature = keyof typeof INITIAL_WEIGHTS;

const features = Object.keys(INITIAL_WEIGHTS) as readonly Feature[];
/** Code units that are looked at before the sum is compared with the limit. */
const BLOCK_UNITS = 1_024;

/** One for each tokenizer: what it has learnt holds for no other. */
export function createTokenCost(): TokenCost {
  const weights = Float64Array.from(features, (feature) => INITIAL_WEIGHTS[feature]);
  const tokensOf = (counts: Float64Array): number =>
    counts.reduce((sum, count, index) => sum + count * (weights[index] ?? 0), 0);
  return {
    estimate(text, tokensMax) {
      let tokens = SPECIAL_TOKENS;
      for (let start = 0; start < text.length && tokens < tokensMax; start += BLOCK_UNITS) {
        tokens += tokensOf(countFeatures(text, start, Math.min(text.length, start + BLOCK_UNITS)));
      }
      return Math.min(tokensMax, Math.max(SPECIAL_TOKENS, Math.round(tokens)));
    },
    learn(text, actual) {
      const counts = countFeatures(text, 0, text.length);
      const power = counts.reduce((sum, count) => sum + count ** 2, 0);
      if (power === 0) return;
      const estimated = tokensOf(counts);
      const error = Math.min(actual - SPECIAL_TOKENS, SURPRISE_MAX * estimated) - estimated;
      // Normalised least mean squares (Widrow and Hoff 1960): each weight gives in by its part in the sum of squares.
      for (const [index, count] of counts.entries()) {
        if (count === 0) continue;
        const weight = (weights[index] ?? 0) + (LEARNING_RATE * error * count) / power;
        weights[index] = Math.min(WEIGHT_MAX, Math.max(WEIGHT_MIN, weight));
      }
    },
  };
}

const LATE_LETTER = 7;

/** How often each feature occurs from `start` to `end`; spaces are not counted. */
function countFeatures(text: string, start: number, end: number): Float64Array {
  const counts = new Float64Array(features.length);
  let previous = SPACE;
  let place = 0;
  for (let at = start; at < end; at++) {
    const code = text.charCodeAt(at);
    const script = SCRIPTS[code] ?? SPACE;
    place = script === previous ? place + 1 : 1;
    previous = script;
    if (script === SPACE) continue;
    let feature = place === 1 ? FIRST[script] : MORE[script];
    if (script === LATIN && code >= 0x80) feature = LATIN_MARKED;
    else if (script === LATIN && place >= LATE_LETTER) feature = LATIN_LATE;
    if (feature !== undefined) counts[feature] = (counts[feature] ?? 0) + 1;
  }
  return counts;
}

/** What the first and what each further character of a run adds; alike where the place says nothing. */
const SCRIPT_FEATURES = {
  space: ["mark", "mark"],
  mark: ["mark", "mark"],
  digit: ["digitFirst", "digitMore"],
  latin: ["latinFirst", "latinMore"],
  european: ["europeanFirst", "europeanMore"],
  semitic: ["semiticFirst", "semiticMore"],
  unspaced: ["unspacedFirst", "unspacedMore"],
  other: ["otherFirst", "otherMore"],
  kana: ["kana", "kana"],
  hangul: ["hangul", "hangul"],
  ideograph: ["ideograph", "ideograph"],
  surrogate: ["surrogate", "surrogate"],
} as const satisfies Readonly<Record<string, readonly [Feature, Feature]>>;

type Script = keyof typeof SCRIPT_FEATURES;

const scripts = Object.keys(SCRIPT_FEATURES) as readonly Script[];
const SPACE = scripts.indexOf("space");
const LATIN = scripts.indexOf("latin");
const LATIN_MARKED = features.indexOf("latinMarked");
const LATIN_LATE = features.indexOf("latinLate");
const FIRST: readonly number[] = scripts.map((script) => features.indexOf(SCRIPT_FEATURES[script][0]));
const MORE: readonly number[] = scripts.map((script) => features.indexOf(SCRIPT_FEATURES[script][1]));

/** The last code unit of each range; from the CJK punctuation on, what is no other script is an ideograph. */
const RANGES: readonly (readonly [last: number, script: Script])[] = [
  [0x20, "space"],
  [0x2f, "mark"],
  [0x39, "digit"],
  [0x40, "mark"],
  [0x5a, "latin"],
  [0x60, "mark"],
  [0x7a, "latin"],
  [0x9f, "mark"],
  [0xa0, "space"],
  [0xbf, "mark"],
  [0x36f, "latin"],
  [0x58f, "european"],
  [0x8ff, "semitic"],
  [0xdff, "other"],
  [0xeff, "unspaced"],
  [0xfff, "other"],
  [0x109f, "unspaced"],
  [0x10ff, "other"],
  [0x11ff, "hangul"],
  [0x177f, "other"],
  [0x17ff, "unspaced"],
  [0x1dff, "other"],
  [0x1eff, "latin"],
  [0x1fff, "european"],
  [0x303f, "mark"],
  [0x30ff, "kana"],
  [0x318f, "hangul"],
  [0xabff, "ideograph"],
  [0xd7ff, "hangul"],
  [0xdfff, "surrogate"],
  [0xfaff, "ideograph"],
  [0xfeff, "semitic"],
  [0xffff, "mark"],
];

/** The script of each code unit, as its place in `scripts`. */
const SCRIPTS: Uint8Array = tabulate();

function tabulate(): Uint8Array {
  const table = new Uint8Array(0x1_0000);
  let start = 0;
  for (const [last, script] of RANGES) {
    table.fill(scripts.indexOf(script), start, last + 1);
    start = last + 1;
  }
  return table;
}
