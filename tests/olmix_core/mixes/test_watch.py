"""A change of the domains is told once, and forgotten when there is none any more."""

from collections.abc import Callable
from pathlib import Path

import pytest

from olmix_core.config.load import load_config
from olmix_core.data.domains import DomainSet, read_domains
from olmix_core.mixes.watch import LeafChange, Observed, observe, remember
from olmix_core.storage.content_index import ContentIndex
from olmix_core.storage.layout import watched_path
from olmix_core.storage.store import Store
from tests.support.records import leaves_json, record_json

Domains = Callable[..., DomainSet]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.fixture
def domains(tmp_path: Path) -> Domains:
    """domains(label=text of each of its files, ...) -> the set of these leaves."""

    def make(**texts: list[str]) -> DomainSet:
        for label, files in texts.items():
            for number, text in enumerate(files):
                (tmp_path / f"{label}-{number}.txt").write_text(text)
        config = tmp_path / "mix.yaml"
        paths = {
            label: [str(tmp_path / f"{label}-{number}.txt") for number in range(len(files))]
            for label, files in texts.items()
        }
        config.write_text(
            f"name: test\ndomains: {[{'name': label, 'paths': files} for label, files in paths.items()]}\n"
            f"evaluation: {{tasks: [{{heldout: {next(iter(texts))}}}]}}\n"
        )
        index = ContentIndex(tmp_path / "index")
        try:
            return read_domains(load_config(config), str(config), index)
        finally:
            index.close()

    return make


def publish(store: Store, version: str, found: DomainSet) -> None:
    """A version with these leaves."""
    record = record_json(version=version, domain_set=leaves_json(found))
    store.write_json(f"mixes/test/{version}/mix.json", record)
    store.write_json("mixes/test/latest.json", {"version": version})


def test_without_a_version_there_is_nothing_to_tell(store: Store, domains: Domains) -> None:
    observed = observe(store, "test", domains(web=["a"]))
    assert (observed.since, observed.changes, observed.is_news) == (None, (), False)


def test_every_kind_of_change_is_named(store: Store, domains: Domains) -> None:
    publish(store, "v0001", domains(web=["a"], old=["b"], code=["c", "d"], x=["e"], y=["f"], same=["g"], label=["h"]))
    now = domains(web=["a2"], new=["i"], c=["c"], d=["d"], xy=["e", "f"], same=["g"], other_label=["h"])
    assert observe(store, "test", now).changes == (
        LeafChange("c", "partitioned", ("code",)),
        LeafChange("d", "partitioned", ("code",)),
        LeafChange("new", "added"),
        LeafChange("old", "removed"),
        LeafChange("web", "revised", ("web",)),
        LeafChange("xy", "merged", ("x", "y")),
    )


def test_a_change_is_news_once(store: Store, domains: Domains) -> None:
    publish(store, "v0001", domains(web=["a"], code=["b"]))

    def look(**texts: list[str]) -> Observed:
        return observe(store, "test", domains(**texts))

    changed = look(web=["a2"], code=["b"])
    assert changed.is_news
    remember(store, "test", changed)
    again = look(web=["a2"], code=["b"])
    assert (again.is_news, again.id) == (False, changed.id)
    assert again.reported is not None
    # Another change is news again, and so is the first one after a time without any.
    assert look(web=["a3"], code=["b"]).is_news
    assert not look(web=["a2"], code=["b"]).is_news
    assert look(web=["a"], code=["b"]).changes == ()
    assert not store.exists(watched_path("test"))
    assert look(web=["a2"], code=["b"]).is_news


def test_the_version_that_deals_with_a_change_ends_it(store: Store, domains: Domains) -> None:
    publish(store, "v0001", domains(web=["a"], code=["b"]))
    now = domains(web=["a2"], code=["b"])
    remember(store, "test", observe(store, "test", now))
    publish(store, "v0002", now)
    observed = observe(store, "test", now)
    assert (observed.since, observed.changes, observed.is_news) == ("v0002", (), False)
    assert not store.exists(watched_path("test"))
