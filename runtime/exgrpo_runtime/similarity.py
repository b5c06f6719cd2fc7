"""How close two texts are in meaning: the cosine of their sentence embeddings, by the extra `coherence`.

Texts are embedded in batches, and each once: what was embedded is kept by the hash of its text, as long as it is among the latest.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

from exgrpo_artifact.errors import MissingDependencyError, ModelError

MOST_KEPT = 50_000
"""Embeddings kept for each model: at 384 numbers of four bytes some 80 MB."""
_BATCH = 64


class Embed(Protocol):
    """Texts to unit vectors, in order."""

    def __call__(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """The embeddings."""


def require_similarity() -> None:
    """Returns where embeddings can be made.

    Raises:
        MissingDependencyError: sentence-transformers is not installed.
    """
    if importlib.util.find_spec("sentence_transformers") is None:
        raise MissingDependencyError(
            "`similarity` compares sentence embeddings, which sentence-transformers makes. "
            "Install it: pip install 'exgrpo[coherence]'"
        )


def compare_texts(pairs: Sequence[tuple[str, str]], model_id: str, revision: str | None) -> list[float]:
    """The cosine of the embeddings of each pair, from -1 to 1; 1 for equal texts.

    Args:
        pairs: texts.
        model_id: repository or directory of a sentence-transformers model.
        revision: of the repository; None: the one it has now.

    Raises:
        MissingDependencyError: sentence-transformers is not installed.
        ModelError: the model cannot be loaded.
    """
    return open_embeddings(model_id, revision).compare(pairs) if pairs else []


@lru_cache(maxsize=2)
def open_embeddings(model_id: str, revision: str | None) -> Embeddings:
    """The embeddings of a model, loaded once for the process.

    Raises:
        MissingDependencyError: sentence-transformers is not installed.
        ModelError: the model cannot be loaded.
    """
    require_similarity()
    return Embeddings(_load(model_id, revision))


class Embeddings:
    """Embeddings of one model, those of the latest texts kept."""

    def __init__(self, embed: Embed, most_kept: int = MOST_KEPT) -> None:
        self._embed = embed
        self._most_kept = most_kept
        self._kept: OrderedDict[bytes, Sequence[float]] = OrderedDict()

    def compare(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """The cosine of each pair, within -1 and 1 whatever rounding makes of it."""
        found = self._find(list(dict.fromkeys(text for pair in pairs for text in pair)))
        return [1.0 if first == second else _multiply(found[first], found[second]) for first, second in pairs]

    def _find(self, texts: Sequence[str]) -> dict[str, Sequence[float]]:
        keys = {text: hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts}
        missing = [text for text in texts if keys[text] not in self._kept]
        fresh = dict(zip(missing, self._embed(missing) if missing else (), strict=True))
        found = {text: fresh[text] if text in fresh else self._kept[keys[text]] for text in texts}
        for text in texts:
            self._kept[keys[text]] = found[text]
            self._kept.move_to_end(keys[text])
        while len(self._kept) > self._most_kept:
            self._kept.popitem(last=False)
        return found


def _multiply(first: Sequence[float], second: Sequence[float]) -> float:
    product = sum(float(a) * float(b) for a, b in zip(first, second, strict=True))
    return min(1.0, max(-1.0, product))


def _load(model_id: str, revision: str | None) -> Embed:
    from exgrpo_runtime.quiet import silence_libraries

    silence_libraries()
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(model_id, revision=revision)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelError(
            f"the embeddings of `{model_id}` cannot be loaded: {error}. Is it a sentence-transformers model, and is it there?"
        ) from error

    def embed(texts: Sequence[str]) -> Any:
        return model.encode(
            list(texts), batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False
        )

    return embed
