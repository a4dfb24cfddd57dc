// The scenario, done with the JavaScript library: one line of JSON for each step. README.md says which.
//
//   node scenario.mjs scenario.json [module]     module: the library, its sources unless said otherwise

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { argv, stdout } from "node:process";

const kubently = await import(argv[3] ?? "../../sdk/javascript/src/index.js");

const RESULT = [
  ...["command_type", "args", "status", "ok", "output", "error", "reason", "exit_code", "truncated", "output_bytes"],
  ...["omitted_bytes", "omitted_lines", "redactions", "content_trust", "executor", "correlation_id"],
];
const HEALTH = ["status", "version"];
const KEY = ["name", "role", "clusters", "denied_kinds", "namespaces", "max_output_bytes"];
const CLUSTER = ["cluster_id", "name", "status", "agent_version", "labels"];
const STATE = ["cluster_id", "status", "agent_version", "active_sessions", "queue_depth"];
const VERDICT = ["allowed", "command", "is_stream", "by", "rule", "reason", "argument", "nearest"];
const SESSION = ["session_id", "cluster_id", "status", "commands_executed", "metadata", "service_identity"];
const AUDIT = ["kind", "decision", "action", "cluster_id", "argv", "role"];

/** What the steps share. */
class Scenario {
  client = new kubently.Client();
  session = null;
  resultId = "";
  stdout = "";
  tokenId = "";
  key = null;

  async run({ op, ...given }) {
    const fields = Object.fromEntries(Object.entries(given).map(([name, value]) => [camel(name), value]));
    try {
      return { op, ...(await this[`do_${op}`](fields)) };
    } catch (error) {
      if (!(error instanceof kubently.HubError)) throw error;
      const { name, code, status, message, details } = error;
      return { op, error: name, code, status, message, details, retry_after: error.retryAfter !== null };
    }
  }

  async do_health() {
    return shown(await this.client.health(), HEALTH);
  }

  async do_ready() {
    return { ready: await this.client.ready() };
  }

  async do_key() {
    return shown(await this.client.self(), KEY);
  }

  async do_clusters(query) {
    return { rows: (await this.client.clusters(query)).map((row) => shown(row, CLUSTER)) };
  }

  async do_cluster({ clusterId }) {
    return shown(await this.client.cluster(clusterId), STATE);
  }

  async do_policy({ clusterId }) {
    const { policy } = await this.client.policy(clusterId);
    return { verbs: policy && policy.verbs, max_seconds: policy && policy.limits.maxSeconds };
  }

  async do_validate({ clusterId, commandType, args }) {
    return shown(await this.client.validate(clusterId, commandType, args), VERDICT);
  }

  async do_open({ clusterId, ...options }) {
    this.session = await this.client.createDebugSession(clusterId, options);
    return { cluster_id: this.session.clusterId, metadata: this.session.metadata };
  }

  async do_session() {
    return shown(await this.client.session(this.session.sessionId), SESSION);
  }

  async do_sessions(query) {
    return { rows: (await this.client.sessions(query)).map((row) => shown(row, SESSION)) };
  }

  async do_execute({ commandType, args, ...options }) {
    const result = await this.session.execute(commandType, args, options);
    this.resultId = result.resultId;
    return shown(result, RESULT);
  }

  async do_start({ commandType, args, ...options }) {
    const result = await this.session.start(commandType, args, options);
    this.resultId = result.resultId;
    return { is_open: result.isOpen };
  }

  async do_stream({ commandType, args, ...options }) {
    const stream = this.session.stream(commandType, args, options);
    const line = await whole(stream);
    this.resultId = stream.resultId;
    this.stdout = line.stdout;
    return line;
  }

  async do_follow({ afterSeq, resultId = this.resultId }) {
    const line = await whole(this.client.follow(resultId, { afterSeq }));
    const { length } = line.stdout;
    if (afterSeq) line.stdout = length > 0 && length < this.stdout.length && this.stdout.endsWith(line.stdout);
    return line;
  }

  async do_leave({ afterPieces, commandType, args, ...options }) {
    const stream = this.session.stream(commandType, args, options);
    let left = afterPieces;
    for await (const _ of stream) {
      left -= 1;
      if (left === 0) break;
    }
    const { status, reason } = await this.client.result(stream.resultId, { wait: 10 });
    return { status, reason };
  }

  async do_abort({ commandType, args, ...options }) {
    try {
      await this.session.execute(commandType, args, { ...options, signal: AbortSignal.timeout(500) });
    } catch (error) {
      if (error.name !== "TimeoutError") throw error;
    }
    await this.client.close();
    const [row] = await this.client.audit({ kind: "ended", limit: 1 });
    return { status: row.status };
  }

  async do_result({ resultId = this.resultId, ...part }) {
    return shown(await this.client.result(resultId, part), RESULT);
  }

  async do_cancel({ resultId = this.resultId }) {
    return shown(await this.client.cancel(resultId), ["status", "reason", "exit_code"]);
  }

  async do_fleet({ commandType, args, ...options }) {
    const rows = [];
    for await (const { clusterId, ok, result, error } of this.client.fleet(commandType, args, options)) {
      rows.push({ cluster_id: clusterId, ok, output: result && result.output, error: error && error.name });
    }
    return { rows: rows.sort((one, other) => (one.cluster_id < other.cluster_id ? -1 : 1)) };
  }

  async do_close() {
    await this.session.close();
    return { closed: true };
  }

  async do_close_session({ sessionId }) {
    await this.client.closeSession(sessionId);
    return { closed: true };
  }

  async do_add_cluster({ clusterId, ...fields }) {
    const made = await this.client.admin.addCluster(clusterId, fields);
    const { tokenId, agentToken } = made;
    return { ...shown(made, CLUSTER), token_id: tokenId, has_secret: agentToken.startsWith("kubently_agent_") };
  }

  async do_change_cluster({ clusterId, ...fields }) {
    return shown(await this.client.admin.changeCluster(clusterId, fields), CLUSTER);
  }

  async do_admin_cluster({ clusterId }) {
    const found = await this.client.admin.cluster(clusterId);
    return { ...shown(found, CLUSTER), tokens: found.tokens.map((token) => shown(token, ["token_id"])) };
  }

  async do_add_token({ clusterId, expiresAt }) {
    const made = await this.client.admin.addToken(clusterId, { expiresAt: new Date(expiresAt) });
    this.tokenId = made.tokenId;
    return { cluster_id: made.clusterId, has_secret: made.agentToken.startsWith("kubently_agent_") };
  }

  async do_remove_token({ clusterId, tokenId = this.tokenId }) {
    await this.client.admin.removeToken(clusterId, tokenId);
    return { removed: true };
  }

  async do_remove_cluster({ clusterId }) {
    await this.client.admin.removeCluster(clusterId);
    return { removed: true };
  }

  async do_add_key({ name, standardPerMinute, executePerMinute, sessionPerMinute, ...fields }) {
    const rates = defined({ standardPerMinute, executePerMinute, sessionPerMinute });
    const rateLimits = Object.keys(rates).length > 0 ? rates : undefined;
    this.key = await this.client.admin.addKey(name, { ...fields, rateLimits });
    const made = this.key.rateLimits;
    return { ...shown(this.key, KEY), execute_per_minute: made && made.executePerMinute };
  }

  async do_rotate_key(fields) {
    this.key = await this.client.admin.rotateKey(this.key.keyId, fields);
    return shown(this.key, KEY);
  }

  async do_keys() {
    return { rows: (await this.client.admin.keys()).map((row) => shown(row, KEY)) };
  }

  async do_remove_key() {
    await this.client.admin.removeKey(this.key.keyId);
    return { removed: true };
  }

  async do_with_key({ then }) {
    const other = new Scenario();
    other.client = new kubently.Client({ apiKey: this.key.apiKey });
    return { then: await other.run(then) };
  }

  async do_audit(query) {
    return { rows: (await this.client.audit(query)).map((row) => shown(row, AUDIT)) };
  }
}

/** The fields of a value that every run has alike. */
function shown(value, names) {
  return Object.fromEntries(names.map((name) => [name, value[camel(name)] ?? null]));
}

function camel(name) {
  return name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
}

function defined(fields) {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** A stream, read to its end. */
async function whole(stream) {
  const texts = { stdout: "", stderr: "" };
  let seqs = "growing";
  let last = 0;
  for await (const piece of stream) {
    texts[piece.stream] += piece.data;
    if (piece.seq <= last) seqs = "odd";
    last = piece.seq;
  }
  return { ...texts, status: stream.result.status, exit_code: stream.result.exitCode, seqs };
}

/** Long texts as their size and hash. */
function short(value) {
  if (typeof value !== "string" || [...value].length <= 1000) return value;
  const content = Buffer.from(value);
  return { bytes: content.length, sha256: createHash("sha256").update(content).digest("hex") };
}

/** With sorted keys, whatever is in it. */
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])]));
}

const scenario = new Scenario();
for (const step of JSON.parse(readFileSync(argv[2], "utf8"))) {
  const line = await scenario.run(step);
  const printed = sorted(Object.fromEntries(Object.entries(line).map(([name, value]) => [name, short(value)])));
  stdout.write(`${JSON.stringify(printed).replace(/\b(sess|res|key|tok)_[0-9a-f]{20,}/g, "<$1>")}\n`);
}
