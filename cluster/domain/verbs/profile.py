"""The account's own name, about text and picture."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.domain.contact import Profile
from cluster.domain.verbs.verb import Verb

__all__ = ["About", "Get", "Name", "Picture"]


@dataclass(frozen=True, kw_only=True)
class Get(Verb[Profile], name="profile.get"):
    """All of it."""


@dataclass(frozen=True, kw_only=True)
class Name(Verb[None], name="profile.name"):
    """The push name, which others see."""

    name: str


@dataclass(frozen=True, kw_only=True)
class About(Verb[None], name="profile.about"):
    """The about text; WAHA calls it status."""

    about: str


@dataclass(frozen=True, kw_only=True)
class Picture(Verb[None], name="profile.picture"):
    """The picture that others see."""

    #: Base64; empty removes the picture.
    jpeg: str
