"""Every case of tests/differential/cases: native, without kubectl, prints what kubectl prints for the test cluster."""

import asyncio
import importlib
import pkgutil
from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio

from agent.executors.native.executor import VERBS, NativeExecutor
from agent.settings import Execution
from tests.cluster.cluster import Cluster
from tests.differential import cases
from tests.differential.__main__ import difference
from tests.differential.case import Case
from tests.differential.harness import Kubectl, Printed, compare, environment
from tests.support.kubectl import kubectl_binary

# One event loop, one executor, as in an agent: connections and discovery are kept from case to case.
pytestmark = pytest.mark.asyncio(loop_scope="module")

_LEAST_OF_EACH = 15
_LEAST_OF_ALL = 400
_AT_ONCE = 3


def _modules() -> dict[str, tuple[Case, ...]]:
    return {
        module.name: importlib.import_module(f"tests.differential.cases.{module.name}").CASES
        for module in pkgutil.iter_modules(cases.__path__)
    }


CASES = _modules()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def answers(
    cluster: Cluster, request: pytest.FixtureRequest
) -> AsyncIterator[Mapping[str, asyncio.Task[tuple[Printed, Printed]]]]:
    """By command line, what kubectl and native print for it: a few are asked at once, which takes half the time."""
    oracle = Kubectl(kubectl_binary(), cluster.kubeconfig)
    native = NativeExecutor(environment(cluster.kubeconfig), Execution())
    slots = asyncio.Semaphore(_AT_ONCE)

    async def answer(case: Case) -> tuple[Printed, Printed]:
        async with slots:
            return await compare(oracle, native, case.argv)

    tasks = {
        case.line: asyncio.create_task(answer(case), name=case.line)
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.function is test_alike
        and isinstance(case := item.callspec.params["case"], Case)
    }
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.wait(tasks.values())
    await native.close()
    oracle.close()


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{name}: {case.line}") for name, some in CASES.items() for case in some]
)
async def test_alike(answers: Mapping[str, asyncio.Task[tuple[Printed, Printed]]], case: Case) -> None:
    wanted, got = await answers[case.line]
    if not case.stderr:
        wanted, got = _without_stderr(wanted), _without_stderr(got)
    assert wanted == got, f"kubectl {case.line}\n" + "".join(difference(wanted, got))


async def test_there_are_enough_cases() -> None:
    lines = {verb: set[str]() for verb in VERBS}
    for some in CASES.values():
        for case in some:
            words = case.argv
            verb = next(verb for verb in ("-".join(words[:2]), words[0]) if verb in VERBS)
            lines[verb].add(case.line)
    assert {verb: len(some) for verb, some in lines.items() if len(some) < _LEAST_OF_EACH} == {}
    assert sum(map(len, lines.values())) >= _LEAST_OF_ALL


async def test_what_is_not_compared_has_a_reason() -> None:
    assert [case.line for some in CASES.values() for case in some if not case.stderr and not case.why] == []


def _without_stderr(printed: Printed) -> Printed:
    return Printed(printed.stdout, b"", printed.exit_code)
