"""The roles of deploy/ grant reading and nothing else."""

from typing import Any, Final

import pytest
import yaml

from tests.support.documents import ROOT

READING: Final = {"get", "list", "watch"}
# What gives more than what it reads: https://kubernetes.io/docs/concepts/security/rbac-good-practices/
NEVER: Final = {"proxy", "exec", "attach", "portforward", "token", "ephemeralcontainers", "eviction", "approval"}


def rules(name: str) -> list[dict[str, Any]]:
    documents = yaml.safe_load_all((ROOT / "deploy" / name).read_text(encoding="utf-8"))
    return [rule for each in documents if each["kind"] in ("ClusterRole", "Role") for rule in each["rules"]]


@pytest.mark.parametrize("name", ["agent.yaml", "agent-secrets.yaml"])
def test_a_role_reads_and_no_more(name: str) -> None:
    assert rules(name)
    for rule in rules(name):
        assert set(rule) == {"apiGroups", "resources", "verbs"}
        assert set(rule["verbs"]) <= READING
        assert "*" not in rule["apiGroups"]
        for resource in rule["resources"]:
            assert "*" not in resource
            assert resource.partition("/")[2] not in NEVER
            assert resource != "secrets" or name == "agent-secrets.yaml"


def test_the_account_is_bound_to_its_own_roles_and_to_nothing_more() -> None:
    for name, role in (("agent.yaml", "kubently-agent"), ("agent-secrets.yaml", "kubently-agent-secrets")):
        documents = list(yaml.safe_load_all((ROOT / "deploy" / name).read_text(encoding="utf-8")))
        bindings = [each for each in documents if each["kind"].endswith("Binding")]
        assert [each["roleRef"]["name"] for each in bindings] == [role]
        assert all(subject["name"] == "kubently-agent" for each in bindings for subject in each["subjects"])
