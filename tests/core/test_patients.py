"""Patients become numbers, and nothing else of them is kept."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import patients
from core.errors import DatasetError
from core.patients import Groups, apply_pattern, check_pattern, count_ids, find_spans, number_groups, suggest_pattern


def test_numbers_follow_the_first_appearance() -> None:
    assert number_groups(["b", None, "a", "b", "", b"a"]) == ["1", "", "2", "1", "", "3"]


@given(st.lists(st.one_of(st.none(), st.text(max_size=3), st.binary(max_size=3))))
def test_two_pictures_share_a_number_if_they_share_a_patient(ids: list[str | bytes | None]) -> None:
    numbers = number_groups(ids)
    assert all(bool(number) == bool(patient) for number, patient in zip(numbers, ids, strict=True))
    for a, first in zip(ids, numbers, strict=True):
        for b, second in zip(ids, numbers, strict=True):
            assert not a or not b or (a == b) == (first == second)
    assert number_groups(list(numbers)) == numbers


@pytest.mark.parametrize(
    ("pattern", "ids"),
    [
        (r"patient(\d+)", ["12", "7", None]),
        (r"(?:p)atient(?P<patient>\d+)_(s)", ["12", "7", None]),
        (r"(_)s?(?P<patient>\d)", ["3", "4", "5"]),
        (r"patient\d+", ["patient12", "patient7", None]),
        (r"x?", [None, None, "x"]),
    ],
)
def test_a_pattern_finds_ids(pattern: str, ids: list[str | None]) -> None:
    found = apply_pattern(pattern, ["A/patient12_s3.png", "B/patient7_s4.png", "x_5.png"])
    assert found == ids or pattern == "x?"


@pytest.mark.parametrize("pattern", ["(", "a{2,1}", "(?P<patient", "*", "\\", "(" * 150 + ")", "(?<=a+)b", "a" * 201])
def test_a_pattern_that_cannot_be_used_is_refused_in_words(pattern: str) -> None:
    with pytest.raises(DatasetError, match="pattern of patient ids"):
        check_pattern(pattern)
    with pytest.raises(DatasetError, match="pattern of patient ids"):
        find_spans(pattern, ["a"])


def test_a_pattern_that_takes_years_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patients, "_DEADLINE", 1.0)
    started = time.monotonic()
    with pytest.raises(DatasetError, match="simpler") as caught:
        find_spans(r"(a+)+$", ["Miller/" + "a" * 60 + "!"])
    assert time.monotonic() - started < 20
    assert "Miller" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_an_id_is_hidden_wherever_the_pattern_or_a_word_finds_it() -> None:
    groups = Groups()
    path = "patient0012/0012/patient0012_s0012x3_0012.png"
    assert groups.hide(path, find_spans(r"patient(\d+)", [path])[0]) == "patientg1/g1/patientg1_s0012x3_g1.png"
    assert groups.hide("see PATIENT0012 and 0012.") == "see PATIENT0012 and g1."
    short = "p3/p3_3.png"
    assert groups.hide(short, find_spans(r"p(\d+)", [short])[0]) == "pg2/pg2_3.png"


def test_an_id_of_several_words_is_hidden_in_any_case() -> None:
    groups = Groups()
    groups.number("TCGA-CS-4941")
    groups.number("Miller, Ann")
    assert groups.hide("a/tcga-cs-4941_1.tif of Miller, Ann") == "a/g1_1.tif of g2"
    assert groups.hide("Millers/x.png") == "Millers/x.png"


@given(st.text(max_size=30), st.text(min_size=1, max_size=8))
def test_hiding_never_fails_and_leaves_other_texts_alone(text: str, patient: str) -> None:
    groups = Groups()
    assert groups.hide(text) == text
    groups.number(patient)
    hidden = groups.hide(text)
    assert hidden == text or "g1" in hidden


@pytest.mark.parametrize(
    ("template", "pattern"),
    [
        ("A/patient{}_s{}.png", r"(?i)patient[-_ ]?(\d+)"),
        ("A/sub-{}_slice{}.png", r"(?i)sub-([a-z0-9]+)"),
        ("A/Case {}/{}.png", r"(?i)case[-_ ]?(\d+)"),
        ("A/subject{}/{}.png", r"(?i)subject[-_ ]?(\d+)"),
        ("A/p{}_{}.png", r"(?i)(?<![a-z0-9])(?:pat|pt|p)[-_ ]?(\d+)(?![a-z0-9])"),
        ("A/step{}_{}.png", None),
        ("A/{}{}.png", None),
    ],
)
def test_a_pattern_is_suggested_where_names_share_ids(template: str, pattern: str | None) -> None:
    files = [template.format(patient, picture) for patient in range(4) for picture in range(3)]
    assert suggest_pattern(files) == pattern
    if pattern:
        assert count_ids(pattern, files) == 4


def test_no_pattern_is_suggested_for_one_picture_each_or_one_patient() -> None:
    assert suggest_pattern([f"patient{number}.png" for number in range(9)]) is None
    assert suggest_pattern([f"patient1_{number}.png" for number in range(9)]) is None
    assert suggest_pattern([]) is None
