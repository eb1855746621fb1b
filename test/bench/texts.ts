/** What is embedded: the same texts for workers, host and other engines, the same on every run. */

/** One token each for BERT's vocabulary; two special tokens come on top. */
const WORDS = "river mountain library music garden window coffee train engine silver winter".split(" ");
const TEXTS_PER_SET = 128;

/** Words of each text; "mixed" leans to short texts, as questions and titles do. */
const LENGTHS = {
  short: [8, 9, 10, 11, 12],
  "60 tokens": [58],
  "256 tokens": [254],
  mixed: [4, 6, 8, 10, 12, 16, 24, 32, 58, 96, 160, 254],
} as const;

export type TextSet = keyof typeof LENGTHS;

export const textSets: readonly TextSet[] = ["short", "60 tokens", "256 tokens", "mixed"];

export function textsOf(set: TextSet): readonly string[] {
  const random = createRandom(7);
  const lengths = Array.from({ length: TEXTS_PER_SET }, (_, index) => LENGTHS[set][index % LENGTHS[set].length] ?? 1);
  return shuffle(lengths, random).map((words) => Array.from({ length: words }, () => pick(WORDS, random)).join(" "));
}

/** Request bodies for /api/v1/embed, `textsPerRequest` texts each. */
export function bodiesOf(set: TextSet, textsPerRequest: number): readonly string[] {
  const texts = textsOf(set);
  const starts = Array.from({ length: texts.length / textsPerRequest }, (_, request) => request * textsPerRequest);
  return starts.map((start) => JSON.stringify({ texts: texts.slice(start, start + textsPerRequest) }));
}

/** Lehmer's generator (Park and Miller 1988): numbers from [0, 1). */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

function shuffle<T>(items: readonly T[], random: () => number): readonly T[] {
  const order = items.map((item) => ({ item, at: random() }));
  return order.toSorted((a, b) => a.at - b.at).map(({ item }) => item);
}

function pick(words: readonly string[], random: () => number): string {
  return words[Math.floor(random() * words.length)] ?? "";
}
