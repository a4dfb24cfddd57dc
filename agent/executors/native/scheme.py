"""Which objects kubectl has Go types for: verbs that look into objects take no others, and name the type in errors."""

from typing import Final

from agent.executors.native.errors import CommandFailed
from agent.executors.native.resources import Resource

# Measured: `kubectl.1.33 logs x/y` against a server with one resource in each of these and in others.
_GROUP_VERSIONS: Final = frozenset(
    f"{group}/{version}" if group else version
    for group, versions in {
        "": ("v1",),
        "admissionregistration.k8s.io": ("v1", "v1beta1", "v1alpha1"),
        "apps": ("v1", "v1beta2", "v1beta1"),
        "authentication.k8s.io": ("v1", "v1beta1", "v1alpha1"),
        "authorization.k8s.io": ("v1", "v1beta1"),
        "autoscaling": ("v2", "v1", "v2beta2", "v2beta1"),
        "batch": ("v1", "v1beta1"),
        "certificates.k8s.io": ("v1", "v1beta1", "v1alpha1"),
        "coordination.k8s.io": ("v1", "v1beta1", "v1alpha2"),
        "discovery.k8s.io": ("v1", "v1beta1"),
        "events.k8s.io": ("v1", "v1beta1"),
        "extensions": ("v1beta1",),
        "flowcontrol.apiserver.k8s.io": ("v1", "v1beta3", "v1beta2", "v1beta1"),
        "internal.apiserver.k8s.io": ("v1alpha1",),
        "networking.k8s.io": ("v1", "v1beta1", "v1alpha1"),
        "node.k8s.io": ("v1", "v1beta1", "v1alpha1"),
        "policy": ("v1", "v1beta1"),
        "rbac.authorization.k8s.io": ("v1", "v1beta1", "v1alpha1"),
        "resource.k8s.io": ("v1beta2", "v1beta1", "v1alpha3"),
        "scheduling.k8s.io": ("v1", "v1beta1", "v1alpha1"),
        "storage.k8s.io": ("v1", "v1beta1", "v1alpha1"),
        "storagemigration.k8s.io": ("v1alpha1",),
    }.items()
    for version in versions
)


def go_type(resource: Resource) -> str:
    """The Go type of a resource's objects: `*v1.Deployment`.

    Raises CommandFailed in kubectl's words for custom resources and versions it does not know.
    """
    if resource.group_version not in _GROUP_VERSIONS:
        raise CommandFailed(
            f'error: no kind "{resource.kind}" is registered for version "{resource.group_version}" in scheme '
            '"pkg/scheme/scheme.go:28"'
        )
    return f"*{resource.version}.{resource.kind}"
