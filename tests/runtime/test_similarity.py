"""Similarity of meanings: cosines by hand, each text embedded once, and a real (tiny) sentence-transformers model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from exgrpo_artifact.errors import ModelError
from exgrpo_artifact.judgements import Judgement
from exgrpo_artifact.values import Failed
from exgrpo_runtime import judging
from exgrpo_runtime.judging import answer_judgements
from exgrpo_runtime.similarity import Embeddings, compare_texts, open_embeddings
from tests.runtime.factory import make_artifact, make_context

VECTORS = {
    "east": (1.0, 0.0),
    "north": (0.0, 1.0),
    "west": (-1.0, 0.0),
    "north-east": (0.6, 0.8),
    "rounded": (1.0 + 1e-9, 0.0),
}


class Counted:
    """Embeds by table, and counts."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        self.batches.append(list(texts))
        return [VECTORS[text] for text in texts]


def test_the_cosine_of_unit_vectors() -> None:
    pairs = [
        ("east", "north"),
        ("east", "west"),
        ("north-east", "north"),
        ("east", "east"),
        ("rounded", "east"),
    ]
    assert Embeddings(Counted()).compare(pairs) == [0.0, -1.0, 0.8, 1.0, 1.0]


def test_each_text_is_embedded_once_and_a_batch_at_a_time() -> None:
    embed = Counted()
    embeddings = Embeddings(embed)
    embeddings.compare([("east", "north"), ("north", "east"), ("east", "west")])
    embeddings.compare([("west", "north"), ("north-east", "west")])
    embeddings.compare([("west", "north")])
    assert embed.batches == [["east", "north", "west"], ["north-east"]]


def test_only_the_latest_texts_are_kept() -> None:
    embed = Counted()
    embeddings = Embeddings(embed, most_kept=2)
    embeddings.compare([("east", "north")])
    embeddings.compare([("east", "west")])  # `north` has not been looked at for the longest
    embeddings.compare([("east", "west"), ("west", "north")])
    assert embed.batches == [["east", "north"], ["west"], ["north"]]


def test_a_reward_is_told_of_judges_and_similarities_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        judging, "compare_texts", lambda pairs, id_, revision: [len(a) / 10 for a, _ in pairs]
    )
    monkeypatch.setattr(
        judging, "score_judgements", lambda asked, context: {one.key: Failed("no") for one in asked}
    )
    judgements = [
        make_judgement("a", "similarity", ("four", "x"), id="small"),
        make_judgement("b", "judge.same", ("x", "y"), model="tutor"),
        make_judgement("c", "similarity", ("six", "x"), id="other", revision="1"),
    ]
    context = make_context(tmp_path, make_artifact())
    assert answer_judgements(judgements, context) == {"a": 0.4, "b": Failed("no"), "c": 0.3}
    assert answer_judgements([], context) == {}
    context.store.close()


def make_judgement(key: str, fn: str, arguments: tuple[str, ...], **params: object) -> Judgement:
    return Judgement(key, "node", 0, None, fn, {"fn": fn, **params}, arguments)


# --- a real model -------------------------------------------------------------------------------------------

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
TEXT = "why is the sum of three and four seven not add take away apples a"


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers directory around a BERT of two thousand random numbers."""
    library = pytest.importorskip("sentence_transformers", reason="the extra `coherence` is not installed")
    torch = pytest.importorskip("torch")
    from sentence_transformers.sentence_transformer import modules
    from transformers import BertConfig, BertModel, BertTokenizerFast

    path = tmp_path_factory.mktemp("bert")
    words = [*SPECIAL, *TEXT.split()]
    (path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(path / "bert")
    BertTokenizerFast(vocab_file=str(path / "vocab.txt")).save_pretrained(path / "bert")
    transformer = modules.Transformer(str(path / "bert"), max_seq_length=64)
    pooling = modules.Pooling(16)
    library.SentenceTransformer(modules=[transformer, pooling]).save(str(path / "whole"))
    return path / "whole"


@pytest.mark.train
def test_texts_are_compared_by_a_model_of_sentences(tiny_model: Path) -> None:
    open_embeddings.cache_clear()
    same, close, back, far = compare_texts(
        [
            ("why is the sum seven", "why is the sum seven"),
            ("why is the sum seven", "why is the sum of three and four seven"),
            ("why is the sum of three and four seven", "why is the sum seven"),
            ("why is the sum seven", "take away apples"),
        ],
        str(tiny_model),
        None,
    )
    assert same == 1.0
    assert close == pytest.approx(back)
    assert -1 <= far < close < 1
    assert compare_texts([], "no such model", None) == []
    assert open_embeddings(str(tiny_model), None) is open_embeddings(str(tiny_model), None)


@pytest.mark.train
def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="the extra `coherence` is not installed")
    with pytest.raises(ModelError, match=r"the embeddings of `.*nowhere` cannot be loaded"):
        compare_texts([("a", "b")], str(tmp_path / "nowhere"), None)
