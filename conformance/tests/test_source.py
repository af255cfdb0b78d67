"""A case as a file of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance.casefile import load_library, with_cases_of
from conformance.source import case_source, excerpt
from conformance.vocabulary import CaseError

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.casefile import Library

LINES = ["cases:", "- id: A", "  steps:", "  - x", "", "# of B", "- id: B", "  - y", "other: z"]


@pytest.fixture(scope="module")
def library() -> Library:
    return load_library()


@pytest.mark.parametrize(
    ("first", "text"), [(2, "- id: A\n  steps:\n  - x\n"), (7, "- id: B\n  - y\n"), (4, "  - x\n")]
)
def test_an_item_ends_where_the_next_of_its_depth_begins(first: int, text: str) -> None:
    assert excerpt(LINES, first) == text


def test_every_case_of_the_library_is_the_same_when_read_from_its_own_source(library: Library, tmp_path: Path) -> None:
    first = {case.id.partition("/")[0]: case for case in reversed(library.cases)}
    for case in list(first.values())[::9]:
        (tmp_path / "case.yaml").write_text(case_source(case), "utf-8")
        read = with_cases_of(library, tmp_path / "case.yaml").cases
        assert [found.steps for found in read if found.id == case.id] == [case.steps]
        assert {found.id.partition("/")[0] for found in read} == {case.id.partition("/")[0]}


def test_a_case_whose_file_is_gone_has_no_source(library: Library) -> None:
    import dataclasses

    assert case_source(dataclasses.replace(library.cases[0], file="/nowhere.yaml")) == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("cases: []\nformat: 1\narea: put\nmore: 1\n", "unknown word 'more'"),
        (": :", "not YAML"),
    ],
)
def test_a_case_file_that_is_wrong_is_refused_with_its_place(
    library: Library, tmp_path: Path, text: str | None, said: str
) -> None:
    path = tmp_path / "case.yaml"
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(CaseError, match=said) as refused:
        with_cases_of(library, path)
    assert "case.yaml" in str(refused.value)
