"""The OpenAPI document is complete: whoever reads it knows what to send and how it is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

PROBLEM = {"$ref": "#/components/schemas/Problem"}


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def test_every_operation_has_a_name_a_summary_and_a_group(document: dict[str, Any]) -> None:
    names = Counter(operation["operationId"] for _, operation in operations(document))
    assert [name for name, times in names.items() if times > 1] == []
    for name, operation in operations(document):
        assert operation.get("summary"), name
        assert operation.get("tags"), name


def test_every_operation_says_how_it_is_refused(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        answers = operation["responses"]
        assert any(status.startswith(("2", "3", "501")) for status in answers), name
        refusals = {status: one for status, one in answers.items() if status >= "400"}
        # A health check that fails answers as WAHA's does, not with a problem.
        for status, answer in refusals.items():
            content = answer.get("content", {})
            if "application/problem+json" in content:
                body = content["application/problem+json"]
                assert body["schema"] == PROBLEM, (name, status)
                assert body["examples"], (name, status)
        assert "503" in refusals, name
        if operation.get("security") != []:
            assert {"401", "403", "429"} <= refusals.keys(), name
        if "requestBody" in operation:
            assert {"413", "422"} <= refusals.keys(), name
    assert "HTTPValidationError" not in str(document["paths"])


def test_bodies_have_examples(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        contents = [operation.get("requestBody", {}).get("content", {})]
        contents += [one.get("content", {}) for one in operation["responses"].values()]
        for content in contents:
            if "application/json" in content:
                assert {"example", "examples"} & content["application/json"].keys(), name


def test_keys_and_tokens_are_documented_and_what_needs_none(document: dict[str, Any]) -> None:
    assert document["security"] == [{"api_key": []}, {"bearer": []}]
    kinds = {one["type"] for one in document["components"]["securitySchemes"].values()}
    assert kinds == {"apiKey", "http"}
    assert document["paths"]["/ping"]["get"]["security"] == []
    assert "security" not in document["paths"]["/api/sendText"]["post"]


def test_the_groups_come_in_a_newcomers_order_each_with_a_sentence(
    document: dict[str, Any],
) -> None:
    tags = document["tags"]
    names = [tag["name"] for tag in tags]
    assert [name.split()[1] for name in names[:3]] == ["Sessions", "Auth", "Chatting"]
    assert len(set(names)) == len(names)
    assert {tag for _, one in operations(document) for tag in one["tags"]} == set(names)
    for tag in tags:
        assert len(tag["description"]) > 15, tag
        assert tag["description"].endswith("."), tag


def test_where_wahas_document_has_another_success_both_are_there(
    document: dict[str, Any],
) -> None:
    """WAHA's OpenAPI 2026.7.1; nest answers 201 to a POST whatever the document says."""
    of_groups = "join refresh {id}/leave {id}/invite-code/revoke {id}/participants/add"
    of_groups += " {id}/participants/remove {id}/admin/promote {id}/admin/demote"
    paths = [f"groups/{end}" for end in of_groups.split()]
    paths += ["channels/search/by-view", "channels/search/by-text"]
    paths += ["media/convert/voice", "media/convert/video"]
    for path in paths:
        answers = document["paths"][f"/api/{{session}}/{path}"]["post"]["responses"]
        assert {"200", "201"} <= answers.keys(), path
        assert answers["200"].get("content") == answers["201"].get("content")
