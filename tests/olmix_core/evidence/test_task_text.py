"""Proxies that trained on text of a task are told from those that left it out."""

from collections.abc import Mapping

import pytest

from olmix_core.evidence.task_text import NO_TASK_TEXT, Passages, TaskText

LISTS = {"quiz in web": {3, 4}, "docs in web": {4, 7}, "all": {3, 4, 7, 9}, "quiz in docs": {1}}
HOLDERS = {
    "quiz": [Passages("web", "quiz in web"), Passages("docs", "quiz in docs")],
    "held": [Passages("web", "docs in web")],
}
PROXIES: dict[str, Mapping[str, str] | None] = {
    "before": {},
    "same": {"web": "quiz in web", "docs": "quiz in docs"},
    "more": {"web": "all", "docs": "quiz in docs"},
    "elsewhere": None,
}
TEXT = TaskText(HOLDERS, LISTS.__getitem__, PROXIES.__getitem__)


@pytest.mark.parametrize(
    ("proxy", "mixture", "tasks", "expected"),
    [
        ("before", ["web", "code"], ["quiz"], True),
        ("before", ["docs"], ["other", "quiz"], True),
        ("before", ["docs"], ["held"], False),
        ("before", ["code"], ["quiz", "held"], False),
        ("before", ["web", "docs"], [], False),
        ("same", ["web", "docs"], ["quiz"], False),
        ("same", ["web"], ["held"], True),
        ("more", ["web", "docs"], ["quiz", "held"], False),
        ("elsewhere", ["web"], ["quiz"], False),
    ],
)
def test_a_proxy_is_spoiled_by_text_that_it_did_not_leave_out(
    proxy: str, mixture: list[str], tasks: list[str], expected: bool
) -> None:
    assert TEXT.spoils(proxy, mixture, tasks) is expected
    assert not NO_TASK_TEXT.spoils(proxy, mixture, tasks)


def test_text_of_a_new_task_may_have_stood_in_what_a_leaf_came_from() -> None:
    origins = {"web": ["old web"], "old web": ["oldest web"], "code": ["old code"]}
    assert TEXT.may_spoil("before", ["oldest web"], "quiz", origins)
    assert TEXT.may_spoil("before", ["web"], "quiz", origins)
    assert not TEXT.may_spoil("before", ["old code", "code"], "quiz", origins)
    assert not TEXT.may_spoil("before", ["old web"], "other", origins)
    assert not TEXT.may_spoil("same", ["web"], "quiz", origins)
