/** One command on many clusters: each one's answer as it comes. */

import { Result } from "./answers.js";
import { CONTRACT } from "./command.js";
import { now, sleep } from "./deadline.js";
import { ConnectionFailed, KubentlyError, hubError } from "./errors.js";
import { given, known, words } from "./options.js";
import { waitBefore } from "./retries.js";

const CHOICE = ["clusters", "selector", "concurrency", "metadata"];
const OF_EACH = Object.keys(CONTRACT).filter((name) => name !== "keepFullOutput");

/** What became of one cluster; see `FleetAnswer` in index.d.ts. */
export class FleetAnswer {
  constructor(clusterId, result, error) {
    this.clusterId = clusterId;
    this.result = result;
    this.error = error;
  }

  /** Whether the command ended with exit code 0. */
  get ok() {
    return this.result !== null && this.result.ok;
  }
}

/** See `Fleet` in index.d.ts. */
export class Fleet {
  #transport;
  #body;
  #call;
  #isRead = false;

  constructor(transport, type, args = [], options = undefined) {
    const asked = known(options, [...CHOICE, ...OF_EACH, "signal", "correlationId"], "fleet");
    const { clusters, selector, concurrency, metadata, signal, correlationId, ...contract } = asked;
    this.#transport = transport;
    this.#body = { command_type: type, args: words(args), ...given({ clusters, selector, concurrency, metadata }) };
    for (const [name, value] of Object.entries(given(contract))) this.#body[CONTRACT[name]] = value;
    this.#call = { signal, correlationId };
    this.clusters = null;
  }

  [Symbol.asyncIterator]() {
    if (this.#isRead) throw new TypeError("A fleet is asked once; call client.fleet again");
    this.#isRead = true;
    return this.#read();
  }

  async *#read() {
    const { retries, timeoutSeconds } = this.#transport.settings;
    const giveUpAt = now() + timeoutSeconds;
    this.#call.signal?.throwIfAborted();
    for (let attempt = 1; ; attempt += 1) {
      let wait = null;
      try {
        yield* this.#ask();
        return;
      } catch (error) {
        const isBegun = this.clusters !== null;
        if (isBegun || !(error instanceof KubentlyError) || attempt > retries) throw error;
        wait = waitBefore(attempt, error, false);
        if (wait === null || now() + wait >= giveUpAt) throw error;
      }
      await sleep(wait, this.#call.signal);
    }
  }

  async *#ask() {
    const asked = { ...this.#call, body: this.#body };
    for await (const line of this.#transport.lines("POST", "/debug/fleet/execute", asked)) {
      const { type, cluster_id: clusterId } = line;
      if (type === "started") this.clusters = line.clusters;
      else if (type === "result") yield new FleetAnswer(clusterId, new Result(line.result), null);
      else if (type === "error" && clusterId !== undefined) yield new FleetAnswer(clusterId, null, hubError(line));
      else if (type === "error") throw hubError(line);
      else if (type === "completed") return;
    }
    throw new ConnectionFailed("The hub broke off before every cluster had answered");
  }
}
