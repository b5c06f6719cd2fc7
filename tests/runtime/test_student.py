from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from exgrpo_artifact.errors import ModelError
from exgrpo_artifact.manifest import Lora, Model
from exgrpo_artifact.record import replace
from exgrpo_runtime.device import compute_dtype, settle_threads, weight_dtype
from exgrpo_runtime.student import attach_lora, create_student, load_student, save_student
from exgrpo_runtime.tokenizer import MIN_VOCAB, train_tokenizer
from tests.support.tiny_student import CHATML, TEXTS, make_model, make_student

pytestmark = pytest.mark.train

PROBE = torch.tensor([[5, 9, 30, 44, 7]])


def read_logits(student):
    student.model.eval()
    with torch.no_grad():
        return student.model(PROBE.to(student.device)).logits


def test_the_seed_alone_decides_the_weights():
    torch.manual_seed(99)
    one, two, other = make_student(seed=3), make_student(seed=3), make_student(seed=4)
    assert torch.equal(read_logits(one), read_logits(two))
    assert not torch.equal(read_logits(one), read_logits(other))


def test_making_a_student_leaves_the_global_generator_alone():
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    make_student(seed=3)
    assert torch.rand(1) == expected


def test_the_spec_decides_the_size():
    student = make_student(layers=3, width=48, heads=4, context=128)
    config = student.model.config
    assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (3, 48, 4)
    assert student.context == config.max_position_embeddings == 128


def test_a_saved_student_comes_back_as_it_was(tmp_path):
    student = make_student(sharpness=3.0)
    save_student(student, tmp_path)
    again = load_student(tmp_path, make_model())
    assert torch.equal(read_logits(student), read_logits(again))
    assert again.context == student.context
    assert again.chat.stop_ids == student.chat.stop_ids
    text = "Tom has 17 apples, é  你."
    assert again.chat.encode_opening("S", text) == student.chat.encode_opening("S", text)
    assert again.chat.decode(again.chat.encode_answer(text)) == text


def test_the_folder_is_an_ordinary_one(tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    save_student(make_student(), tmp_path)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Why?"}],
        add_generation_prompt=True,
        return_dict=False,
        return_tensors="pt",
    )
    assert model.generate(ids, max_new_tokens=2, do_sample=False).shape[1] > ids.shape[1]


def test_a_downloaded_folder_serves_as_hf(tmp_path):
    made = make_student()
    save_student(made, tmp_path)
    student = create_student(Model(name="s", kind="hf", id=str(tmp_path)), (), seed=0)
    assert torch.equal(read_logits(student), read_logits(made))


def test_a_fresh_adapter_changes_nothing_and_merging_keeps_what_it_learned(tmp_path):
    plain = make_student()
    student = make_student(lora=Lora(rank=4, alpha=8))
    assert torch.equal(read_logits(plain), read_logits(student))
    model = attach_lora(student)
    assert torch.equal(read_logits(plain), read_logits(student))
    trained = [p for p in model.parameters() if p.requires_grad]
    assert 0 < sum(p.numel() for p in trained) < 0.5 * sum(p.numel() for p in model.parameters())
    with torch.no_grad():
        for parameter in trained:
            parameter.add_(0.05)
    changed = read_logits(student)
    assert not torch.allclose(changed, read_logits(plain), atol=1e-3)
    with model.disable_adapter():
        assert torch.equal(read_logits(student), read_logits(plain))
    save_student(student, tmp_path)
    again = load_student(tmp_path, make_model(lora=Lora(rank=4, alpha=8)))
    assert torch.allclose(read_logits(again), changed, atol=1e-5)
    attach_lora(again)
    with again.model.disable_adapter():
        assert torch.allclose(read_logits(again), changed, atol=1e-5)


def test_an_adapter_that_fits_no_layer_is_refused_with_the_names_of_those_there_are():
    student = make_student(lora=Lora(target=("qq_proj",)))
    with pytest.raises(ModelError, match=r"qq_proj.*q_proj"):
        attach_lora(student)


@pytest.mark.parametrize(
    ("changes", "words"), [({"heads": 3}, "even multiple"), ({"vocab": MIN_VOCAB - 1}, "vocab")]
)
def test_sizes_that_fit_no_model_are_refused(changes, words):
    with pytest.raises(ModelError, match=words):
        make_student(**changes)


def test_a_teacher_cannot_be_a_student():
    with pytest.raises(ModelError, match="cannot be trained"):
        create_student(Model(name="tutor", kind="openai", id="x"), (), seed=0)


def test_an_absent_model_is_one_clear_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"neither a folder here nor a model"):
        create_student(Model(name="s", kind="hf", id="nobody-here/no-such-model"), (), seed=0)
    with pytest.raises(ModelError, match="holds no student"):
        load_student(tmp_path / "absent", make_model())
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="cannot be loaded from"):
        load_student(tmp_path / "empty", make_model())


def test_a_model_without_a_chat_template_is_refused(tmp_path):
    student = make_student()
    student.tokenizer.chat_template = None
    save_student(student, tmp_path)
    with pytest.raises(ModelError, match="no chat template"):
        create_student(Model(name="s", kind="hf", id=str(tmp_path)), (), seed=0)


def test_full_fine_tuning_keeps_its_weights_in_float32():
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    full, lora = Model(name="s", kind="hf", id="x"), Model(name="s", kind="hf", id="x", lora=Lora())
    assert (weight_dtype(full, cuda), compute_dtype(full, cuda)) == (torch.float32, torch.bfloat16)
    assert (weight_dtype(lora, cuda), compute_dtype(lora, cuda)) == (torch.bfloat16, torch.bfloat16)
    assert (weight_dtype(lora, cpu), compute_dtype(lora, cpu)) == (torch.float32, torch.float32)
    asked = replace(full, dtype="bfloat16")
    assert (weight_dtype(asked, cpu), compute_dtype(asked, cuda)) == (torch.bfloat16, torch.bfloat16)


def test_small_models_on_a_cpu_get_one_thread(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    try:
        torch.set_num_threads(4)
        settle_threads(400_000, torch.device("cuda"))
        assert torch.get_num_threads() == 4
        settle_threads(400_000, torch.device("cpu"))
        assert torch.get_num_threads() == 1
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        torch.set_num_threads(3)
        settle_threads(400_000, torch.device("cpu"))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


# --- tokenizer --------------------------------------------------------------------------------------------


def test_digits_stand_alone_and_words_are_merged():
    tokenizer = train_tokenizer(TEXTS, 400, 256)
    ids = tokenizer.encode("Tom has 1234 apples", add_special_tokens=False)
    pieces = [tokenizer.decode([i]) for i in ids]
    assert [piece for piece in pieces if any(c.isdigit() for c in piece)] == ["1", "2", "3", "4"]
    assert len(pieces) < len("Tom has 1234 apples") / 1.5


def test_every_text_survives():
    tokenizer = train_tokenizer(TEXTS, 300, 256)
    text = "  tabs\tand\nlines, é ß 你好 🙂 \\frac{1}{2}  "
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_the_same_texts_give_the_same_tokenizer_in_every_process():
    code = (
        "import json; from tests.support.tiny_student import TEXTS; "
        "from exgrpo_runtime.tokenizer import train_tokenizer; "
        "print(json.dumps(train_tokenizer(TEXTS, 400, 256).get_vocab(), sort_keys=True))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "5"}
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert json.loads(other.stdout) == train_tokenizer(TEXTS, 400, 256).get_vocab()


def test_templates_of_other_models_are_kept(tmp_path):
    student = make_student()
    student.tokenizer.add_tokens(["<|im_start|>", "<|im_end|>"], special_tokens=True)
    student.tokenizer.chat_template = CHATML
    student.model.resize_token_embeddings(len(student.tokenizer))
    save_student(student, tmp_path)
    again = create_student(Model(name="s", kind="hf", id=str(tmp_path)), (), seed=0)
    assert again.chat.eos_id == student.tokenizer.convert_tokens_to_ids("<|im_end|>")
