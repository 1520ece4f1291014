"""The yardstick on real cores: its readings, and that nothing of it stays."""

from __future__ import annotations

import math
import os
import time

import numpy as np
import pytest

from grpclab.analysis.inference.core_speed import FEWEST_READINGS, speed_of
from grpclab.errors import WorkerError
from grpclab.study.yardstick import running_yardstick
from grpclab.system.programs import descendants
from tests.support.processes import until


def test_it_reads_the_speed_of_each_core_on_our_clock_and_nothing_stays() -> None:
    cores = sorted(os.sched_getaffinity(0))[:2]
    began = time.perf_counter()
    with running_yardstick(cores) as yardstick:
        readings = yardstick.take()
        assert until(lambda: descendants() == [], 10), "it ends when it is read"
    ended = time.perf_counter()
    assert len(readings) == len(cores)
    for of_core in readings:
        assert of_core.shape[1] == 2
        assert ((of_core[:, 0] >= began) & (of_core.sum(axis=1) <= ended)).all()
        assert (np.diff(of_core[:, 0]) > 0).all()
        assert (of_core[:, 1] > 0).all()


def test_a_stretch_has_readings_enough_for_a_speed() -> None:
    for length_s in (0.5, 2.0, 8.0, 32.0):  # some 200 readings in the first, unless it starts late
        with running_yardstick([min(os.sched_getaffinity(0))]) as yardstick:
            time.sleep(length_s)
            (of_core,) = readings = yardstick.take()
        if len(of_core) >= FEWEST_READINGS:
            break
    assert len(of_core) >= FEWEST_READINGS
    assert speed_of(readings, float(of_core[0, 0]), math.inf) == pytest.approx(float((1 / of_core[:, 1]).mean()))


def test_one_that_dies_says_so() -> None:
    with running_yardstick([min(os.sched_getaffinity(0))]) as yardstick:
        (child,) = descendants()
        child.kill()
        with pytest.raises(WorkerError, match=r"^the yardstick on core \d+ \(pid \d+\) was killed by SIGKILL"):
            yardstick.take()
    assert until(lambda: descendants() == [], 10)
