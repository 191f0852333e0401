"""The dictionary is the one the client library speaks."""

from __future__ import annotations

import hashlib
import json

from pyaileys.wabinary import constants

from sandbox.wire import frames, tokens

#: over the tables of whatsmeow's binary/token/token.go as of 2026-08
WHATSMEOW = "92a390b9bebb36f5b3b823e535098aea8a009462997a2e42204e05d6f8a6bc9d"


def _digest(single: object, double: object) -> str:
    return hashlib.sha256(json.dumps([single, double]).encode()).hexdigest()


def test_the_dictionary_is_whatsmeows_and_equals_an_independent_copy() -> None:
    ours = _digest(tokens.SINGLE_BYTE, tokens.DOUBLE_BYTE)
    assert ours == WHATSMEOW
    assert ours == _digest(constants.SINGLE_BYTE_TOKENS, constants.DOUBLE_BYTE_TOKENS)


def test_its_version_is_the_one_in_the_header() -> None:
    assert frames.HEADER[-1] == tokens.VERSION == 3


def test_words_are_where_whatsmeow_has_them() -> None:
    assert tokens.SINGLE_BYTE[25] == "iq"
    assert len(tokens.SINGLE_BYTE) == tokens.DICTIONARY_0
    assert [len(words) for words in tokens.DOUBLE_BYTE] == [256] * 4
    assert tokens.DOUBLE_BYTE[0][0] == "read-self"
    assert tokens.DOUBLE_BYTE[1][0] == "reject"
