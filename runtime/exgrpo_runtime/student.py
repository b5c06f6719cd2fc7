"""The student: a causal language model, its tokenizer and chat format; made, loaded, adapted and saved.

Between stages a student is an ordinary transformers folder. Adapters are merged when it is saved and each
stage trains a fresh one, so that disabling the adapter gives exactly the model at the start of the stage.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exgrpo_artifact.errors import ModelError
from exgrpo_artifact.manifest import Lora, Model, Scratch
from exgrpo_runtime.context import Context
from exgrpo_runtime.quiet import hide_library_bars, silence_libraries

silence_libraries()

import torch  # noqa: E402

from exgrpo_runtime.chat import ChatFormat  # noqa: E402
from exgrpo_runtime.device import compute_dtype, select_device, settle_threads, weight_dtype  # noqa: E402
from exgrpo_runtime.student_checks import require_vocabulary  # noqa: E402
from exgrpo_runtime.texts import collect_texts  # noqa: E402
from exgrpo_runtime.tokenizer import train_tokenizer  # noqa: E402

UNBOUNDED_CONTEXT = 1 << 20
"""Taken where a model's config states no number of positions."""


@dataclass(slots=True)
class Student:
    """A model with all that is needed to talk to it."""

    model: Any
    tokenizer: Any
    device: torch.device
    context: int
    """Positions, in tokens."""
    chat: ChatFormat
    dtype: torch.dtype = torch.float32
    """Numbers that the model computes in; its weights may be kept in more bits."""
    lora: Lora | None = None
    """The adapter that the spec trains; None for full fine-tuning."""


# --- making and loading -----------------------------------------------------------------------------------


def create_student(model: Model, texts: Iterable[str], seed: int) -> Student:
    """The student as the spec declares it, untrained by this task.

    Args:
        model: `scratch` (weights drawn from `seed`, tokenizer trained on `texts`) or `hf`.
        texts: what a scratch tokenizer is trained on; not read for `hf`.
        seed: of the initial weights.

    Raises:
        ModelError: the settings fit no model, or the model cannot be loaded or cannot hold a dialogue.
    """
    if model.kind == "scratch" and model.scratch is not None:
        return _create_scratch(model, model.scratch, texts, seed)
    if model.kind == "hf" and model.id is not None:
        return _load(model.id, model, revision=model.revision)
    raise ModelError(
        f"`{model.name}` is a model of kind `{model.kind}`, which cannot be trained. "
        "A student is declared with hf(…) or scratch { … }."
    )


def load_student(directory: Path, model: Model) -> Student:
    """The student that `save_student` left in `directory`.

    Raises:
        ModelError: the folder is missing, damaged, or holds no model that can be loaded.
    """
    if not directory.is_dir():
        raise ModelError(f"{directory} holds no student. Run the stage that trains it again.")
    return _load(str(directory), model, revision=None)


def load_for_stage(context: Context) -> Student:
    """The student as the last training stage left it, or a fresh one before the first."""
    manifest = context.manifest
    model = manifest.models[manifest.student]
    if context.student_dir is not None:
        return load_student(context.student_dir, model)
    texts = collect_texts(context) if model.kind == "scratch" else ()
    return create_student(model, texts, manifest.seed)


def save_student(student: Student, directory: Path) -> None:
    """Writes an ordinary transformers folder; an adapter is merged first, in the student at hand too."""
    hide_library_bars()
    merge_lora(student)
    student.model.save_pretrained(directory)
    student.tokenizer.save_pretrained(directory)


# --- adapters ---------------------------------------------------------------------------------------------


def attach_lora(student: Student) -> Any:
    """Puts a fresh adapter on the student where the spec asks for one.

    Returns the model to train, which `student.model` is from then on.

    Raises:
        ModelError: `lora.target` names no layer of this model.
    """
    lora = student.lora
    if lora is None:
        return student.model
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear" if lora.target is None else list(lora.target),
        task_type="CAUSAL_LM",
    )
    try:
        student.model = get_peft_model(student.model, config)
    except ValueError as error:
        names = sorted(
            {name.rsplit(".", 1)[-1] for name, layer in student.model.named_modules() if _is_linear(layer)}
        )
        raise ModelError(
            f"The student's adapter fits no layer of the model: target = {list(lora.target or ())}, "
            f"and its linear layers are called {', '.join(names)}."
        ) from error
    return student.model


def merge_lora(student: Student) -> None:
    """Adds the adapter into the weights below it; nothing to do without one."""
    if hasattr(student.model, "merge_and_unload"):
        student.model = student.model.merge_and_unload()


def _is_linear(layer: Any) -> bool:
    return isinstance(layer, torch.nn.Linear)


# --- the two kinds ----------------------------------------------------------------------------------------


def _create_scratch(model: Model, scratch: Scratch, texts: Iterable[str], seed: int) -> Student:
    from transformers import LlamaConfig, LlamaForCausalLM

    if scratch.width % scratch.heads or (scratch.width // scratch.heads) % 2:
        raise ModelError(
            f"`{model.name}` cannot be built: width = {scratch.width} must be an even multiple of "
            f"heads = {scratch.heads}."
        )
    tokenizer = train_tokenizer(texts, scratch.vocab, scratch.context)
    chat = ChatFormat(tokenizer)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=scratch.width,
        # Llama's 8/3, rounded to what matrix kernels like.
        intermediate_size=-(-scratch.width * 8 // 3 // 16) * 16,
        num_hidden_layers=scratch.layers,
        num_attention_heads=scratch.heads,
        num_key_value_heads=scratch.heads,
        max_position_embeddings=scratch.context,
        # At this size an untied head would be a third of all parameters.
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=chat.eos_id,
        pad_token_id=chat.pad_id,
    )
    device = select_device()
    # Drawn on the CPU, so that the same seed gives the same weights on every machine.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = LlamaForCausalLM(config)
    network.to(device=device, dtype=weight_dtype(model, device))
    settle_threads(network.num_parameters(), device)
    return Student(
        network, tokenizer, device, scratch.context, chat, compute_dtype(model, device), model.lora
    )


def _load(source: str, model: Model, revision: str | None) -> Student:
    device = select_device()
    tokenizer, network = load_weights(source, model, revision, weight_dtype(model, device))
    chat = ChatFormat(tokenizer)
    require_vocabulary(source, tokenizer, chat, network.get_input_embeddings().num_embeddings)
    return Student(
        network,
        tokenizer,
        device,
        find_context(network.config),
        chat,
        compute_dtype(model, device),
        model.lora,
    )


def load_weights(source: str, model: Model, revision: str | None, dtype: torch.dtype) -> tuple[Any, Any]:
    """The tokenizer (it pads on the left) and the network, on the device, of a folder or of the hub.

    Raises:
        ModelError: it cannot be loaded.
    """
    hide_library_bars()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    device = select_device()
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, revision=revision, padding_side="left")
        network = AutoModelForCausalLM.from_pretrained(source, revision=revision, dtype=dtype)
    except Exception as error:  # the hub client, safetensors and the configs each raise classes of their own
        raise ModelError(_explain_load(source, model, error)) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    network.to(device)
    settle_threads(network.num_parameters(), device)
    return tokenizer, network


def load_tokenizer_and_config(model: Model) -> tuple[Any, Any]:
    """The tokenizer and the config of a model of kind `hf`; its weights are not read.

    Raises:
        ModelError: they cannot be loaded.
    """
    hide_library_bars()
    from transformers import AutoConfig, AutoTokenizer

    source = str(model.id)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, revision=model.revision)
        return tokenizer, AutoConfig.from_pretrained(source, revision=model.revision)
    except Exception as error:  # as in load_weights
        raise ModelError(_explain_load(source, model, error)) from error


def _explain_load(source: str, model: Model, error: Exception) -> str:
    reason = str(error).strip().split("\n", 1)[0] or type(error).__name__
    if Path(source).is_dir() and not (Path(source) / "config.json").is_file():
        return f"Model `{model.name}` cannot be loaded from {source}: the folder has no config.json."
    if Path(source).exists():
        return f"Model `{model.name}` cannot be loaded from {source}: {reason}"
    return (
        f"Model `{model.name}` cannot be loaded: {source} is neither a folder here nor a model "
        f"that the hub gave us ({reason}). Check the name and the network, or give the path of a "
        "downloaded model."
    )


def find_context(config: Any) -> int:
    """Positions, in tokens, that a model's config states; `UNBOUNDED_CONTEXT` where it states none."""
    text = config.get_text_config(decoder=True)
    positions = getattr(text, "max_position_embeddings", None)
    return int(positions) if positions else UNBOUNDED_CONTEXT
