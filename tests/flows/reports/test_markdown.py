"""The plan and the difference of two versions as pages for the Prefect UI."""

from flows.reports import Plan, difference_markdown, plan_markdown
from flows.reports.plan import Cost, EvidenceUse, LeafPlan, StepPlan
from olmix_core.mixes.history import EvidenceSummary, LeafDifference, MixDifference, SettingDifference, Side
from olmix_core.surrogate.intervals import Interval

PLAN = Plan(
    name="web",
    strategy="auto",
    builds_on="v0001",
    pending=True,
    estimated=False,
    leaves=(LeafPlan("code|c", "added", "explore", count=True, cause="DATA"),),
    steps={"train": StepPlan(executed=6, cached=2)},
    cost=Cost(proxies=6, tokens=12_000, evaluations=12, seconds=None),
    alternatives={"full_recompute": Cost(proxies=9, tokens=18_000, evaluations=18, seconds=None)},
    coupling=None,
    evidence=EvidenceUse(carried_over=3, pooled=0, left_out={}),
    notes=("a note",),
)


def test_the_page_of_a_plan_has_its_cost_leaves_steps_and_notes() -> None:
    page = plan_markdown(PLAN)
    assert "**6** proxies to train, 12,000 tokens; full recomputation would train 9" in page
    assert "| code\\|c | added | DATA | explore |" in page
    assert "| train | 6 | 2 | 0 |" in page
    assert page.endswith("\na note\n")


def test_a_plan_is_plain_json() -> None:
    plan = PLAN.to_json()
    assert plan["leaves"] == [
        {
            "domain": "code|c",
            "change": "added",
            "action": "explore",
            "count": True,
            "cause": "DATA",
            "coupling_fall": None,
        }
    ]
    assert plan["steps"] == {"train": {"executed": 6, "cached": 2, "reused": 0}}
    assert plan["notes"] == ["a note"]


def side(name: str, *only_tasks: str) -> Side:
    return Side(name, only_tasks, EvidenceSummary("3fa9", 6, 3), Interval(1.0, 0.9, 1.1))


def test_the_page_of_a_difference_has_weights_settings_and_tasks() -> None:
    difference = MixDifference(
        a=side("web@v0001", "arc"),
        b=side("web@v0002"),
        leaves=(LeafDifference("code", "", 0.25, 0.5), LeafDifference("news", "only in b", None, 0.5)),
        settings=(SettingDifference("proposal.kl", 0.05, 0.1),),
    )
    page = difference_markdown(difference)
    assert "| a | web@v0001 | 1.0000 | 0.9000 to 1.1000 | 6 | 3 |" in page
    assert "| code | 0.2500 | 0.5000 | +0.2500 | the same |" in page
    assert "| news |  | 0.5000 | +0.5000 | only in b |" in page
    assert "| proposal.kl | 0.05 | 0.1 |" in page
    assert page.endswith("- only in a: arc\n")
    same = difference_markdown(MixDifference(side("a@v0001"), side("a@v0001"), (), ()))
    assert same.count("The same.") == 2
