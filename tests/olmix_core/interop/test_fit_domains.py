"""Domains of a fit: virtual domains, natural shares and caps."""

import numpy as np
import pandas as pd
import pytest
import yaml

from olmix_core.errors import ConfigError
from olmix_core.interop.fit_config import load_fit_config
from olmix_core.interop.fit_domains import find_domains
from tests.support.published_swarm import DOMAINS, Project, refused, run
from tests.support.tables import number

VIRTUAL = {"web:news": {"web:news:old": 0.9, "web:news:new": "1/10"}}
INNER = {"web:news:old": 1e8, "web:news:new": 3.9e9}


def test_virtual_domains_are_capped_on_leaves(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    path = write(ratios, metrics)
    config = yaml.safe_load(path.read_text())
    config["priors"]["virtual_domains"] = VIRTUAL
    config["priors"]["token_counts"].update(INNER)
    path.write_text(yaml.safe_dump(config))

    fit = run(path)
    table = fit.table.set_index("domain")
    assert "web:news" not in table.index
    assert table["weight"].sum() == pytest.approx(1)
    assert table["epochs"].max() <= 4 * (1 + 1e-9)
    assert table.at["web:news:old", "at_cap"]
    assert not table.at["web:news:new", "at_cap"]
    assert number(table, "web:news:old", "shadow_price") > 0
    assert number(table, "web:news:old", "weight") == pytest.approx(9 * number(table, "web:news:new", "weight"))
    assert any("leaves inside web:news" in line for line in fit.record.differences)

    summed = run(path, published_behaviour=True).table.set_index("domain")
    repeated = 0.9 * number(summed, "web:news", "weight") * 1e10 / INNER["web:news:old"]
    assert repeated > 4 * 2


def test_caps_and_divergence_on_columns_are_those_on_leaves(
    write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame
) -> None:
    priors = {"virtual_domains": VIRTUAL, "token_counts": {**dict.fromkeys(DOMAINS, 1e9), **INNER}}
    path = write(ratios, metrics, priors=priors)
    domains = find_domains(path, load_fit_config(path), DOMAINS, DOMAINS, on_columns=False)
    natural = np.concatenate([column.natural for column in domains.columns])
    assert natural.sum() == pytest.approx(1)
    gaps = []
    for r in np.random.default_rng(3).dirichlet(np.ones(len(DOMAINS)), 5):
        q = np.concatenate([w * column.shares for w, column in zip(r, domains.columns, strict=True)])
        on_leaves = np.sum(q * np.log(q / natural))
        gaps.append(on_leaves - np.sum(r * np.log(r / domains.reference())))
        caps = np.concatenate([domains.leaf_caps(column) for column in domains.columns])
        assert (q <= caps).all() == (r <= domains.caps()).all()
    assert np.ptp(gaps) < 1e-12


def test_a_domain_without_a_prior(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    path = write(ratios.rename(columns={"math": "maths"}), metrics)
    with refused(ConfigError, "fit.yaml", "priors.relative_sizes.maths", "nothing"):
        run(path)
    path = write(ratios.rename(columns={"math": "maths"}), metrics, priors={"relative_sizes": {}})
    with refused(ConfigError, "priors.token_counts.maths"):
        run(path)


def test_unused_priors_are_noted(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    sizes = {**dict.fromkeys(DOMAINS, "1/5"), "wiki": 0.2}
    fit = run(write(ratios, metrics, priors={"relative_sizes": sizes}))
    assert "priors without a column of ratios, not used: wiki" in fit.record.notes
    assert fit.table["natural"].to_numpy() == pytest.approx(0.2)


def test_tokens_replace_missing_sizes(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    fit = run(write(ratios, metrics, priors={"relative_sizes": {}}))
    natural = fit.table.set_index("domain")["natural"]
    assert natural["web:news"] == pytest.approx(0.4)
