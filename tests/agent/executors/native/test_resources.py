"""agent/executors/native/resources.py: words and paths as kubectl 1.33 takes them; all of this was seen with it."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.executors.native.errors import CommandFailed
from agent.executors.native.resources import Catalogue, Resource

PODS = Resource("", "v1", "Pod", "pods", "pod", True, ("po",), ("all",))
FOOBARS = Resource("", "v1", "FooBarCore", "foobars", "foob", True, ("fb",))
NODES = Resource("", "v1", "Node", "nodes", "node", False, ("no",))
DEPLOYMENTS = Resource("apps", "v1", "Deployment", "deployments", "deployment", True, ("deploy",), ("all",))
HPA_V2 = Resource("autoscaling", "v2", "HorizontalPodAutoscaler", "hpas", "hpa", True, ("h",), ("all",))
HPA_V1 = Resource("autoscaling", "v1", "HorizontalPodAutoscaler", "hpas", "hpa", True, ("h",), ("all",))
WIDGETS = Resource("x.io", "v1", "WidgetKind", "widgets", "wid", True, ("po", "w", "fb"))
ZEDS = Resource("x.io", "v1", "Zed", "zeds", "zed", True, ("w",))
ZADS = Resource("y.io", "v1", "Zed", "zads", "zad", True, ("w",))
METRICS = Resource("metrics.k8s.io", "v1", "PodMetrics", "pods", "", True)

CATALOGUE = Catalogue((PODS, FOOBARS, NODES, DEPLOYMENTS, HPA_V2, HPA_V1, WIDGETS, ZEDS, ZADS, METRICS))


@pytest.mark.parametrize(
    ("word", "resource"),
    [
        ("pods", PODS),
        ("pod", PODS),
        ("Pod", PODS),
        ("PODS", PODS),
        ("po", PODS),
        ("PO", None),
        ("pods.v1.", PODS),
        ("pod.v1.", PODS),
        ("po.v1.", PODS),
        ("pod.v1", None),
        ("Pod.", PODS),
        ("pods.metrics.k8s.io", METRICS),
        ("pods.metrics", METRICS),
        ("deploy", DEPLOYMENTS),
        ("deploy.apps", DEPLOYMENTS),
        ("deploy.app", DEPLOYMENTS),
        ("deployments.v1.apps", DEPLOYMENTS),
        ("Deployment.v1.apps", DEPLOYMENTS),
        ("deployments.v1.app", None),
        ("deployments.v2.apps", None),
        ("h", HPA_V2),
        ("hpas.v1.autoscaling", HPA_V1),
        ("hpas.autoscaling", HPA_V2),
        ("h.v1.autoscaling", HPA_V2),
        ("h.v9.autoscaling", HPA_V2),
        ("h.v9.auto", None),
        ("foob", FOOBARS),
        ("FOOB", FOOBARS),
        ("FooBarCore", FOOBARS),
        ("foobarcore", FOOBARS),
        ("FoobarCore", None),
        ("WidgetKind", None),
        ("widgetkind", None),
        ("WidgetKind.x.io", WIDGETS),
        ("widgetkind.x.io", WIDGETS),
        ("WidgetKind.v1.x.io", WIDGETS),
        ("WidgetKind.x", None),
        ("wid", WIDGETS),
        ("wid.x", WIDGETS),
        ("wid.v2.x.io", None),
        ("po.x", WIDGETS),
        ("w.x", WIDGETS),
        ("foo.bar.baz", None),
        ("widget.", None),
        (".", None),
        (".x", None),
        ("", None),
    ],
)
def test_words(word: str, resource: Resource | None) -> None:
    found = CATALOGUE.find(word)
    assert (found and found.resource) == resource


@pytest.mark.parametrize(
    ("word", "others"),
    [
        ("po", ["widgets.x.io"]),
        ("fb", ["widgets.x.io"]),
        ("w", ["zeds.x.io", "zads.y.io"]),
        ("w.x.io", ["zeds.x.io"]),
        ("w.x", []),
        ("po.x", []),
        ("h", []),
        ("pods", []),
    ],
)
def test_a_short_name_that_could_mean_another(word: str, others: list[str]) -> None:
    found = CATALOGUE.find(word)
    assert found is not None
    short_name = word.partition(".")[0]
    assert list(found.warnings) == [
        f'short name "{short_name}" could also match lower priority resource {other}' for other in others
    ]


def test_categories_have_each_resource_once() -> None:
    assert CATALOGUE.category("all") == (PODS, DEPLOYMENTS, HPA_V2)
    assert CATALOGUE.category("none") == ()


def test_kinds() -> None:
    assert CATALOGUE.of_kind("HorizontalPodAutoscaler", "autoscaling") == HPA_V2
    assert CATALOGUE.of_kind("HorizontalPodAutoscaler", "autoscaling", "v1") == HPA_V1
    assert CATALOGUE.of_kind("Deployment", "") is None


@given(st.text(max_size=40))
def test_any_word_means_something_or_nothing(word: str) -> None:
    CATALOGUE.find(word)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (PODS.path(), "/api/v1/pods"),
        (PODS.path("web"), "/api/v1/namespaces/web/pods"),
        (PODS.path("web", "a", "log"), "/api/v1/namespaces/web/pods/a/log"),
        (NODES.path("web", "n1"), "/api/v1/nodes/n1"),
        (DEPLOYMENTS.path("web", "api", "scale"), "/apis/apps/v1/namespaces/web/deployments/api/scale"),
        (PODS.path("web", "a b?c#d;e+é~"), "/api/v1/namespaces/web/pods/a%20b%3Fc%23d;e+%C3%A9~"),
        (PODS.path("web", "system:x"), "/api/v1/namespaces/web/pods/system:x"),
        (PODS.path("web", "...", "status"), "/api/v1/namespaces/web/pods/.../status"),
    ],
)
def test_paths(path: str, wanted: str) -> None:
    assert path == wanted


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (("web", ".."), "error: invalid resource name \"..\": [may not be '..']"),
        (("web", "."), "error: invalid resource name \".\": [may not be '.']"),
        (("web", "a%2f"), "error: invalid resource name \"a%2f\": [may not contain '%']"),
        (("../x", "a"), "error: invalid namespace \"../x\": [may not contain '/']"),
        (("a%/b", "a"), "error: invalid namespace \"a%/b\": [may not contain '/' may not contain '%']"),
        (("web", "a", "../x"), "error: invalid subresource \"../x\": [may not contain '/']"),
        (("web", ""), "error: resource name may not be empty"),
    ],
)
def test_segments_that_would_lead_elsewhere(parts: tuple[str, ...], text: str) -> None:
    with pytest.raises(CommandFailed) as caught:
        PODS.path(*parts)
    assert caught.value.text == text


@given(st.text(), st.text(), st.text())
def test_no_segment_leaves_its_place(namespace: str, name: str, subresource: str) -> None:
    try:
        path = PODS.path(namespace, name, subresource)
    except (CommandFailed, UnicodeEncodeError):
        return
    assert [unquote(segment) for segment in path.split("/")[1:]] == [
        *("api", "v1", "namespaces", namespace, "pods", name, subresource)
    ]
    assert path.isascii()
    assert not {".", ".."}.intersection(path.split("/"))
