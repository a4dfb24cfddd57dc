"""What is described of a Secret, and how fields are named."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.executors.native.printers.describe import anything, label, secret

# Letters in this order are in nothing that is to be printed.
TEXTS = st.text(alphabet="qwxyzj", min_size=6, max_size=40)


def of_type(kind: str, data: dict[str, bytes], annotations: dict[str, str]) -> dict[str, Any]:
    return {
        "metadata": {"name": "name", "namespace": "ns", "annotations": annotations},
        "type": kind,
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


@given(
    st.sampled_from(["Opaque", "kubernetes.io/service-account-token", "kubernetes.io/tls", ""]),
    st.dictionaries(st.sampled_from(["token", "ca.crt", "a"]), TEXTS.map(str.encode)),
    st.dictionaries(st.sampled_from(["kubectl.kubernetes.io/last-applied-configuration", "b", "c"]), TEXTS),
)
def test_nothing_of_a_value_is_in_it(kind: str, data: dict[str, bytes], annotations: dict[str, str]) -> None:
    text = secret(of_type(kind, data, annotations))
    for value in data.values():
        assert value.decode() not in text
        assert base64.b64encode(value).decode() not in text
    for note in annotations.values():
        assert note not in text
    for key, value in data.items():
        assert f"{key}:\t{len(value)} bytes\n" in text


def test_what_kubectl_applied_last_is_nowhere() -> None:
    applied = {"kubectl.kubernetes.io/last-applied-configuration": "qwxyzj"}
    assert "Annotations:\t<none>\n" in secret(of_type("Opaque", {}, applied))
    assert "qwxyzj" not in anything({**of_type("Opaque", {}, applied), "kind": "ConfigMap"})


@pytest.mark.parametrize("obj", [{}, {"metadata": None, "data": None}, {"metadata": {"labels": None}}])
def test_an_object_without_anything(obj: dict[str, Any]) -> None:
    assert secret(obj).endswith("\nData\n====\n")
    assert anything(obj).startswith("Name:\t\nNamespace:\t\nLabels:\t<none>\nAnnotations:\t<none>\n")


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        *(("a", "A"), ("camelCaseName", "Camel Case Name"), ("URLPath", "URL Path"), ("podCIDR", "Pod CIDR")),
        *(("uid", "UID"), ("apiVersion", "API Version"), ("someURLs", "Some UR Ls"), ("with-dash", "With - Dash")),
        *(("some.key", "some.key"), ("with_underscore", "with_underscore"), ("x509Cert", "x509Cert"), ("", "")),
    ],
)
def test_fields_are_named_for_people(field: str, shown: str) -> None:
    assert label(field) == shown
