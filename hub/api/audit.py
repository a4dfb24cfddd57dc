"""The audit log over REST, for admins and auditors."""

from typing import Final

from aiohttp import web

from hub import keys
from hub.api.documentation import endpoint
from hub.records import AuditFilter
from hub.responses import json_response
from hub.services import audit_csv
from schemas.api import audit as wire

CURSOR_HEADER: Final = "X-Next-Cursor"
CSV_TYPE: Final = "text/csv"


@endpoint(
    "Look at the audit log",
    wire.AuditList,
    tag="audit",
    query=wire.AuditQuery,
    media_types=(CSV_TYPE,),
    errors=(403, 503),
)
async def list_audit(request: web.Request) -> web.Response:
    """For admins and auditors, newest first. A key that is bound to clusters sees the rows of these, and its own. With
    `format=csv` as CSV, and the next cursor in the header `X-Next-Cursor`.
    """
    query = request[keys.QUERY].copy()
    limit, cursor, form = query.pop("limit"), query.pop("cursor", None), query.pop("format")
    page = await request.app[keys.AUDIT].list_rows(
        request[keys.CALLER], AuditFilter(**query), limit=limit, cursor=cursor
    )
    if form == "csv":
        headers = {} if page.next_cursor is None else {CURSOR_HEADER: page.next_cursor}
        text = audit_csv.header() + audit_csv.lines(page.rows)
        return web.Response(text=text, content_type=CSV_TYPE, headers=headers)
    return json_response({"rows": [audit_csv.flat(row) for row in page.rows], "next_cursor": page.next_cursor})
