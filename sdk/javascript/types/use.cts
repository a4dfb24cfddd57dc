// Compiled, never run: the same types for `require`.

import kubently = require("kubently-js");

async function main(): Promise<string> {
  const client = new kubently.Client({ endpoint: "http://127.0.0.1:8080", apiKey: "key" });
  const session = await client.createDebugSession("production-cluster");
  try {
    const result: kubently.Result = await client.execute(session.sessionId, "get", ["pods", "-A"]);
    return result.output;
  } catch (error) {
    return error instanceof kubently.NotFound ? error.message : "";
  } finally {
    await client.closeSession(session.sessionId);
  }
}

// @ts-expect-error no such class
new kubently.Clients();

export = main;
