"""The typer app: every command of `olmix`, in the order of the help."""

import sys

import typer
from rich.console import Console
from rich.markup import escape

from flows.cli.evidence import evidence
from flows.cli.fit import fit
from flows.cli.init import init
from flows.cli.plan import plan
from flows.cli.predict import predict
from flows.cli.run import run
from flows.cli.show import show, trade_offs
from flows.cli.store import store
from flows.cli.swarm import swarm
from flows.cli.tasks import tasks
from flows.cli.versions import diff, history
from flows.cli.why import why
from olmix_core.errors import OlmixError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Find out how much of each data domain to pretrain on, and update the mixture cheaply when the data changes.",
)
app.command("init")(init)
app.command("run")(run)
app.command("show")(show)
app.command("trade-offs")(trade_offs)
app.command("plan")(plan)
app.command("why")(why)
app.command("diff")(diff)
app.command("history")(history)
app.command("predict")(predict)
app.command("fit")(fit)
app.add_typer(tasks, name="tasks")
app.add_typer(swarm, name="swarm")
app.add_typer(evidence, name="evidence")
app.add_typer(store, name="store")


def main() -> None:
    """Run the command line. Errors of users are one message on standard error, and exit status 1."""
    try:
        app()
    except OlmixError as error:
        console = Console(stderr=True, highlight=False)
        console.print(f"[bold red]error[/bold red] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
