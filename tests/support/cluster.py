"""The one real cluster of a test session: the one that is up, or one of its own that goes when the session ends."""

import os
from collections.abc import Iterator

import pytest

from tests.cluster.assets import AssetsMissing
from tests.cluster.cluster import Cluster, ClusterFailed
from tests.cluster.debian import BuildFailed

WITHOUT = "KUBENTLY_TEST_WITHOUT_CLUSTER"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A real API server with the samples in it.

    Where none can be had the tests that need it fail, unless KUBENTLY_TEST_WITHOUT_CLUSTER=1 says to go without.
    """
    if os.environ.get(WITHOUT) == "1":
        pytest.skip(f"{WITHOUT}=1: this needs a cluster and was NOT run")
    running = Cluster("default")
    if running.problem() is None and running.is_current:
        yield running
        return
    own = Cluster(f"tests-{os.getpid()}")
    try:
        own.up()
    except (AssetsMissing, BuildFailed, ClusterFailed) as error:
        pytest.fail(f"no cluster for the tests: {error} (or go without: {WITHOUT}=1)", pytrace=False)
    try:
        yield own
    finally:
        own.down()
