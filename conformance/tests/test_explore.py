"""The model by literals, and every case it makes as a file that reads back as the same case."""

import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.casefile import load_library, with_cases_of
from conformance.explore.casewriter import case_yaml
from conformance.explore.model import (
    Complete,
    Copy,
    Delete,
    DropDefault,
    DropPolicy,
    Initiate,
    Put,
    Read,
    SetDefault,
    SetPolicy,
    case_of,
)  # fmt: skip
from conformance.explore.properties import case_of as property_case
from conformance.explore.properties import draws, load_properties
from conformance.explore.search import MODE_SEQUENCES, SEQUENCES

LIBRARY = load_library()
PROPERTIES = load_properties(LIBRARY)
MODE, KEY = "header x-obs-server-side-encryption", "header x-obs-server-side-encryption-kms-key-id"
PLAIN = Put(0, mode=False, key=None, via="header", size=17)
KMS = Put(0, mode=True, key=None, via="header", size=17)
CUSTOM = Put(0, mode=True, key="custom", via="header", size=17)


def script(*calls):
    """Method, place, sub-resource and what is said of mode and status, a step a tuple."""
    case = case_of(calls)
    told = []
    for step in () if case is None else case.steps:
        mode = next((check.word for check in step.expect if check.subject == MODE), "")
        refused = any(check.word == "refused" for check in step.expect)
        sub = step.request.query[0].partition("=")[0] if step.request.query else ""
        told.append((step.request.method, sub, "refused" if refused else mode))
    return told


def test_a_plain_upload_is_read_back_plain():
    assert script(PLAIN) == [("PUT", "", ""), ("HEAD", "", "absent"), ("GET", "", "absent")]


def test_an_upload_without_mode_inherits_the_default_and_a_later_one_does_not():
    inherited = script(SetDefault("custom"), PLAIN)
    assert inherited[2:] == [("PUT", "", ""), ("HEAD", "", "equals"), ("GET", "", "equals")]
    (by,) = {check.cites for step in case_of((SetDefault("custom"), PLAIN)).steps[3:] for check in step.expect[1:3]}
    assert by == ("SSEKMS-S11", "SSEKMS-R1")
    after = script(SetDefault("custom"), DropDefault(), PLAIN)
    assert after[4:] == [("PUT", "", ""), ("HEAD", "", "absent"), ("GET", "", "absent")]


def test_an_object_keeps_what_it_had_when_the_default_changes():
    assert script(PLAIN, SetDefault(None))[-1] == ("GET", "", "absent")


def test_the_policy_refuses_what_lacks_the_mode_and_leaves_the_object():
    assert script(KMS, SetPolicy(), PLAIN)[3:] == [
        ("PUT", "", "refused"),
        ("HEAD", "", "equals"),
        ("GET", "", "equals"),
    ]
    assert script(SetPolicy(), DropPolicy(), PLAIN)[2:] == script(PLAIN)


def test_what_the_documents_leave_open_is_not_asked():
    assert script(SetDefault(None), SetPolicy(), PLAIN) == script(SetDefault(None), SetPolicy())


@pytest.mark.parametrize(
    "call", [Copy(0, 1, None), Complete(), DropDefault(), DropPolicy(), Delete(0), Read(0, "owner", None)]
)
def test_a_call_that_makes_no_sense_where_it_stands_is_nothing(call):
    assert case_of([call]) is None


OBS = Put(0, mode=True, key="obs", via="header", size=17)


def test_an_object_under_the_service_s_own_key_names_none_and_does_not_meet_the_policy():
    case = case_of((OBS,))
    assert case.needs == ("sse-obs",)
    assert [check.subject for check in case.steps[1].expect] == ["status", MODE]
    assert {check.wanted for step in case.steps for check in step.expect if check.subject == MODE} == {"AES256"}
    under = script(KMS, SetPolicy(), OBS, Copy(0, 1, "obs"), Copy(0, 1, "custom"))
    assert under[3:5] == [("PUT", "", "refused"), ("HEAD", "", "equals")]
    assert under[5:7] == [("PUT", "", "refused"), ("HEAD", "", "refused")]
    assert under[7:9] == [("PUT", "", "equals"), ("HEAD", "", "equals")]


@pytest.mark.parametrize("call", [SetDefault("obs"), replace(OBS, via="query")])
def test_where_the_service_s_own_key_is_open_nothing_is_asked(call):
    assert script(call) == []


def test_an_upload_in_parts_is_what_it_was_when_it_began():
    case = case_of([SetDefault("custom"), Initiate(0, mode=False, key=None, size=1), DropDefault(), Complete()])
    last = case.steps[-1]
    assert {check.wanted for check in last.expect if check.subject == KEY} == {"{shape.long_key_prefix}{keys.custom}"}


def test_the_default_key_is_one_key_from_the_first_answer_on():
    case = case_of([KMS, replace(KMS, slot=1)])
    wanted = [check.wanted for step in case.steps for check in step.expect if check.subject == KEY]
    assert wanted[0] == "{shape.long_key_id}"
    assert set(wanted[1:]) == {"{default}"}


def test_strangers_are_refused():
    assert (
        script(CUSTOM, Read(0, "anonymous", None), Read(0, "other_account", None))[2:4] == [("GET", "", "refused")] * 2
    )


def read_back(case, folder):
    (folder / "case.yaml").write_text(case_yaml(case, ["a remark"]), "utf-8")
    (read,) = with_cases_of(LIBRARY, folder / "case.yaml").cases
    return read


UNCHECKED = settings(deadline=None, suppress_health_check=list(HealthCheck))


@given(SEQUENCES | MODE_SEQUENCES)
@settings(UNCHECKED, max_examples=60)
def test_every_sequence_is_a_case_file_that_reads_back_as_itself(tmp_path, calls):
    case = case_of(calls)
    if case is not None:
        assert read_back(case, tmp_path).steps == case.steps


@given(st.sampled_from(PROPERTIES).flatmap(lambda one: st.tuples(st.just(one), draws(one))))
@settings(UNCHECKED, max_examples=60)
def test_every_draw_of_a_property_is_a_case_file_that_reads_back_as_itself(tmp_path, drawn):
    case = property_case(*drawn)
    read = read_back(case, tmp_path)
    assert read.steps == case.steps
    assert {step.stage for step in case.steps if drawn[0].refusal} <= {"setup", "control", "step"}


@pytest.mark.parametrize("property_", PROPERTIES, ids=lambda one: one.id)
def test_a_property_is_drawn_for_every_call_it_names_and_never_what_it_forbids(property_):
    seen = set()

    @given(draws(property_))
    @settings(UNCHECKED, max_examples=200, database=None)
    def draw(drawn):
        seen.add(drawn.call)
        assert property_.unlike is None or not re.fullmatch(property_.unlike, drawn.value)

    draw()
    assert seen == set(property_.calls)
