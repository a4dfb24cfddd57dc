/** What admins do: clusters, the tokens of their agents, and API keys. See `Admin` in index.d.ts. */

import { answer } from "./answers.js";
import { CALL, given, known, moment, pathPart } from "./options.js";
import { pages } from "./pages.js";

const RATES = ["standardPerMinute", "executePerMinute", "sessionPerMinute"];

/** `client.admin`. Everything rejects with Forbidden for a key that is not an admin's. */
export class Admin {
  #transport;

  constructor(transport) {
    this.#transport = transport;
  }

  /** The same as `client.clusters`. */
  async clusters(options) {
    return listClusters(this.#transport, "/admin/clusters", options);
  }

  /** A cluster with its tokens. */
  async cluster(clusterId, options) {
    const call = known(options, CALL, "admin.cluster");
    return this.#get(`/admin/clusters/${pathPart(clusterId)}`, call);
  }

  /** Register a cluster; the answer has its first agent token, this once. */
  async addCluster(clusterId, options) {
    const { name, labels, ...call } = known(options, ["name", "labels", ...CALL], "admin.addCluster");
    return this.#send("POST", "/admin/clusters", { cluster_id: clusterId, ...given({ name, labels }) }, call);
  }

  /** Change a cluster's name or its labels, as a whole. */
  async changeCluster(clusterId, options) {
    const { name, labels, ...call } = known(options, ["name", "labels", ...CALL], "admin.changeCluster");
    const path = `/admin/clusters/${pathPart(clusterId)}`;
    return this.#send("PATCH", path, given({ name, labels }), { ...call, isRepeatable: true });
  }

  /** Remove a cluster: its link and its sessions end, its results stay. */
  async removeCluster(clusterId, options) {
    await this.#delete(`/admin/clusters/${pathPart(clusterId)}`, known(options, CALL, "admin.removeCluster"));
  }

  /** One more token for a cluster's agent. */
  async addToken(clusterId, options) {
    const { expiresAt, ...call } = known(options, ["expiresAt", ...CALL], "admin.addToken");
    const body = { expires_at: moment(expiresAt, "expiresAt") };
    return this.#send("POST", `/admin/clusters/${pathPart(clusterId)}/tokens`, body, call);
  }

  /** Revoke a token, and close the link that was opened with it. */
  async removeToken(clusterId, tokenId, options) {
    const path = `/admin/clusters/${pathPart(clusterId)}/tokens/${pathPart(tokenId)}`;
    await this.#delete(path, known(options, CALL, "admin.removeToken"));
  }

  /** API keys, oldest first. */
  async keys(options) {
    const call = { ...known(options, CALL, "admin.keys"), isRepeatable: true };
    return (await this.#transport.request("GET", "/admin/keys", call)).json.keys.map(answer);
  }

  /** Make a key; the answer has its secret, this once. */
  async addKey(name, options) {
    const lists = ["clusters", "namespaces", "commandTypes", "kinds", "deniedKinds"];
    const names = ["role", ...lists, "rateLimits", "maxOutputBytes", "expiresAt", ...CALL];
    const { role, rateLimits, maxOutputBytes, expiresAt, ...rest } = known(options, names, "admin.addKey");
    const { clusters, namespaces, commandTypes, kinds, deniedKinds, ...call } = rest;
    const rates = known(rateLimits ?? {}, RATES, "rateLimits");
    const body = {
      name,
      role: role ?? "user",
      ...given({
        clusters,
        namespaces,
        command_types: commandTypes,
        kinds,
        denied_kinds: deniedKinds,
        max_output_bytes: maxOutputBytes,
        expires_at: moment(expiresAt, "expiresAt"),
      }),
    };
    if (rateLimits != null) {
      body.rate_limits = given({
        standard_per_minute: rates.standardPerMinute,
        execute_per_minute: rates.executePerMinute,
        session_per_minute: rates.sessionPerMinute,
      });
    }
    return this.#send("POST", "/admin/keys", body, call);
  }

  /** A new secret; the one it had works for `overlapSeconds` more. */
  async rotateKey(keyId, options) {
    const { overlapSeconds, ...call } = known(options, ["overlapSeconds", ...CALL], "admin.rotateKey");
    const body = given({ overlap_seconds: overlapSeconds });
    return this.#send("POST", `/admin/keys/${pathPart(keyId)}/rotate`, body, call);
  }

  /** Remove a key; what it holds open ends. */
  async removeKey(keyId, options) {
    await this.#delete(`/admin/keys/${pathPart(keyId)}`, known(options, CALL, "admin.removeKey"));
  }

  async #get(path, call) {
    return answer((await this.#transport.request("GET", path, { ...call, isRepeatable: true })).json);
  }

  async #send(method, path, body, call) {
    return answer((await this.#transport.request(method, path, { ...call, body })).json);
  }

  /** Not repeated where the first may have arrived: the second would be told that there is no such thing. */
  async #delete(path, call) {
    await this.#transport.request("DELETE", path, call);
  }
}

/** Clusters by id. */
export function listClusters(transport, path, options) {
  const names = ["status", "clusterId", "selector", "limit", ...CALL];
  const { status, clusterId, selector, limit, ...call } = known(options, names, "clusters");
  const query = { status, cluster_id: clusterId, selector };
  return pages(transport, path, "clusters", query, { ...call, limit, most: 1000 });
}
