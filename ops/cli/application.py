"""All commands together."""

from __future__ import annotations

import typer

from ops.cli import (
    audit,
    bench,
    chaos,
    checkpoints,
    checks,
    demo,
    dev,
    docs,
    doctor,
    down,
    drain,
    library,
    lock,
    logs,
    machines,
    node,
    run,
    sandbox,
    show_config,
    status,
    tail,
    up,
    version,
)
from ops.cli.session.commands import sessions
from ops.cli.session.sending import send

__all__ = ["application"]

application = typer.Typer(
    name="gateway",
    help="A WhatsApp gateway: each session an actor of a Ray cluster.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
for command in (
    *(demo.demo, up.up, down.down, status.status, doctor.doctor, logs.logs, sandbox.sandbox),
    *(tail.tail, send),
    *(node.node, drain.nodes, drain.drain, drain.undrain),
    *(show_config.config, version.version, lock.lock, audit.audit, docs.docs),
    dev.dev,
):
    application.command()(command)
application.add_typer(sessions)
application.add_typer(library.library)
application.add_typer(checkpoints.checkpoints)
application.command(context_settings={"allow_interspersed_args": False})(run.run)
application.command(
    "chaos",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)(chaos.chaos)
application.command(
    "machines",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)(machines.machines)
application.command(context_settings={"ignore_unknown_options": True})(bench.bench)
application.command("test", context_settings={"ignore_unknown_options": True})(checks.run_checks)
