import pytest

from harness.report import formats
from harness.report.formats import GAP, NOTHING


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, NOTHING),
        (float("nan"), NOTHING),
        (0, "0 s"),
        (0.00012, "0.12 ms"),
        (0.0124, "12.4 ms"),
        (0.3673, "367 ms"),
        (0.9999, "1,000 ms"),
        (1.5, "1.50 s"),
        (21.43, "21.4 s"),
        (245.0, "4 min 05 s"),
        (-0.5, "−500 ms"),  # noqa: RUF001  # a minus, not a hyphen
    ],
)
def test_a_duration_has_the_unit_that_reads_best(value, text):
    assert formats.seconds(value) == text.replace(" ", GAP)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, NOTHING),
        (0, "0 %"),
        (1, "100 %"),
        (0.9999, "99.99 %"),
        (0.999999, "99.99 %"),
        (1 / 3, "33.3 %"),
        (1e-5, "0.001 %"),
    ],
)
def test_a_share_is_a_percentage_of_three_digits(value, text):
    assert formats.share(value) == text.replace(" ", GAP)


def test_a_judged_figure_is_written_in_the_unit_of_its_expectation():
    written = [formats.by_unit(1, unit) for unit in ("s", "share", "count", "flag", "other")]
    assert written == [f"1.00{GAP}s", f"100{GAP}%", "1", "yes", "1"]


def test_any_fact_of_the_environment_can_be_written():
    facts = [True, None, "", 2.5, ["a", 1], {"b": 1, "a": None}, []]
    assert [formats.plain(fact) for fact in facts] == [
        "yes",
        NOTHING,
        NOTHING,
        "2.5",
        "a, 1",
        f"a: {NOTHING}, b: 1",
        NOTHING,
    ]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("within 200 ms with under 0.1 % errors", "within 200_ms with under 0.1_% errors"),
        ("p95 <= 30s held", "p95 <=_30s held"),
        ("23.479 s (± 6 ms) after 5 samples", "23.479_s (±_6_ms) after 5 samples"),
        ("3 seconds, 5 of 7", "3 seconds, 5 of 7"),
    ],
)
def test_a_sentence_keeps_a_number_and_its_unit_on_one_line(text, kept):
    assert formats.prose(text) == kept.replace("_", GAP)
