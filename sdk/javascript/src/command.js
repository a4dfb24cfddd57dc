/** One command on its way to the hub: what is sent, under a key that lets it be sent again and run once. */

import { CALL, given, known, words } from "./options.js";
import { Progress } from "./transport.js";

// A command that nobody said a time for gets this from the hub.
const DEFAULT_TIMEOUT_SECONDS = 30;

/** What of a command is named otherwise in JSON. */
export const CONTRACT = Object.freeze({
  timeout: "timeout",
  grep: "grep",
  tailLines: "tail_lines",
  maxLines: "max_lines",
  maxOutputBytes: "max_output_bytes",
  keepFullOutput: "keep_full_output",
});

export const COMMAND_OPTIONS = Object.freeze([...CALL, ...Object.keys(CONTRACT), "idempotencyKey", "wait"]);

/** What an execute is. Throws TypeError for what can be none. */
export class Command {
  /**
   * @param {string} type the kubectl verb
   * @param {string[]} args what stands behind it
   * @param {object} [options]
   */
  constructor(type, args = [], options = undefined) {
    known(options, COMMAND_OPTIONS, `the command ${type}`);
    const { signal, timeoutSeconds, correlationId, idempotencyKey, wait, ...contract } = options ?? {};
    this.fields = { command_type: type, args: words(args) };
    for (const [name, value] of Object.entries(given(contract))) this.fields[CONTRACT[name]] = value;
    this.call = { signal, timeoutSeconds, correlationId };
    this.key = idempotencyKey ?? newKey();
    this.wait = wait ?? 0;
    this.seconds = (this.fields.timeout ?? DEFAULT_TIMEOUT_SECONDS) + this.wait;
  }

  /**
   * Send it, until it is answered: its result as JSON. When the signal is aborted meanwhile, the command is cancelled
   * in the background.
   *
   * @param {object} ids cluster_id and session_id
   * @param {object} how isAsync: not to wait for the command's end
   */
  async send(transport, ids, { isAsync, signal = this.call.signal }) {
    const body = { ...ids, ...this.fields };
    const progress = new Progress();
    try {
      return await this.#post(transport, body, isAsync, { ...this.call, signal, progress });
    } catch (error) {
      if (signal?.aborted && progress.maySent) {
        transport.finish("a command could not be cancelled", (until) => this.#abandon(transport, body, until));
      }
      throw error;
    }
  }

  async #post(transport, body, isAsync, call) {
    const headers = { "Idempotency-Key": this.key };
    if (isAsync) headers.Prefer = "respond-async"; // with a `wait` the hub would also wait for the command's end
    else if (this.wait) headers.Prefer = `wait=${this.wait}`;
    const moreSeconds = isAsync ? 0 : this.seconds;
    const asked = { ...call, body, headers, moreSeconds, isRepeatable: true };
    return (await transport.request("POST", "/debug/execute", asked)).json;
  }

  /** Nothing is known of it but its key: with that the hub tells which result it is, or makes one to be ended. */
  async #abandon(transport, body, signal) {
    const result = await this.#post(transport, body, true, { signal });
    await cancel(transport, result.result_id, { signal });
  }
}

/** End a command early: the hub's answer. */
export async function cancel(transport, resultId, call) {
  const path = `/debug/result/${encodeURIComponent(resultId)}`;
  return (await transport.request("DELETE", path, { ...call, isRepeatable: true })).json;
}

/** 128 bits at random. `crypto.randomUUID` would do, but pages that come over plain http have none. */
function newKey() {
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
