"""The stand-in for Prometheus: it reads the metrics of real servers while it is told to, and of nothing else."""

from __future__ import annotations

import itertools
import time

import psutil
import pytest

from grpclab.errors import FactorError, ServerError
from grpclab.factors.config import TrialConfig
from grpclab.servers.process.scraper import moments, running_scraper
from tests.support.four_servers import Start
from tests.support.greeting import greeter_at, hello
from tests.support.metrics_page import MetricsPage
from tests.support.processes import gone, until

EVERY_S = 0.05


def test_there_is_a_moment_in_each_period_and_not_always_the_same() -> None:
    found = list(itertools.islice(moments(0.5, seed=1), 200))
    assert [int(moment / 0.5) for moment in found] == list(range(200))
    within = [moment % 0.5 for moment in found]
    assert min(within) < 0.1
    assert max(within) > 0.4
    assert found == list(itertools.islice(moments(0.5, seed=1), 200))
    assert found != list(itertools.islice(moments(0.5, seed=2), 200))


def test_the_metrics_of_a_server_are_read_while_it_has_calls(start: Start) -> None:
    with (
        start(metrics=True, desk=True) as server,
        running_scraper(server.desk, EVERY_S) as scraper,
        greeter_at(server.target) as stub,
    ):
        process = psutil.Process(scraper.pid)
        for _ in range(2):
            before = scraper.scrapes.done
            with scraper.reading():
                end = time.monotonic() + 8 * EVERY_S
                while time.monotonic() < end:
                    stub.SayHello(hello(), timeout=60)
            assert before < scraper.scrapes.done <= before + 10
            assert (scraper.scrapes.failed, scraper.scrapes.trouble) == (0, "")
        assert server.usage().cpu_s > 0
    assert gone(process)


def test_it_reads_on_one_connection_and_only_while_it_is_on(metrics_page: MetricsPage) -> None:
    with running_scraper(metrics_page.address, EVERY_S) as scraper:
        assert metrics_page.reads == 1, "it looks whether there is one"
        with scraper.reading():
            assert until(lambda: metrics_page.reads >= 4)
        assert scraper.scrapes.done == metrics_page.reads - 1
        read = metrics_page.reads
        assert not until(lambda: metrics_page.reads > read, within_s=4 * EVERY_S)
        with scraper.reading():
            assert until(lambda: metrics_page.reads > read)
        assert metrics_page.connections == 1


def test_failed_reads_are_counted_with_their_reason(metrics_page: MetricsPage) -> None:
    with running_scraper(metrics_page.address, EVERY_S) as scraper:
        with scraper.reading():
            assert until(lambda: metrics_page.reads >= 2)
            metrics_page.status = 503
            read = metrics_page.reads
            assert until(lambda: metrics_page.reads >= read + 2)
        assert scraper.scrapes.done >= 1
        assert scraper.scrapes.failed >= 1
        assert scraper.scrapes.trouble == "its status is 503"


def test_a_page_that_cannot_be_read_is_an_error_before_any_load(metrics_page: MetricsPage) -> None:
    metrics_page.status = 404
    refused = pytest.raises(ServerError, match="/metrics cannot be read: its status is 404")
    with refused, running_scraper(metrics_page.address, 1.0):
        pass


def test_a_failure_of_the_load_ends_it(metrics_page: MetricsPage) -> None:
    with running_scraper(metrics_page.address, EVERY_S) as scraper:
        process = psutil.Process(scraper.pid)
        with pytest.raises(KeyError), scraper.reading():
            raise KeyError
        assert gone(process)


@pytest.mark.parametrize("levels", [{}, {"server.metrics": True}, {"server.desk": True}])
def test_a_server_without_a_page_of_metrics_is_refused_in_one_line(levels: dict[str, bool]) -> None:
    with pytest.raises(FactorError) as refusal:
        TrialConfig().replace({**levels, "server.scrape_s": 1})
    assert str(refusal.value) == (
        "invalid server.scrape_s=1: expected none, or server.metrics=true and server.desk=true with it, which provide "
        "the page /metrics"
    )
