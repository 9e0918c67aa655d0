"""What hangs ends when its time is over, and nothing of the bound is left behind."""

from __future__ import annotations

import signal
import threading

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.bounded import OverdueError, bounded


def test_whatever_waits_is_ended_when_the_time_is_over() -> None:
    with pytest.raises(OverdueError), bounded(0.05):
        threading.Event().wait(60)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL


def test_what_ends_in_time_is_left_alone() -> None:
    with bounded(60):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_bound_of_the_task_itself_stays() -> None:
    signal.setitimer(signal.ITIMER_REAL, 300)
    try:
        with bounded(0.001):
            assert signal.getitimer(signal.ITIMER_REAL)[0] > 200
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 200
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
