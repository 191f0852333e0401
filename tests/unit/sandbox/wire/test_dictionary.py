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
    ours = _digest(tokens.CURRENT.single_byte, tokens.CURRENT.double_byte)
    assert ours == WHATSMEOW
    assert ours == _digest(constants.SINGLE_BYTE_TOKENS, constants.DOUBLE_BYTE_TOKENS)


def test_its_version_is_the_one_in_the_header() -> None:
    assert frames.HEADER[-1] == tokens.CURRENT.version == 3


def test_words_are_where_whatsmeow_has_them() -> None:
    assert tokens.CURRENT.single_byte[25] == "iq"
    assert len(tokens.CURRENT.single_byte) == tokens.DICTIONARY_0
    assert [len(words) for words in tokens.CURRENT.double_byte] == [256] * 4
    assert tokens.CURRENT.double_byte[0][0] == "read-self"
    assert tokens.CURRENT.double_byte[1][0] == "reject"


def test_the_older_one_has_other_words_in_the_same_places() -> None:
    older = tokens.BY_VERSION[2]
    assert older.single_byte[25] == "xmlns"
    assert [len(words) for words in older.double_byte] == [256] * 4
    assert len(older.single_byte) == tokens.DICTIONARY_0
