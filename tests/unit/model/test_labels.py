"""What the labels of a service say, wherever they stand."""

from __future__ import annotations

import pytest

from harness.model.labels import is_instrument, labelled_entry, role_of


@pytest.mark.parametrize(
    ("label", "found"),
    [
        ("shop:8080", ("shop", "8080")),
        ("shop:8080/status", ("shop", "8080")),
        ("shop", ("shop", "")),
        ("shop:1:2", ("shop", "1:2")),
        ("", ("", "")),
    ],
)
def test_an_entry_is_a_name_and_a_port(label: str, found: tuple[str, str]) -> None:
    assert labelled_entry({"harness.entry": label, "harness.role": "app"}) == found


def test_without_its_label_there_is_no_entry() -> None:
    assert labelled_entry({"harness.role": "app"}) == ("", "")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"harness.protect": "true"}, True),
        ({"harness.protect": ""}, True),  # a label without a value
        ({"harness.role": "toxiproxy"}, True),
        ({"harness.role": "monitoring"}, True),
        ({"harness.role": "app"}, False),
        ({}, False),
    ],
)
def test_what_breaks_or_looks_is_no_part_of_what_is_tested(
    labels: dict[str, str], expected: bool
) -> None:
    assert is_instrument(labels) is expected


def test_a_service_has_the_role_of_its_label() -> None:
    assert (role_of({"harness.role": "app"}), role_of({"harness.entry": "app:1"})) == ("app", "")
