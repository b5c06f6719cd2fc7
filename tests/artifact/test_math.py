r"""Equality of mathematical answers: what is equal, and that nothing in a `\boxed{…}` can stop or mislead a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from exgrpo_artifact import boxed, math_worker
from exgrpo_artifact.answers import answer_matches, extract_answer, same_answer
from exgrpo_artifact.boxed import MAX_MATH, is_same_math
from exgrpo_artifact.errors import MissingDependencyError, UndecidedError
from exgrpo_artifact.manifest import AnswerSpec
from exgrpo_artifact.math_size import find_excess
from exgrpo_artifact.math_worker import MathWorker, get_worker
from exgrpo_artifact.operations import apply_operation
from exgrpo_artifact.values import Failed

MATH = AnswerSpec(kind="math.boxed")
SAME = [
    (r"\frac{1}{2}", "0.5"),
    (r"\tfrac12", r"\frac{1}{2}"),
    (r"2\sqrt{2}", r"\sqrt{8}"),
    ("x=5", "5"),
    ("(1,2)", "(1, 2)"),
    ("[0, 1)", "[0,1)"),
    (r"\{2, 1\}", r"\{1, 2\}"),
    ("1-x", "-x+1"),
    (r"90^\circ", "90"),
    (r"\$1,000", "1000"),
    (r"3\text{ cm}", "3"),
    (r"2^{2024}", r"4^{1012}"),
    (r"50\%", "0.5"),
]
DIFFERENT = [
    ("5", "-5"),
    ("18", "19"),
    (r"\frac{1}{3}", "0.33"),
    ("(1,2)", "(2,1)"),
    ("[0,1)", "(0,1)"),
    ("x+1", "x-1"),
    ("hello", "5"),
    (r"\frac{1", "0.5"),
    ("{{{", "5"),
    ("$$", "5"),
]
HOSTILE = [
    "9^{9^{9^9}}",
    "10^{10^{10}}",
    "99999999!",
    "9^{99999999}",
    r"\sum_{n=1}^{\infty} \frac{1}{n^{\sin n}}",
]
SLOW = r"\int_0^1 \sin(x^2)e^{x} dx"
ENDLESS = [
    *HOSTILE[:4],
    "9^9^9",
    "{9}^{9}^{9}",
    "((5!)!)!",
    "(x+1)^{99999999}",
    "9^{(9)(9)(9)(9)(9)(9)(9)(9)}",
    "10^{-10000000}",
    r"\left(\frac{1}{3}\right)^{9999999}",
    r"\binom{100000000}{50000000}",
    r"\sum_{n=1}^{1000000000} n^2",
    r"\prod_{n=1}^{10^{9}} n",
    r"\sqrt{" + "7" * 101 + "}",
    "\u0669^{\u0669\u0669\u0669\u0669\u0669\u0669\u0669\u0669}",
    "\uff19^{\uff19\uff19\uff19\uff19\uff19\uff19\uff19\uff19}",
    "(" * 40 + "1" + ")" * 40,
    r"\{" * 13 + "x" + r"\}" * 13,
    r"\frac{1}{" * 20 + "2" + "}" * 20,
    "x^{" * 30 + "2" + "}" * 30,
    "9^" * 240 + "9",
]
WORKED_OUT = [
    *(text for pair in SAME + DIFFERENT for text in pair if "1000" not in text),
    *(r"\frac{10!}{3!7!}", "1000!", "5!!", "10^{-9}", "2^{2^{2^{2}}}", "e^{-x^2/2}", "x^{99999999}", "(x+1)^{500}"),
    *(r"\sum_{k=1}^{n} k", r"\sum_{n=1}^{1000} n^2", r"\binom{52}{5}", "2^{1+2+3+4+5+6+7+8+9}", "6.02 \\times 10^{23}"),
    *(r"\left(\frac{1+\sqrt5}{2}\right)^{2}", r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", r"(-\infty, -2) \cup [3, \infty)"),
    *("^", "!", "_", "}{", "\\", r"\binom", "!" * 490, "^" * 490, "x_" * 240, ""),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _needs_math() -> None:
    pytest.importorskip("math_verify", reason="needs the extra `math`")


@pytest.mark.parametrize(("answer", "gold"), SAME)
def test_equal_expressions(answer: str, gold: str) -> None:
    assert answer_matches(rf"So it is \boxed{{{answer}}}.", gold, MATH)


@pytest.mark.parametrize(("answer", "gold"), DIFFERENT)
def test_expressions_that_differ_or_are_none(answer: str, gold: str) -> None:
    assert not answer_matches(rf"So it is \boxed{{{answer}}}.", gold, MATH)
    assert not answer_matches("No box, just 5.", "5", MATH)


def test_what_is_equal_as_text_or_number_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxed, "_compare", lambda answer, gold: pytest.fail("asked the worker"))
    assert is_same_math("9^{9^{9^9}}", "9^{9^{9^9}} ")
    assert is_same_math("1,000.0", "1000")
    assert not is_same_math("1000", "1001")


def test_any_thread_may_compare_and_all_share_one_process() -> None:
    verdicts: dict[int, bool] = {}

    def compare(at: int) -> None:
        verdicts[at] = is_same_math(rf"\frac{{{at}}}{{7}}", rf"\frac{{{2 * at}}}{{14}}")

    threads = [threading.Thread(target=compare, args=(at,)) for at in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == dict.fromkeys(range(1, 9), True)
    first = get_worker().pid
    assert is_same_math(r"\sqrt{12}", r"2\sqrt{3}")
    assert get_worker().pid == first is not None


@pytest.mark.parametrize("answer", HOSTILE)
def test_an_expression_that_never_ends_is_given_up_and_the_next_is_compared(answer: str) -> None:
    worker = MathWorker(seconds=0.7)
    try:
        assert worker.compare("x+1", "1+x") is True
        imported = worker.pid
        assert isinstance(worker.compare(answer, "3"), str), "neither right nor wrong"
        assert worker.compare("x+1", "1+x") is True
        assert worker.pid == imported, "nothing is imported again"
    finally:
        worker.close()
    assert worker.pid is None


@pytest.mark.parametrize("answer", ENDLESS)
def test_what_would_never_end_is_told_from_its_text_and_never_compared(
    answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxed, "_compare", lambda answer, gold: pytest.fail("asked the worker"))
    junk = r"\boxed{9^{9}} \boxed{} \frac{" * (1_000_000 // 29)
    node = {"fn": "matches", "answer": {"kind": "math.boxed"}}
    value = apply_operation("call", [rf"{junk} so it is \boxed{{{answer}}}", "3"], node)
    assert isinstance(value, Failed)
    assert value.reason.endswith("and is not compared")
    # Nor where the gold answer is such a one.
    with pytest.raises(UndecidedError, match="is not compared"):
        is_same_math("3", answer)


@pytest.mark.parametrize("answer", WORKED_OUT)
def test_what_answers_hold_is_small_enough(answer: str) -> None:
    assert find_excess(answer) is None


def test_the_process_is_started_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = MathWorker()
    monkeypatch.setattr(math_worker, "get_worker", lambda: worker)
    try:
        boxed.prepare_comparing()
        started = worker.pid
        assert started is not None
        assert worker.compare("x+2", "2+x") is True
        assert worker.pid == started
    finally:
        worker.close()


@pytest.mark.skipif(sys.platform != "linux", reason="limits on address space hold on Linux")
def test_memory_is_limited() -> None:
    script = (
        "from exgrpo_artifact.math_process import _limit_memory\n"
        "_limit_memory(1 << 30)\n"
        "small = bytearray(1 << 28)\n"
        "try:\n    bytearray(1 << 30)\n"
        "except MemoryError:\n    print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=100
    )
    assert done.stdout == "refused\n"


def test_a_worker_that_was_killed_is_replaced() -> None:
    worker = MathWorker()
    try:
        assert worker.compare("a+b", "b+a") is True
        first = worker.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        time.sleep(0.2)
        assert worker.compare("a+b", "b+a") is True
        assert worker.pid != first
    finally:
        worker.close()


def test_what_is_undecided_is_failed_and_neither_right_nor_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    boxed._compare.cache_clear()
    worker = MathWorker(seconds=1.0)
    monkeypatch.setattr(math_worker, "get_worker", lambda: worker)
    try:
        node = {"fn": "matches", "answer": {"kind": "math.boxed"}}
        value = apply_operation("call", [rf"\boxed{{{SLOW}}}", "3"], node)
        assert isinstance(value, Failed)
        assert value.reason.endswith("took longer than 1 s of processor time")
        assert apply_operation("call", [r"\boxed{\sqrt{9}}", "3"], node) == 1
        assert apply_operation("call", [r"\boxed{\sqrt{8}}", "3"], node) == 0
    finally:
        worker.close()
        boxed._compare.cache_clear()


def test_a_pair_is_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Counting:
        def compare(self, answer: str, gold: str) -> bool:
            asked.append(answer)
            return True

    monkeypatch.setattr(math_worker, "get_worker", Counting)
    boxed._compare.cache_clear()
    for _ in range(3):
        assert is_same_math("q+1", "1+q")
    boxed._compare.cache_clear()
    assert asked == ["q+1"]


def test_a_megabyte_of_latex_is_undecided_at_once() -> None:
    start = time.process_time()
    with pytest.raises(UndecidedError, match=str(MAX_MATH)):
        answer_matches(r"\boxed{" + r"\frac{1}{2}+" * 90_000 + "1}", "3", MATH)
    assert time.process_time() - start < 2


def test_the_worker_ends_with_the_process_that_uses_it() -> None:
    script = (
        "from exgrpo_artifact.boxed import is_same_math\n"
        "from exgrpo_artifact.math_worker import get_worker\n"
        "assert is_same_math('a+b', 'b+a')\n"
        "print(get_worker().pid)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=100
    )
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_forked_process_starts_a_worker_of_its_own() -> None:
    script = (
        "import os, sys\n"
        "from exgrpo_artifact.math_worker import get_worker\n"
        "worker = get_worker()\n"
        "assert worker.compare('a+b', 'b+a') is True\n"
        "parent = worker.pid\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    same = worker.compare('a+c', 'c+a')\n"
        "    is_other = worker.pid != parent\n"
        "    worker.close()\n"
        "    os._exit(0 if same is True and is_other else 1)\n"
        "code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
        "sys.exit(code or worker.compare('a+d', 'd+a') is not True or worker.pid != parent)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=100).returncode == 0


def test_missing_math_verify_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "math_verify", None)
    boxed.has_math.cache_clear()
    try:
        with pytest.raises(MissingDependencyError, match=r"pip install 'exgrpo\[math\]'"):
            same_answer("a+b", "b+a", MATH)
        assert same_answer("5", "5.0", MATH)
        assert not same_answer("5", "6", MATH)
        assert extract_answer(r"\boxed{5}", MATH) == "5"
    finally:
        boxed.has_math.cache_clear()
