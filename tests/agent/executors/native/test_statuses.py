"""agent/executors/native/statuses.py: kubectl 1.33's words, each seen with it."""

import json
from typing import Any

import pytest

from agent.executors.native import statuses
from agent.executors.native.errors import CommandFailed, StatusError, Unreachable
from agent.executors.native.resources import Resource

PODS = Resource("", "v1", "Pod", "pods", "pod", True)
WIDGETS = Resource("x.io", "v1", "Widget", "widgets", "widget", True)
POD = "/api/v1/namespaces/default/pods/x"


def made_up(
    code: int, body: bytes = b"plain text body", content_type: str = "text/plain", path: str = POD
) -> StatusError:
    status = statuses.of_response(code, body, content_type=content_type, method="get", path=path)
    return StatusError(code, status)


def said(code: int, message: str = "the message", reason: str = "", **details: Any) -> StatusError:
    return StatusError(
        code, {"kind": "Status", "message": message, "reason": reason, **({"details": details} if details else {})}
    )


def test_a_status_is_taken_as_it_is() -> None:
    status = {"kind": "Status", "message": "m", "reason": "R", "code": 404}
    for content_type in ("application/json", "text/plain"):
        assert made_up(404, json.dumps(status).encode(), content_type).status == status


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (400, "Error from server (BadRequest): the server rejected our request for an unknown reason (get pods x)"),
        (
            401,
            "error: You must be logged in to the server "
            "(the server has asked for the client to provide credentials (get pods x))",
        ),
        (403, "Error from server (Forbidden): plain text body (get pods x)"),
        (404, "Error from server (NotFound): the server could not find the requested resource (get pods x)"),
        (
            405,
            "Error from server (MethodNotAllowed): "
            "the server does not allow this method on the requested resource (get pods x)",
        ),
        (406, "Error from server (NotAcceptable): plain text body (get pods x)"),
        (409, "Error from server (Conflict): the server reported a conflict (get pods x)"),
        (
            410,
            "Error from server: "
            "the server responded with the status code 410 but did not return more information (get pods x)",
        ),
        (415, "Error from server (UnsupportedMediaType): plain text body (get pods x)"),
        (
            418,
            "Error from server: "
            "the server responded with the status code 418 but did not return more information (get pods x)",
        ),
        (422, 'The pods "x" is invalid: : plain text body'),
        (
            429,
            "Error from server (TooManyRequests): "
            "the server has received too many requests and has asked us to try again later (get pods x)",
        ),
        (
            502,
            'Error from server (InternalError): an error on the server ("plain text body") has prevented the request '
            "from succeeding (get pods x)",
        ),
        (
            503,
            "Error from server (ServiceUnavailable): the server is currently unable to handle the request (get pods x)",
        ),
        (
            504,
            "Error from server (Timeout): the server was unable to return a response in the time allotted, but may "
            "still be processing the request (get pods x)",
        ),
    ],
)
def test_what_is_no_status(code: int, text: str) -> None:
    assert statuses.text(made_up(code)) == text


@pytest.mark.parametrize(
    ("code", "body", "content_type", "text"),
    [
        (403, b"{}", "application/json", "Error from server (Forbidden): unknown (get pods x)"),
        (403, b"", "", "Error from server (Forbidden):  (get pods x)"),
        (403, b"two\nlines\n", "text/html", "Error from server (Forbidden): two\nlines (get pods x)"),
        (
            406,
            b"{}",
            "application/json",
            "Error from server (NotAcceptable): "
            "the server was unable to respond with a content type that the client supports (get pods x)",
        ),
        (
            500,
            b'two\n"lines"\n',
            "text/plain",
            r"""Error from server (InternalError): an error on the server ("two\n\"lines\"") has prevented the """
            "request from succeeding (get pods x)",
        ),
        (422, b"[1]", "application/json", 'The pods "x" is invalid: : unknown'),
        (403, b"\xff", "text/plain", "Error from server (Forbidden): \ufffd (get pods x)"),
    ],
)
def test_bodies_that_are_none(code: int, body: bytes, content_type: str, text: str) -> None:
    assert statuses.text(made_up(code, body, content_type)) == text


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/api/v1/namespaces/default/pods", " (get pods)"),
        ("/apis/x.io/v1/namespaces/default/widgets/a%20b", " (get widgets.x.io a b)"),
        ("/apis/apps/v1/deployments", " (get deployments.apps)"),
        ("/api/v1/namespaces/web", " (get namespaces web)"),
        ("/api/v1/namespaces/web/status", " (get namespaces web)"),
        ("/api/v1/namespaces/web/pods/x/log", " (get pods x)"),
        ("/api/v1", ""),
        ("/apis/apps/v1", ""),
        ("/version", ""),
        ("/", ""),
    ],
)
def test_what_was_asked_for(path: str, asked: str) -> None:
    assert made_up(404, path=path).message == "the server could not find the requested resource" + asked


CAUSES = [{"field": "spec.x", "message": "bad"}, {"message": "worse"}, {"field": "f"}]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (said(404, reason="NotFound"), "Error from server (NotFound): the message"),
        (said(404), "Error from server: the message"),
        (said(401, reason="TheReason"), "Error from server (TheReason): the message"),
        (said(401, reason="Unauthorized"), "error: You must be logged in to the server (the message)"),
        (
            said(422, reason="Invalid", kind="Kd", name="nm", causes=CAUSES),
            'The Kd "nm" is invalid: \n* spec.x: bad\n* : worse\n* f: ',
        ),
        (said(422, reason="Invalid", kind="Kd", name="nm", causes=CAUSES[:1]), 'The Kd "nm" is invalid: spec.x: bad'),
        (said(422, reason="Invalid", kind="Kd", name="nm"), 'The Kd "nm" is invalid'),
        (said(422, reason="Invalid"), "The request is invalid: the message"),
        (said(409, reason="Conflict", causes=CAUSES), "Error from server (Conflict): the message"),
    ],
)
def test_texts(error: StatusError, text: str) -> None:
    assert statuses.text(error) == text


def test_several() -> None:
    invalid = said(422, reason="Invalid", kind="Kd", name="nm", causes=CAUSES)
    errors: list[StatusError | CommandFailed | Unreachable] = [
        said(404, reason="NotFound"),
        invalid,
        CommandFailed("error: no"),
        Unreachable("gone"),
    ]
    assert statuses.several(errors).text == (
        "Error from server (NotFound): the message\nError from server (Invalid): the message\nno\ngone"
    )
    assert statuses.several([invalid]).text.startswith('The Kd "nm" is invalid')
    assert statuses.several([CommandFailed("error: no")]).text == "error: no"


def test_lists_name_what_was_asked_for() -> None:
    gone, bad, denied = said(404, reason="NotFound"), said(400, reason="BadRequest"), said(403, reason="Forbidden")
    assert statuses.of_list(gone, PODS).message == 'Unable to list "/v1, Resource=pods": the message'
    assert statuses.of_list(bad, WIDGETS, "a=b").message == (
        'Unable to find "x.io/v1, Resource=widgets" that match label selector "a=b", field selector "": the message'
    )
    assert statuses.of_list(denied, PODS) is denied
