"""Every case of tests/differential/cases: native, without kubectl, prints what kubectl prints for the test cluster.

With --all-kubectls every kubectl is asked. Older ones print what they print: there the differences must be those of
tests/differential/versions.py, no more and no fewer.
"""

import asyncio
import importlib
import pkgutil
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import pytest
import pytest_asyncio

from agent.executors.native.executor import VERBS, NativeExecutor
from agent.settings import Execution
from tests.cluster.cluster import Cluster
from tests.differential import cases
from tests.differential.__main__ import difference
from tests.differential.case import Case
from tests.differential.harness import Kubectl, Printed, compare, environment
from tests.differential.versions import CHANGES, change
from tests.support.kubectl import kubectl_binaries

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


@dataclass(frozen=True, slots=True)
class Answers:
    """By command line, what kubectl and native print for it, and kubectl's minor version."""

    minor: int
    of: Mapping[str, asyncio.Task[tuple[Printed, Printed]]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for answers once for each kubectl that is to be asked; None is the newest."""
    if "answers" in metafunc.fixturenames:
        # Which one is the newest is left to the fixture: the cluster may have to install it first.
        minors = sorted(kubectl_binaries()) if metafunc.config.getoption("--all-kubectls") else [None]
        names = [f"1.{minor}" if minor else "newest" for minor in minors]
        metafunc.parametrize("answers", minors, ids=names, indirect=True, scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def answers(cluster: Cluster, request: pytest.FixtureRequest) -> AsyncIterator[Answers]:
    """The answers of one kubectl: a few are asked for at once, which takes half the time."""
    binaries = kubectl_binaries()
    minor = max(binaries) if request.param is None else request.param
    oracle = Kubectl(binaries[minor], cluster.kubeconfig)
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
        and item.callspec.params["answers"] == request.param
        and isinstance(case := item.callspec.params["case"], Case)
    }
    yield Answers(minor, tasks)
    for task in tasks.values():
        task.cancel()
    await asyncio.wait(tasks.values())
    await native.close()
    oracle.close()


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{name}: {case.line}") for name, some in CASES.items() for case in some]
)
async def test_alike(answers: Answers, case: Case) -> None:
    wanted, got = await answers.of[case.line]
    if not case.stderr:
        wanted, got = _without_stderr(wanted), _without_stderr(got)
    changed = change(case.line, answers.minor)
    if changed is None:
        assert wanted == got, f"kubectl {case.line}\n" + "".join(difference(wanted, got))
    elif changed.is_certain:
        assert wanted != got, f"kubectl 1.{answers.minor} {case.line} is alike, but listed to differ: {changed.why}"


async def test_there_are_enough_cases() -> None:
    lines = {verb: set[str]() for verb in VERBS}
    for some in CASES.values():
        for case in some:
            words = case.argv
            verb = next(verb for verb in ("-".join(words[:2]), words[0]) if verb in VERBS)
            lines[verb].add(case.line)
    assert {verb: len(some) for verb, some in lines.items() if len(some) < _LEAST_OF_EACH} == {}
    assert sum(map(len, lines.values())) >= _LEAST_OF_ALL


async def test_what_older_kubectls_print_otherwise_is_met() -> None:
    lines = [case.line for some in CASES.values() for case in some]
    assert [some for some in CHANGES if not any(re.fullmatch(some.lines, line) for line in lines)] == []


async def test_what_is_not_compared_has_a_reason() -> None:
    assert [case.line for some in CASES.values() for case in some if not case.stderr and not case.why] == []


def _without_stderr(printed: Printed) -> Printed:
    return Printed(printed.stdout, b"", printed.exit_code)
