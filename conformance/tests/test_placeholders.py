import pytest

from conformance.placeholders import UnknownPlaceholderError, fill, names_in


def test_every_occurrence_is_filled_once_and_not_searched_again():
    assert fill("{a}-{a.b}-{a}", {"a": "{a.b}", "a.b": "2"}) == "{a.b}-2-{a.b}"


@pytest.mark.parametrize("text", ["[0-9A-F]{32}", '{"Statement": []}', "{}", "{A}", "{ a }", "{1a}"])
def test_other_braces_are_left_alone(text):
    assert fill(text, {}) == text
    assert names_in(text) == frozenset()


def test_unknown_name_is_refused_by_name():
    with pytest.raises(UnknownPlaceholderError) as caught:
        fill("x{keys.custom}", {})
    assert caught.value.args == ("keys.custom",)
