"""agent/policy.py: default deny."""

import msgspec
import pytest

from agent.errors import StartError
from agent.policy import Policy
from schemas import kubectl

GET = kubectl.parse("get", ["pods"])
LOGS = kubectl.parse("logs", ["web-1"])
HISTORY = kubectl.parse("rollout", ["history", "deployment/web"])


def policy(*verbs: str) -> Policy:
    return Policy.of(verbs, kubectl.VERBS)


def test_all_of_the_grammar() -> None:
    assert [policy("*").refusal(command) for command in (GET, LOGS, HISTORY)] == [None, None, None]


def test_what_is_not_listed_is_refused() -> None:
    listed = policy("get", "rollout-history")
    assert listed.refusal(GET) is None
    assert listed.refusal(HISTORY) is None
    assert listed.refusal(LOGS) == "logs is not allowed by this cluster's policy"


def test_nothing_listed_is_nothing_allowed() -> None:
    assert policy().refusal(GET) is not None


def test_a_verb_that_is_none() -> None:
    with pytest.raises(StartError, match=r"exec is no verb; there are .*get"):
        policy("get", "exec")


@pytest.mark.parametrize(("verbs", "told"), [(("*",), ["*"]), (("logs", "get"), ["get", "logs"]), ((), [])])
def test_what_the_hub_is_told(verbs: tuple[str, ...], told: list[str]) -> None:
    announced = policy(*verbs).announced()
    assert {name: msgspec.json.decode(value) for name, value in announced.items()} == {"verbs": told}
