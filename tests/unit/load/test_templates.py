"""Templates in requests: what each action gives, and that a number always gives the same text."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.errors import UsageError
from grpclab.load.calls.templates import Template, TemplateValues, is_template

VALUES = TemplateValues(service="shop.v1.Till", method="Pay", callers=4, now=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


def rendered(text: str, number: int = 0, values: TemplateValues = VALUES) -> str:
    return Template(text).render(number, values)


@pytest.mark.parametrize(
    ("action", "text"),
    [
        ("{{.RequestNumber}}", "6"),
        ("{{ .RequestNumber }}", "6"),
        ("{{- .RequestNumber -}}", "6"),
        ("{{.WorkerID}}", "g0c2"),
        ("{{.ServiceName}}/{{.MethodName}}", "Till/Pay"),
        ("{{.FullyQualifiedName}}", "shop.v1.Till.Pay"),
        ("{{.Timestamp}}", "2026-01-02T03:04:05Z"),
        ("{{.TimestampUnix}}", "1767323045"),
        ("{{.TimestampUnixMilli}}", "1767323045000"),
        ("{{.TimestampUnixNano}}", "1767323045000000000"),
        ('{{choice "a"}}', "a"),
        ('{{"{{"}}x', "{{x"),
        ("{{`a\\b`}}", "a\\b"),
        ("{{randomString 3 3}}", rendered("{{randomString 3 3}}", 6)),
    ],
)
def test_an_action_gives_its_value(action: str, text: str) -> None:
    assert is_template(action)
    assert rendered(action, 6) == text


@given(st.integers(0, 10**6), st.integers(1, 3))
def test_a_number_and_a_seed_give_the_same_text_and_others_another(number: int, seed: int) -> None:
    text = "{{newUUID}} {{randomInt 1 1000000}} {{randomString 8 12}}"
    values = TemplateValues(seed=seed)
    first = rendered(text, number, values)
    assert first == rendered(text, number, values)
    assert first != rendered(text, number + 1, values)
    assert first != rendered(text, number, TemplateValues(seed=seed + 10))
    one, number_text, letters = first.split()
    assert uuid.UUID(one).version == 4
    assert 1 <= int(number_text) < 1_000_000
    assert 8 <= len(letters) < 12


def test_all_choices_are_made() -> None:
    assert {rendered('{{choice "a" "b" 3}}', number) for number in range(50)} == {"a", "b", "3"}


def test_a_text_in_between_stays() -> None:
    text = '{"id": {{.RequestNumber}}, "inner": {"name": "{{.WorkerID}}"}}'
    assert json.loads(rendered(text, 5)) == {"id": 5, "inner": {"name": "g0c1"}}


@pytest.mark.parametrize(
    "text",
    [
        *("{{.Foo}}", "{{foo 1}}", "{{}}", "{{.RequestNumber 1}}", "{{newUUID 1}}", "{{randomInt 5}}"),
        *("{{randomInt 5 5}}", "{{randomInt 6 5}}", '{{randomInt "a" 5}}', "{{randomString -1 5}}", "{{choice}}"),
        *("{{.RequestNumber", "{{ | }}", "{{choice newUUID}}", "{{randomString 1 9999999999}}"),
        pytest.param("{{randomInt 1 " + "9" * 5000 + "}}", id="more digits than Python reads"),
    ],
)
def test_what_is_no_action_is_refused_before_any_request(text: str) -> None:
    with pytest.raises(UsageError, match="invalid template") as caught:
        Template(text)
    assert "\n" not in str(caught.value)
