"""What most tests of the native executor start from: a fake API server, and an executor whose cluster it is."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.executors.native.executor import NativeExecutor
from agent.settings import Execution
from tests.differential.harness import environment
from tests.support.fake_api_server import FakeApiServer, fake_api_server


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    async with fake_api_server() as running:
        yield running


@pytest.fixture
async def native(server: FakeApiServer, tmp_path: Path) -> AsyncIterator[NativeExecutor]:
    executor = NativeExecutor(environment(server.kubeconfig(tmp_path)), Execution())
    yield executor
    await executor.close()
