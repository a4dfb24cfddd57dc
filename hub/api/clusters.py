"""Clusters over REST."""

from typing import Any

from aiohttp import web

from hub import keys
from hub.api.documentation import endpoint
from hub.api.lasting import lasting
from hub.responses import json_response
from hub.services.clusters import ClusterPage, ClusterView
from schemas.api import clusters as wire


@endpoint("List clusters", wire.ClusterList, tag="clusters", query=wire.ClusterFilter, errors=(403,))
async def list_clusters(request: web.Request) -> web.Response:
    """For admins: the registered clusters by id."""
    query = request[keys.QUERY]
    page = await request.app[keys.CLUSTERS].list_clusters(request[keys.CALLER], **query)
    return json_response(_dump_page(page))


@endpoint("Status of a cluster", wire.ClusterState, tag="clusters", errors=(404,))
async def get_status(request: web.Request) -> web.Response:
    """Whether its agent is connected, and how busy it is."""
    service = request.app[keys.CLUSTERS]
    view = await service.get(request[keys.CALLER], request.match_info["cluster_id"])
    active_sessions, queue_depth = await service.activity(view.cluster.cluster_id)
    content = flat(view) | {"active_sessions": active_sessions, "queue_depth": queue_depth}
    return json_response(wire.ClusterState().dump(content))


@endpoint("Policy of a cluster", wire.ClusterPolicy, tag="clusters", errors=(404,))
async def get_policy(request: web.Request) -> web.Response:
    """What its owner allows, as its agent last told it; the hub can only narrow it."""
    cluster_id = request.match_info["cluster_id"]
    view = await request.app[keys.CLUSTERS].policy(request[keys.CALLER], cluster_id)
    content = {"cluster_id": cluster_id, "policy": view.policy, "told_at": view.told_at}
    return json_response(wire.ClusterPolicy().dump(content))


@endpoint(
    "Register a cluster",
    wire.RegisteredCluster,
    tag="admin",
    status=201,
    body=wire.NewCluster,
    errors=(403, 409),
    links=dict.fromkeys(("get_status", "get_cluster", "change_cluster", "add_token", "remove_cluster"), "cluster_id"),
)
async def register_cluster(request: web.Request) -> web.Response:
    """Answers with the agent's token, which is shown this once."""
    body = request[keys.BODY]
    view, token, secret = await request.app[keys.CLUSTERS].register(
        request[keys.CALLER], body["cluster_id"], body.get("name"), body["labels"]
    )
    request[keys.NOTED]["token_id"] = token.token_id
    content = flat(view) | {"token_id": token.token_id, "agent_token": secret}
    headers = {"Location": f"/admin/clusters/{view.cluster.cluster_id}"}
    return json_response(wire.RegisteredCluster().dump(content), status=201, headers=headers)


@endpoint("Look at a cluster and its tokens", wire.ClusterTokens, tag="admin", errors=(403, 404))
async def get_cluster(request: web.Request) -> web.Response:
    """Tokens are shown by id, never by their secret."""
    service, caller = request.app[keys.CLUSTERS], request[keys.CALLER]
    cluster_id = request.match_info["cluster_id"]
    tokens = await service.list_tokens(caller, cluster_id)
    view = await service.get(caller, cluster_id)
    return json_response(wire.ClusterTokens().dump(flat(view) | {"tokens": tokens}))


@endpoint("Change a cluster", wire.Cluster, tag="admin", body=wire.ClusterChange, errors=(403, 404))
async def change_cluster(request: web.Request) -> web.Response:
    """Its name, or its labels as a whole; what its agent announces it keeps announcing."""
    body = request[keys.BODY]
    view = await request.app[keys.CLUSTERS].change(
        request[keys.CALLER], request.match_info["cluster_id"], name=body.get("name"), labels=body.get("labels")
    )
    return json_response(wire.Cluster().dump(flat(view)))


@endpoint("Remove a cluster", None, tag="admin", status=204, errors=(403, 404))
@lasting
async def remove_cluster(request: web.Request) -> web.Response:
    """Its tokens stop working, its link is cut, its sessions close."""
    await request.app[keys.CLUSTERS].remove(request[keys.CALLER], request.match_info["cluster_id"])
    return web.Response(status=204)


@endpoint("Add an agent token", wire.NewToken, tag="admin", status=201, body=wire.TokenTerms, errors=(403, 404, 408))
async def add_token(request: web.Request) -> web.Response:
    """A second one, so that the agent can change over before the first is revoked."""
    token, secret = await request.app[keys.CLUSTERS].add_token(
        request[keys.CALLER], request.match_info["cluster_id"], request[keys.BODY]["expires_at"]
    )
    request[keys.NOTED]["token_id"] = token.token_id
    content = {
        "token_id": token.token_id,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "cluster_id": token.cluster_id,
        "agent_token": secret,
    }
    return json_response(wire.NewToken().dump(content), status=201)


@endpoint("Revoke an agent token", None, tag="admin", status=204, errors=(403, 404))
@lasting
async def remove_token(request: web.Request) -> web.Response:
    """Also cuts the link that was opened with it."""
    await request.app[keys.CLUSTERS].remove_token(
        request[keys.CALLER], request.match_info["cluster_id"], request.match_info["token_id"]
    )
    return web.Response(status=204)


def flat(view: ClusterView) -> dict[str, Any]:
    """A cluster's fields on the wire, before they are dumped."""
    return {
        "cluster_id": view.cluster.cluster_id,
        "name": view.cluster.name,
        "status": view.status,
        "agent_version": view.cluster.agent_version,
        "kubernetes_version": view.cluster.kubernetes_version,
        "last_seen": view.last_seen,
        "labels": view.cluster.all_labels,
        "created_at": view.cluster.created_at,
    }


def _dump_page(page: ClusterPage) -> Any:
    content = {
        "clusters": [flat(view) for view in page.clusters],
        "total": page.total,
        "next_cursor": page.next_cursor,
    }
    return wire.ClusterList().dump(content)
