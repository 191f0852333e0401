"""JIDs are read and made in the domain, and nowhere else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from syntax_trees import tree_of

from cluster.domain.jid import (
    bare_jid,
    jid_server,
    jid_user,
    lid_jid,
    phone_jid,
    split_jid,
    without_agent,
)

_SPLITS = {"split", "rsplit", "partition", "rpartition"}
_SUFFIX = re.compile(r"@(s\.whatsapp\.net|lid)\Z")
#: (file, function): where it is not a JID that is split at its `@`.
_OTHERS = {
    ("actors/whatsapp/bounds.py", "bounded_id"): "any id that the wire carries",
    ("cluster/media/addresses.py", "permitted_proxy"): "a URL's user and password",
}


@pytest.mark.parametrize(
    ("jid", "parts", "bare", "agentless"),
    [
        ("49151@s.whatsapp.net", ("49151", "", "s.whatsapp.net"), None, None),
        ("49151:3@s.whatsapp.net", ("49151", "3", "s.whatsapp.net"), "49151@s.whatsapp.net", None),
        ("12.1:3@lid", ("12.1", "3", "lid"), "12.1@lid", ("12", "lid")),
        ("120363-1@g.us", ("120363-1", "", "g.us"), None, None),
        ("status@broadcast", ("status", "", "broadcast"), None, None),
        ("@lid", ("", "", "lid"), None, None),
    ],
)
def test_the_parts_of_a_jid(
    jid: str, parts: tuple[str, str, str], bare: str | None, agentless: tuple[str, str] | None
) -> None:
    user, _, server = parts
    assert split_jid(jid) == parts
    assert bare_jid(jid) == (bare or jid)
    assert (jid_user(jid), jid_server(jid)) == (user, server)
    assert without_agent(jid) == (agentless or (user, server))


def test_what_is_no_jid_has_no_server() -> None:
    assert split_jid("s.whatsapp.net") == ("", "", "s.whatsapp.net")
    assert bare_jid("s.whatsapp.net") == "s.whatsapp.net"
    assert (jid_user("49151:3"), jid_server("49151")) == ("49151", "")
    assert jid_server("") == jid_user("") == bare_jid("") == ""


def test_jids_of_people() -> None:
    assert phone_jid("49151") == "49151@s.whatsapp.net"
    assert lid_jid("12") == "12@lid"


def _by_hand(function: ast.AST) -> bool:
    for node in ast.walk(function):
        match node:
            case ast.Call(func=ast.Attribute(attr=name), args=[ast.Constant(value="@"), *_]):
                if name in _SPLITS:
                    return True
            case ast.JoinedStr(values=[*_, ast.FormattedValue(), ast.Constant(value=str(end))]):
                if _SUFFIX.match(end):
                    return True
            case _:
                pass
    return False


def test_none_is_split_or_made_by_hand() -> None:
    found = {
        (path.as_posix(), function.name)
        for folder in ("actors", "api", "client", "cluster", "ops")
        for path in Path(folder).rglob("*.py")
        if not path.is_relative_to("cluster/domain")
        for function in ast.walk(tree_of(path))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and _by_hand(function)
    }
    assert found == _OTHERS.keys()


@pytest.mark.parametrize(
    "text",
    [
        'jid.partition("@")[0]',
        'jid.rsplit("@", 1)',
        'f"{user}@s.whatsapp.net"',
        'f"{user.partition(1)}@lid"',
    ],
)
def test_the_search_finds_what_it_is_for(text: str) -> None:
    assert _by_hand(ast.parse(text))
