"""How proxies are carried out: what results do not depend on, and what is therefore no part of any key."""

from pydantic import Field, PositiveFloat

from olmix_core.section import Section


class Execution(Section):
    """Where and how long proxies may run. No part of identity."""

    command: str | None = Field(
        None, description="Line for the shell that trains and measures a mixture, with {config} and {metrics}."
    )
    timeout_hours: PositiveFloat = Field(
        24.0,
        description="Hours after which a proxy in training, or its evaluation on a task, is stopped;"
        " its last checkpoint is kept.",
    )
