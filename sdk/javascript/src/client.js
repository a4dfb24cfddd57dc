/** The client: everything that can be asked of a hub. See `Client` in index.d.ts for what each call gives. */

import { Admin, listClusters } from "./admin.js";
import { Result, answer } from "./answers.js";
import { COMMAND_OPTIONS, Command, cancel } from "./command.js";
import { now, sleep } from "./deadline.js";
import { ClusterOffline, ServiceUnavailable } from "./errors.js";
import { Fleet } from "./fleet.js";
import { CALL, given, known, moment, pathPart, words } from "./options.js";
import { pages } from "./pages.js";
import { DebugSession } from "./session.js";
import { settingsOf } from "./settings.js";
import { Stream } from "./stream.js";
import { FINISH_SECONDS, Transport } from "./transport.js";

// As often somebody who waits for an agent looks whether it is there.
const LOOK_SECONDS = 1;
// The clusters of so many sessions are remembered; of others the hub is asked.
const MOST_SESSIONS = 1000;
const SESSION_OPTIONS = ["ttlSeconds", "metadata", "wait", ...CALL];
const STREAM_OPTIONS = COMMAND_OPTIONS.filter((name) => name !== "keepFullOutput");

const asyncDispose = Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose");

export class Client {
  #transport;
  #clusters = new Map(); // session id to cluster id: an execute names both

  constructor(options = {}) {
    this.#transport = new Transport(settingsOf(options));
    this.admin = new Admin(this.#transport);
  }

  get endpoint() {
    return this.#transport.settings.endpoint;
  }

  /** Wait for what goes on behind calls that were aborted. */
  async close() {
    await this.#transport.idle();
  }

  async [asyncDispose]() {
    await this.close();
  }

  // sessions

  async createDebugSession(clusterId, options) {
    const { ttlSeconds, metadata, wait = 0, ...call } = known(options, SESSION_OPTIONS, "createDebugSession");
    const body = { cluster_id: clusterId, ...given({ ttl_seconds: ttlSeconds, metadata }) };
    const fields = answer(await this.#whenConnected(clusterId, wait, call, () => this.#open(body, call)));
    this.#remember(fields.sessionId, fields.clusterId);
    return new DebugSession(this, fields, (what, work) => this.#transport.finish(what, work));
  }

  async debugSession(clusterId, options, work) {
    const [wanted, run] = typeof options === "function" ? [undefined, options] : [options, work];
    if (typeof run !== "function") throw new TypeError("debugSession wants a function to run in the session");
    const session = await this.createDebugSession(clusterId, wanted);
    try {
      return await run(session);
    } finally {
      await session[asyncDispose]();
    }
  }

  async session(sessionId, options) {
    const call = known(options, CALL, "session");
    const found = await this.#get(`/debug/session/${pathPart(sessionId)}`, call);
    this.#remember(found.sessionId, found.clusterId);
    return found;
  }

  async closeSession(sessionId, options) {
    const call = { ...known(options, CALL, "closeSession"), isRepeatable: true };
    const reply = await this.#transport.request("DELETE", `/debug/session/${pathPart(sessionId)}`, call);
    this.#clusters.delete(sessionId);
    return answer(reply.json);
  }

  async sessions(options) {
    const names = ["clusterId", "status", "limit", ...CALL];
    const { clusterId, status, limit, ...call } = known(options, names, "sessions");
    const query = { cluster_id: clusterId, status };
    return pages(this.#transport, "/debug/sessions", "sessions", query, { ...call, limit, most: 500 });
  }

  // commands

  async execute(sessionId, type, args, options) {
    const command = new Command(type, args, options);
    const ids = await this.#ids(sessionId, command.call);
    return new Result(await command.send(this.#transport, ids, { isAsync: false }));
  }

  async start(sessionId, type, args, options) {
    const command = new Command(type, args, options);
    return new Result(await this.#start(sessionId, command, command.call));
  }

  stream(sessionId, type, args, options) {
    known(options, STREAM_OPTIONS, "stream");
    const command = new Command(type, args, options); // what is wrong with it shows here, not in the loop
    const start = async (signal) => (await this.#start(sessionId, command, { ...command.call, signal })).result_id;
    return new Stream(this.#transport, start, { isOwner: true, signal: command.call.signal });
  }

  follow(resultId, options) {
    pathPart(resultId);
    const { afterSeq = 0, signal } = known(options, ["afterSeq", "signal"], "follow");
    if (!Number.isInteger(afterSeq) || afterSeq < 0) throw new TypeError("afterSeq is a piece's number, or 0");
    return new Stream(this.#transport, async () => resultId, { afterSeq, isOwner: false, signal });
  }

  async result(resultId, options) {
    const names = ["wait", "offset", "limit", "full", ...CALL];
    const { wait, offset, limit, full, ...call } = known(options, names, "result");
    const query = { wait, offset, limit, full };
    const asked = { ...call, query, moreSeconds: wait ?? 0, isRepeatable: true };
    return new Result((await this.#transport.request("GET", `/debug/result/${pathPart(resultId)}`, asked)).json);
  }

  async cancel(resultId, options) {
    const call = known(options, CALL, "cancel");
    pathPart(resultId);
    return new Result(await cancel(this.#transport, resultId, call));
  }

  fleet(type, args, options) {
    return new Fleet(this.#transport, type, args, options);
  }

  streamSocket(sessionId, options) {
    const { events = false } = known(options, ["events"], "streamSocket");
    const url = new URL(`${this.endpoint}/debug/session/${pathPart(sessionId)}/stream`);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    if (events) url.searchParams.set("events", "all");
    const key = btoa(this.#transport.settings.key).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    return { url: url.href, protocols: ["kubently.stream.v1", `kubently.bearer.${key}`] };
  }

  async validate(clusterId, type, args = [], options = undefined) {
    const body = { cluster_id: clusterId, command_type: type, args: words(args) };
    const call = { ...known(options, CALL, "validate"), body, isRepeatable: true };
    return answer((await this.#transport.request("POST", "/debug/validate", call)).json);
  }

  // clusters

  async clusters(options) {
    return listClusters(this.#transport, "/clusters", options);
  }

  async cluster(clusterId, options) {
    return this.#get(`/clusters/${pathPart(clusterId)}/status`, known(options, CALL, "cluster"));
  }

  async policy(clusterId, options) {
    return this.#get(`/clusters/${pathPart(clusterId)}/policy`, known(options, CALL, "policy"));
  }

  // the hub

  async self(options) {
    return this.#get("/auth/self", known(options, CALL, "self"));
  }

  async audit(options) {
    const filters = ["since", "until", "kind", "decision", "keyId", "clusterId", "sessionId", "resultId"];
    const asked = known(options, [...filters, "limit", ...CALL], "audit");
    const { since, until, kind, decision, keyId, clusterId, sessionId, resultId, limit = 100, ...call } = asked;
    const query = {
      since: moment(since, "since"),
      until: moment(until, "until"),
      kind,
      decision,
      key_id: keyId,
      cluster_id: clusterId,
      session_id: sessionId,
      result_id: resultId,
    };
    return pages(this.#transport, "/audit", "rows", query, { ...call, limit, most: 1000 });
  }

  async health(options) {
    return this.#get("/health", known(options, CALL, "health"));
  }

  async ready(options) {
    const call = { ...known(options, CALL, "ready"), tries: 1 };
    try {
      await this.#transport.request("GET", "/ready", call);
    } catch (error) {
      if (error instanceof ServiceUnavailable) return false;
      throw error;
    }
    return true;
  }

  async openapi(options) {
    const call = { ...known(options, CALL, "openapi"), isRepeatable: true };
    return (await this.#transport.request("GET", "/openapi.json", call)).json;
  }

  async #get(path, call) {
    return answer((await this.#transport.request("GET", path, { ...call, isRepeatable: true })).json);
  }

  async #start(sessionId, command, call) {
    const ids = await this.#ids(sessionId, call);
    const send = () => command.send(this.#transport, ids, { isAsync: true, signal: call.signal });
    return this.#whenConnected(ids.cluster_id, command.wait, call, send);
  }

  /** Do something, and again so many seconds long when the cluster's agent has come that was away. */
  async #whenConnected(clusterId, wait, call, work) {
    const giveUpAt = now() + wait;
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof ClusterOffline) || now() >= giveUpAt) throw error;
      }
      while (now() < giveUpAt) {
        await sleep(Math.min(LOOK_SECONDS, Math.max(0, giveUpAt - now())), call.signal);
        if ((await this.cluster(clusterId, call)).status === "connected") break;
      }
    }
  }

  /** Open a session; one whose caller leaves meanwhile is closed as soon as it is there. */
  async #open(body, call) {
    const { signal, ...rest } = call;
    signal?.throwIfAborted();
    if (signal === undefined) return (await this.#transport.request("POST", "/debug/session", { ...rest, body })).json;
    // The request itself is not aborted: a session that was made, and whose id nobody got, could not be closed.
    const opening = this.#transport.request("POST", "/debug/session", { ...rest, body });
    let leave;
    const left = new Promise((_, reject) => {
      leave = () => reject(signal.reason);
      signal.addEventListener("abort", leave, { once: true });
    });
    try {
      return (await Promise.race([opening, left])).json;
    } catch (error) {
      if (signal.aborted && error === signal.reason) {
        this.#transport.finish("a session that nobody waits for will expire", () => this.#undo(opening));
      }
      throw error;
    } finally {
      signal.removeEventListener("abort", leave);
    }
  }

  async #undo(opening) {
    let sessionId;
    try {
      sessionId = (await opening).json.session_id;
    } catch {
      return; // none was made, or nobody can say which
    }
    await this.closeSession(sessionId, { timeoutSeconds: FINISH_SECONDS });
  }

  async #ids(sessionId, call) {
    pathPart(sessionId);
    const clusterId = this.#clusters.get(sessionId) ?? (await this.session(sessionId, call)).clusterId;
    return { cluster_id: clusterId, session_id: sessionId };
  }

  #remember(sessionId, clusterId) {
    this.#clusters.delete(sessionId);
    this.#clusters.set(sessionId, clusterId);
    if (this.#clusters.size > MOST_SESSIONS) this.#clusters.delete(this.#clusters.keys().next().value);
  }
}
