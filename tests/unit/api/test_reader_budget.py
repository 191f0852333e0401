"""What a reader may be sent within a while."""

from __future__ import annotations

import pytest

from api.reader_budget import Window


def test_a_window_is_full_and_empties_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("api.reader_budget.time.monotonic", lambda: now)
    window = Window(most=100, seconds=20)
    assert window.take(500), "one too large for any window goes through alone"
    assert not window.take(1)
    now = 20.0
    assert window.take(60)
    now = 30.0
    assert window.take(40)
    assert not window.take(1)
    now = 40.0
    assert window.take(60)
    assert not window.take(1)
