"""Which hub a command talks to: options before the environment before the profile."""

import os
from dataclasses import dataclass
from typing import Final

from kubently.cli.failures import UsageError
from kubently.cli.profiles import Profiles
from kubently.settings import API_KEY_VARIABLE, CA_FILE_VARIABLE, ENDPOINT_VARIABLE

CLUSTER_VARIABLE: Final = "KUBENTLY_CLUSTER"


@dataclass(frozen=True, slots=True)
class Target:
    """What a client is made with. `cluster` None: nobody said one."""

    endpoint: str | None
    api_key: str | None
    ca_file: str | None
    cluster: str | None
    source: str
    """Where the endpoint was found, for `doctor`: `"profile work"`, `"KUBENTLY_ENDPOINT"`."""

    def required_cluster(self) -> str:
        """The cluster. Raises UsageError."""
        if self.cluster is None:
            raise UsageError(
                f"which cluster? Say --cluster NAME, set {CLUSTER_VARIABLE}, or `kubently login --cluster NAME`"
            )
        return self.cluster


def find(profile_name: str | None = None, cluster: str | None = None) -> Target:
    """Put it together. A profile that is named goes before the environment. Raises UsageError."""
    environment = os.environ if profile_name is None else {}
    endpoint, api_key = environment.get(ENDPOINT_VARIABLE), environment.get(API_KEY_VARIABLE)
    ca_file = environment.get(CA_FILE_VARIABLE)
    cluster = cluster or os.environ.get(CLUSTER_VARIABLE)
    if endpoint and api_key:
        return Target(endpoint, api_key, ca_file, cluster, ENDPOINT_VARIABLE)
    profiles = Profiles()
    profile = profiles.get(profile_name)
    if profile is None:
        return Target(endpoint, api_key, ca_file, cluster, ENDPOINT_VARIABLE if endpoint else "nowhere")
    # A key goes to the hub that it was kept for, and nowhere else.
    if endpoint and endpoint.rstrip("/") != profile.endpoint.rstrip("/"):
        return Target(endpoint, api_key, ca_file, cluster, ENDPOINT_VARIABLE)
    key = api_key or profiles.api_key(profile_name)
    source = f"profile {profile_name or profiles.current}"
    return Target(profile.endpoint, key, ca_file or profile.ca_file, cluster or profile.cluster, source)
