"""A command as an unprivileged user of this machine, beside a checkout of his own; for root."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ops.cli.console import console, fail
from ops.local.layout import ROOT

__all__ = ["run_as_another_user"]

#: There on every machine, and no service's.
_USER = "nobody"
_NOT_COPIED = (".git", ".venv", "data", "node_modules", "site", "__pycache__", ".*_cache")
#: What of root's environment leads to places of root's.
_ROOTS_OWN = ("XDG_", "SUDO_", "PYTEST_", "GATEWAY_DATA_ROOT", "TMPDIR", "MAIL", "PWD", "OLDPWD")


def run_as_another_user(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run `command` in a copy of the checkout, as a user who may nothing; returns its exit code.

    `GATEWAY_TEST_USER` names the user, `nobody` otherwise. Where the interpreter lies in a folder
    that is closed to others (`/root`), the command sees another folder in its place, with nothing
    but the interpreter in it.
    """
    if os.geteuid() != 0:
        fail("only root can become another user; you are one: leave --as-another-user out")
    name = os.environ.get("GATEWAY_TEST_USER", _USER)
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        fail(f"there is no user {name} on this machine (GATEWAY_TEST_USER)")
    if user.pw_uid == 0:
        fail(f"{name} is root; name another user in GATEWAY_TEST_USER")
    with _home_of(user) as home:
        own = {k: v for k, v in environment.items() if not k.startswith(_ROOTS_OWN)}
        checkout = home / "gateway"
        own |= {"HOME": str(home), "USER": name, "LOGNAME": name, "PYTHONPATH": str(checkout)}
        console.print(f"as {name} (uid {user.pw_uid}), in a copy of the checkout")
        become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        become += ["--no-new-privs", *command]
        return subprocess.run(
            [*_past_closed_folders(home), *become], cwd=checkout, env=own, check=False
        ).returncode


@contextmanager
def _home_of(user: pwd.struct_passwd) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gateway-user-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        shutil.copytree(
            ROOT, home / "gateway", ignore=shutil.ignore_patterns(*_NOT_COPIED), symlinks=True
        )
        for place, _, files in os.walk(home):
            for one in (Path(place), *(Path(place, file) for file in files)):
                os.chown(one, user.pw_uid, user.pw_gid, follow_symlinks=False)
        yield home


def _past_closed_folders(home: Path) -> list[str]:
    """What has to stand before a command that needs the interpreter and its packages."""
    needed: dict[Path, list[Path]] = {}
    for place in {Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve()}:
        closed = next((p for p in reversed((place, *place.parents)) if not _open(p)), None)
        if closed is not None:
            needed.setdefault(closed, []).append(place)
    if not needed:
        return []
    for closed, places in needed.items():
        if closed in places:
            fail(f"{closed} is closed to others; install Python where others may read it")
    # In a name space of its own: nobody else sees these mounts, and they end with the command.
    stage = home / "stage"
    lines = ["set -e"]
    for number, (closed, places) in enumerate(needed.items()):
        staged = [stage / f"{number}-{i}" for i in range(len(places))]
        for place, at in zip(places, staged, strict=True):
            lines += [f"mkdir -p {_quoted(at)}", f"mount --bind {_quoted(place)} {_quoted(at)}"]
        lines.append(f"mount -t tmpfs -o mode=755 none {_quoted(closed)}")
        for place, at in zip(places, staged, strict=True):
            lines += [f"mkdir -p {_quoted(place)}", f"mount --move {_quoted(at)} {_quoted(place)}"]
    script = "\n".join([*lines, 'exec "$@"'])
    return ["unshare", "--mount", "--", "/bin/sh", "-c", script, "sh"]


def _open(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IXOTH)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
