"""Reports on a run before or after it: the plan, and the causes of execution.

`make_plan` walks the chain as a dry run and returns a `Plan`: what happens to every leaf and step, and the cost.
`explain` and `explain_version` compare payloads with those of the last version and return a `Reason` per step.
"""

from flows.reports.difference_markdown import difference_markdown
from flows.reports.explain import Difference, Reason, explain, explain_version
from flows.reports.plan import Plan, make_plan
from flows.reports.plan_markdown import plan_markdown

__all__ = [
    "Difference",
    "Plan",
    "Reason",
    "difference_markdown",
    "explain",
    "explain_version",
    "make_plan",
    "plan_markdown",
]
