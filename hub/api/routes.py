"""The whole REST API on one screen: method, path, handler, who may come in, which bucket it draws on."""

from aiohttp import web

from hub import keys
from hub.api import agents, api_keys, audit, clusters, commands, documentation, fleet, health, sessions, stream
from hub.keys import Access, Policy
from schemas.frames import CONNECT_PATH

_FREE = Policy(Access.PUBLIC, bucket=None)
_STANDARD = Policy(Access.KEY, "standard")

ROUTES = (
    ("GET", "/health", health.get_health, _FREE),
    ("GET", "/ready", health.get_ready, _FREE),
    ("GET", "/openapi.json", documentation.get_openapi, _FREE),
    ("GET", "/docs", documentation.get_docs, _FREE),
    ("GET", "/docs/{name}", documentation.get_asset, _FREE),
    ("POST", "/debug/session", sessions.open_session, Policy(Access.KEY, "session")),
    ("GET", "/debug/session/{session_id}", sessions.get_session, _STANDARD),
    ("DELETE", "/debug/session/{session_id}", sessions.close_session, _STANDARD),
    (
        "GET",
        "/debug/session/{session_id}/stream",
        stream.stream_session,
        Policy(Access.KEY, "standard", is_socket=True),
    ),
    ("GET", "/debug/sessions", sessions.list_sessions, _STANDARD),
    ("POST", "/debug/execute", commands.execute, Policy(Access.KEY, "execute")),
    ("POST", "/debug/fleet/execute", fleet.execute_fleet, Policy(Access.KEY, "execute")),
    ("POST", "/debug/validate", commands.validate, _STANDARD),
    ("GET", "/debug/result/{result_id}", commands.get_result, _STANDARD),
    ("DELETE", "/debug/result/{result_id}", commands.cancel_result, _STANDARD),
    ("GET", "/debug/result/{result_id}/stream", stream.stream_result, _STANDARD),
    ("GET", "/auth/self", api_keys.get_own_key, _STANDARD),
    ("GET", "/clusters", clusters.list_clusters, _STANDARD),
    ("GET", "/clusters/{cluster_id}/status", clusters.get_status, _STANDARD),
    ("GET", "/clusters/{cluster_id}/policy", clusters.get_policy, _STANDARD),
    ("GET", "/admin/clusters", clusters.list_clusters, _STANDARD),
    ("POST", "/admin/clusters", clusters.register_cluster, _STANDARD),
    ("GET", "/admin/clusters/{cluster_id}", clusters.get_cluster, _STANDARD),
    ("PATCH", "/admin/clusters/{cluster_id}", clusters.change_cluster, _STANDARD),
    ("DELETE", "/admin/clusters/{cluster_id}", clusters.remove_cluster, _STANDARD),
    ("POST", "/admin/clusters/{cluster_id}/tokens", clusters.add_token, _STANDARD),
    ("DELETE", "/admin/clusters/{cluster_id}/tokens/{token_id}", clusters.remove_token, _STANDARD),
    ("GET", "/admin/keys", api_keys.list_keys, _STANDARD),
    ("POST", "/admin/keys", api_keys.create_key, _STANDARD),
    ("POST", "/admin/keys/{key_id}/rotate", api_keys.rotate_key, _STANDARD),
    ("DELETE", "/admin/keys/{key_id}", api_keys.remove_key, _STANDARD),
    ("GET", "/audit", audit.list_audit, _STANDARD),
    ("GET", CONNECT_PATH, agents.connect, Policy(Access.AGENT, bucket=None)),
)


def add_routes(app: web.Application) -> None:
    """Put the table into the application."""
    policies: dict[web.AbstractRoute, Policy] = {}
    for method, path, handler, policy in ROUTES:
        if method == "GET" and policy.access is not Access.AGENT and not policy.is_socket:
            routes = [
                app.router.add_route("HEAD", path, handler),
                app.router.add_route(method, path, handler),
            ]
        else:
            routes = [app.router.add_route(method, path, handler)]
        policies.update(dict.fromkeys(routes, policy))
    app[keys.POLICIES] = policies
