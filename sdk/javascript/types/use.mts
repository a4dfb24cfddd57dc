// Compiled, never run: what programs write must fit the types of index.d.ts, and what is wrong must not.

import { BY_CODE, Client, ClusterOffline, ConnectionFailed, HubError, KubentlyError, VERSION } from "kubently-js";
import type { AuditRow, Cluster, CreatedKey, DebugSession, Piece, Result, Session, Stream, Verdict } from "kubently-js";

const client = new Client({ endpoint: "http://127.0.0.1:8080", apiKey: "key", retries: 2, fetch: globalThis.fetch });
const lasting = { ttlSeconds: 60, metadata: { user: "me" }, wait: 5 };
const session: DebugSession = await client.createDebugSession("a", lasting);
const options = { timeout: 5, grep: "x", tailLines: 1, maxLines: 2, maxOutputBytes: 3, keepFullOutput: true };
const result: Result = await session.execute("get", ["pods"], { ...options, signal: AbortSignal.timeout(10) });
const code: number | null = result.exitCode;
const words: readonly string[] = ["pods"] as const;
const text: string = `${result}${result.output}${String(result.ok)}${String(code)}`;
await client.execute(session.sessionId, "get", words);

const stream: Stream = session.stream("logs", ["-f", "deploy/web"], { timeout: 600 });
for await (const piece of stream) {
  const one: Piece = piece;
  const where: "stdout" | "stderr" = one.stream;
  if (where === "stderr") break;
}
const last: Result | null = stream.result;
await stream.close();
for await (const { data } of client.follow(result.resultId, { afterSeq: stream.lastSeq })) data.trim();

for await (const { clusterId, result: ran, error } of client.fleet("get", ["pods"], { clusters: ["prod-*"] })) {
  String(ran?.ok ?? error?.code).concat(clusterId);
}

const counted: number = await client.debugSession("a", async (opened) => (await opened.execute("get")).outputBytes);
const named: string = await client.debugSession("a", { wait: 1 }, (opened) => opened.sessionId);
const sessions: Session[] = await client.sessions({ status: "active", limit: 3 });
const clusters: Cluster[] = await client.clusters({ selector: "env=prod" });
const verdict: Verdict = await client.validate("a", "get", ["pods"]);
const rows: AuditRow[] = await client.audit({ since: new Date(), until: "2099-01-01T00:00:00Z", limit: null });
const policy: number | null | undefined = (await client.policy("a")).policy?.limits.maxSeconds;
const key: CreatedKey = await client.admin.addKey("x", { rateLimits: { executePerMinute: 5 }, expiresAt: new Date() });
const until: string = (await client.admin.rotateKey(key.keyId, { overlapSeconds: 0 })).retiredUntil;
const labels: Record<string, string> = (await client.admin.changeCluster("a", { labels: { env: "prod" } })).labels;
const { url, protocols } = client.streamSocket(session.sessionId, { events: true });
const dispose: Promise<void> = session[Symbol.asyncDispose]();

try {
  await session.close();
} catch (error) {
  if (error instanceof ClusterOffline) error.lastSeen?.trim();
  else if (error instanceof ConnectionFailed) client.follow(error.resultId ?? "", { afterSeq: error.lastSeq });
  else if (error instanceof HubError && error.code === "not_found") error.details["field"];
  else if (error instanceof KubentlyError) Number(error.retryAfter);
}

// @ts-expect-error a misspelt option
new Client({ apikey: "key" });
// @ts-expect-error words in one string
await session.execute("get", "pods -A");
// @ts-expect-error a stream keeps nothing more than it hands out
session.stream("get", [], { keepFullOutput: true });
// @ts-expect-error results are the hub's
new (await import("kubently-js")).Result();
// @ts-expect-error no such status
await client.sessions({ status: "open" });

export { text, last, counted, named, sessions, clusters, verdict, rows, policy, until, labels };
export { url, protocols, dispose };
export const all: string[] = [VERSION, ...Object.keys(BY_CODE)];
