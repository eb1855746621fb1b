"""How fast one process is without a host: `python embed_worker/bench.py --model FOLDER` prints JSON.

Times whole calls, texts in and vectors out. The environment counts: OPENBLAS_NUM_THREADS=1 as in a worker, and no
OPENBLAS_CORETYPE unless that is what is to be measured.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from embed_worker.errors import StartError
from embed_worker.start import Parser, positive, start

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from embed_worker.embedder import Embedder
    from embed_worker.tokenise import Tokens

# One token each for BERT's vocabulary.
WORDS = ("river", "mountain", "library", "music", "garden", "window", "coffee", "train", "engine", "silver", "winter")
# Words of each text; two special tokens come on top. "mixed" leans to short texts, as questions and titles do.
LENGTHS: Mapping[str, Sequence[int]] = {
    "short": (8, 9, 10, 11, 12),
    "60 tokens": (58,),
    "256 tokens": (254,),
    "mixed": (4, 6, 8, 10, 12, 16, 24, 32, 58, 96, 160, 254),
}
BATCHES = (1, 8, 32)
TEXTS_PER_SET = 96


def main() -> int:
    """Print the figures; the exit status."""
    parser = Parser("bench", "Raw speed of one worker process, as JSON.")
    parser.add_argument("--seconds", type=float, default=2, help="time for each figure")
    parser.add_argument("--batches", type=sizes, default=BATCHES, metavar="N,N", help="batch sizes (1,8,32)")
    parser.add_argument("--texts", metavar="FILE", help="JSON list of texts instead of the built-in sets; - is stdin")
    parser.add_argument("--pad-to", type=positive, metavar="N", help="compute every text as if it had N tokens")
    try:
        options = parser.parse_args()
        started = start(options)
    except StartError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return error.exit_status
    sets = {name: make_texts(lengths) for name, lengths in LENGTHS.items()}
    if options.texts is not None:
        sets = {"given": json.loads(sys.stdin.read() if options.texts == "-" else Path(options.texts).read_text())}
    figures = [
        {
            "texts": name,
            "batch": batch,
            **measure(Padded(started.embedder, options.pad_to), cut(texts, batch), options.seconds),
        }
        for name, texts in sets.items()
        for batch in options.batches
    ]
    print(json.dumps({"info": started.info, "figures": figures}, indent=2))
    return 0


def sizes(value: str) -> tuple[int, ...]:
    """`1,8,32` → (1, 8, 32)."""
    return tuple(int(size) for size in value.split(","))


def make_texts(lengths: Sequence[int]) -> list[str]:
    """The same texts on every run, in random order of length."""
    source = random.Random(7)  # noqa: S311 - repeatable on purpose
    words = [length for length, _ in zip(cycle(lengths), range(TEXTS_PER_SET), strict=False)]
    source.shuffle(words)
    return [" ".join(source.choices(WORDS, k=length)) for length in words]


def cut(texts: Sequence[str], batch: int) -> list[Sequence[str]]:
    """The texts in batches, in their order."""
    return [texts[start : start + batch] for start in range(0, len(texts), batch)]


class Padded:
    """An embedder that computes every text as if it had `tokens` tokens, as a padded batch without sorting does."""

    def __init__(self, embedder: Embedder, tokens: int | None) -> None:
        self._embedder = embedder
        self._tokens = tokens

    def tokenise(self, texts: Sequence[str]) -> Tokens:
        """Token ids, filled up with the last one."""
        tokens = self._embedder.tokenise(texts)
        if self._tokens is None:
            return tokens
        return replace(tokens, ids=[ids.take(range(self._tokens), mode="clip") for ids in tokens.ids])

    def embed(self, tokens: Tokens) -> None:
        """Compute the vectors."""
        self._embedder.embed(tokens, normalize=True)


def measure(embedder: Padded, work: Sequence[Sequence[str]], seconds: float) -> dict[str, Any]:
    """Run batches in turn for about `seconds` after one round unmeasured: texts/s, tokens/s, median ms of a batch."""
    for texts in work[: len(work) // 4 + 1]:
        embedder.embed(embedder.tokenise(texts))
    times_s, texts_done, tokens_done = [], 0, 0
    for texts in cycle(work):
        start_s = time.perf_counter()
        tokens = embedder.tokenise(texts)
        embedder.embed(tokens)
        times_s.append(time.perf_counter() - start_s)
        texts_done += len(texts)
        tokens_done += sum(tokens.counts)
        if sum(times_s) >= seconds:
            break
    return {
        "textsPerS": round(texts_done / sum(times_s), 1),
        "tokensPerS": round(tokens_done / sum(times_s)),
        "batchMsP50": round(statistics.median(times_s) * 1000, 2),
    }


if __name__ == "__main__":
    sys.exit(main())
