from __future__ import annotations

import random

from exgrpo_runtime.teachers.failures import PassingError
from exgrpo_runtime.teachers.gate import Gate
from exgrpo_runtime.teachers.patience import MOST_FREE_TRIES, Patience


def test_a_gate_closes_to_three_quarters_and_opens_by_one_after_as_many_successes_as_it_is_wide() -> None:
    gate = Gate(8)
    gate.cut(sent_at=1.0, now=1.0)
    assert gate.width == 6
    widths = []
    for _ in range(6 + 7 + 1):
        gate.open()
        widths.append(gate.width)
    assert widths == [6] * 5 + [7] * 7 + [8] * 2
    gate.open()
    assert gate.width == 8, "never wider than at the beginning"


def test_answers_that_were_on_their_way_before_a_cut_do_not_cut_again() -> None:
    gate = Gate(16)
    for _ in range(10):
        gate.cut(sent_at=0.0, now=1.0)
    assert gate.width == 12
    gate.cut(sent_at=1.5, now=2.0)
    assert gate.width == 9


def test_a_gate_never_closes_altogether() -> None:
    gate = Gate(2)
    for now in range(5):
        gate.cut(sent_at=float(now), now=float(now))
    assert gate.width == 1
    assert gate.has_room(5.0)


def test_a_gate_that_is_full_or_held_has_no_room() -> None:
    gate = Gate(1)
    gate.enter()
    assert not gate.has_room(0.0)
    gate.leave()
    gate.hold(3.0)
    gate.hold(2.0)
    assert not gate.has_room(2.9)
    assert gate.has_room(3.0)


def wait_after(cause: str, *tries: int) -> list[tuple[float, float]]:
    """Least and most wait of many draws after so many tries."""
    spans = []
    for number in tries:
        waits = []
        for seed in range(200):
            patience = Patience(9, 0.5, random.Random(seed))
            for _ in range(number):
                patience.lose(PassingError("no", cause), is_free=False)  # type: ignore[arg-type]
            waits.append(patience.choose_wait(PassingError("no", cause)))  # type: ignore[arg-type]
        spans.append((round(min(waits), 1), round(max(waits), 1)))
    return spans


def test_waits_double_with_jitter_and_are_longer_after_429() -> None:
    assert wait_after("ill", 1, 2, 3) == [(0.3, 0.7), (0.5, 1.5), (1.0, 3.0)]
    assert wait_after("busy", 1, 2, 3) == [(0.3, 0.7), (1.0, 3.0), (4.0, 11.9)]
    assert wait_after("ill", 8)[0][1] <= 45.0


def test_free_attempts_are_no_tries_but_come_to_an_end() -> None:
    patience = Patience(2, 0.5, random.Random(0))
    for _ in range(MOST_FREE_TRIES - 1):
        patience.lose(PassingError("no", "busy"), is_free=True)
    assert (patience.tries, patience.is_over) == (0, False)
    patience.lose(PassingError("no", "busy"), is_free=True)
    assert patience.is_over
