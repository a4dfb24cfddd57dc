"""The lines that `POST /debug/fleet/execute` answers with; docs/api.md shows them. `heartbeat` is schemas/stream.py's.

{"type":"started","clusters":["a","b"],"total":2}
{"type":"result","cluster_id":"b","result":{"result_id":"res_…","status":"completed","output":"…"}}
{"type":"error","cluster_id":"a","error":"service_unavailable","message":"Cluster agent is not connected","details":{…}}
{"type":"completed","total":2,"succeeded":1,"failed":1}
"""

from typing import Any

import msgspec


class FleetStarted(msgspec.Struct, frozen=True, tag="started", tag_field="type"):
    """The first line: which clusters were chosen, by id."""

    clusters: list[str]
    total: int


class FleetResult(msgspec.Struct, frozen=True, tag="result", tag_field="type"):
    """A cluster's command has ended, however it ended: the result of the REST API."""

    cluster_id: str
    result: dict[str, Any]


class FleetError(msgspec.Struct, frozen=True, omit_defaults=True, tag="error", tag_field="type"):
    """The command did not run on a cluster: the error body of the REST API."""

    cluster_id: str
    error: str
    message: str
    details: dict[str, Any] = {}


class FleetCompleted(msgspec.Struct, frozen=True, tag="completed", tag_field="type"):
    """The last line. `succeeded` counts the results that are `completed`, `failed` all else."""

    total: int
    succeeded: int
    failed: int


FleetRow = FleetResult | FleetError
