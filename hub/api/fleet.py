"""One command on many clusters, over REST."""

from aiohttp import web

from hub import keys
from hub.api.commands import contract
from hub.api.documentation import endpoint
from hub.api.fleet_lines import FleetLines
from hub.api.stream_lines import LINES_TYPE, Lines
from hub.services.commands import Request
from hub.services.fleet import FleetRequest
from schemas.api import fleet as wire


@endpoint(
    "Run a command on many clusters",
    wire.FleetLine,
    tag="commands",
    body=wire.FleetExecute,
    media_type=LINES_TYPE,
    errors=(403, 404, 503),
)
async def execute_fleet(request: web.Request) -> web.StreamResponse:
    """Answers with lines of JSON (`application/x-ndjson`), one for each cluster as it ends, whatever became of it. A
    caller that leaves cancels what runs.
    """
    app, caller, body = request.app, request[keys.CALLER], request[keys.BODY]
    most = app[keys.SETTINGS].fleet.max_output_bytes
    command = Request(
        cluster_id="",
        session_id="",
        command_type=body["command_type"],
        args=body["args"],
        timeout_seconds=body["timeout"],
        max_output_bytes=min(most, body.get("max_output_bytes", most)),
        contract=contract(body.get("grep"), body.get("tail_lines"), body.get("max_lines")),
    )
    asked = FleetRequest(
        clusters=body["clusters"],
        selector=body.get("selector"),
        command=command,
        timeout_seconds=body["timeout"],
        concurrency=body["concurrency"],
        metadata=body["metadata"],
    )
    service = app[keys.FLEET]
    chosen = await service.choose(caller, asked)
    async with service.run(caller, asked, chosen) as rows:
        lines = Lines(app, caller, FleetLines(chosen, rows))
        with app[keys.STREAMS].hold(caller.key.key_id, lines):
            return await lines.serve(request)
