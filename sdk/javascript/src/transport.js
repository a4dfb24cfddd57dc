/** The one place that sends: requests to one hub, again where that is safe, and answers read as lines. */

import { Deadline, now, sleep } from "./deadline.js";
import { ConnectionFailed, HubError, KubentlyError, NotTrusted, TimedOut, hubError } from "./errors.js";
import { LineReader } from "./lines.js";
import { given } from "./options.js";
import { waitBefore } from "./retries.js";
import { line } from "./settings.js";

// What is to be cancelled or closed when its caller leaves gets so long; the hub's own limits end it after that.
export const FINISH_SECONDS = 10;

// What Node calls a request that surely never left, and a certificate it does not trust.
const NOT_SENT = ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "UND_ERR_CONNECT_TIMEOUT"];
const NOT_TRUSTED =
  /^(CERT_|ERR_TLS_CERT|UNABLE_TO_(VERIFY|GET_ISSUER)|(DEPTH_ZERO_)?SELF_SIGNED_CERT|HOSTNAME_MISMATCH)/;
// Node gives up on an answer that has not begun after 300 s, whatever was asked for.
const HEADERS_TIMEOUT = "UND_ERR_HEADERS_TIMEOUT";

/** An answer of the hub's. `body` is its JSON, its text where it is none; null where it has no body. */
class Reply {
  constructor(status, body) {
    this.status = status;
    this.body = body;
  }

  /** The body, which is a JSON object. Throws HubError where it is not: then that was no hub. */
  get json() {
    if (typeof this.body !== "object" || this.body === null || Array.isArray(this.body)) {
      const message = "The answer is no JSON object; is the endpoint that of a Kubently hub?";
      throw new HubError(message, { status: this.status });
    }
    return this.body;
  }
}

/** Whether a request may have reached the hub. */
export class Progress {
  maySent = false;
}

/** Requests to one hub. */
export class Transport {
  #finishing = new Set();

  /** @param {object} settings of `settingsOf` */
  constructor(settings) {
    this.settings = settings;
  }

  /**
   * Send a request, again where that is safe, and read its answer.
   *
   * `isRepeatable`: nothing is done twice if it arrives twice. `moreSeconds`: so long the hub may take beyond
   * `timeoutSeconds`. Rejects with HubError, ConnectionFailed, and with the reason of a signal that is aborted, at
   * once; the hub may or may not carry the request out then, and `progress` says whether it may have got it.
   */
  async request(method, path, asked = {}) {
    const { isRepeatable = false, moreSeconds = 0, progress = new Progress(), signal } = asked;
    const most = (asked.tries ?? this.settings.retries + 1) || 1;
    const giveUpAt = now() + (asked.timeoutSeconds ?? this.settings.timeoutSeconds) + moreSeconds;
    signal?.throwIfAborted();
    for (let attempt = 1; ; attempt += 1) {
      let wait = null;
      const maySent = progress.maySent;
      progress.maySent = true;
      try {
        return await this.#once(method, path, asked, giveUpAt);
      } catch (error) {
        const isRefused = error instanceof HubError && error.code !== "";
        if (isRefused || (error instanceof ConnectionFailed && !error.isSent)) progress.maySent = maySent;
        if (isRepeatable && codeOf(error.cause) === HEADERS_TIMEOUT && now() < giveUpAt) {
          attempt -= 1;
          wait = 0;
        } else {
          if (!(error instanceof KubentlyError) || attempt >= most) throw error;
          wait = waitBefore(attempt, error, isRepeatable);
        }
        if (wait === null || now() + wait >= giveUpAt) throw error;
      }
      await sleep(wait, signal);
    }
  }

  /**
   * Send a request once, and give its answer as JSON objects, one to a line, while they come.
   *
   * An answer that ends without a last line just ends: what the last line is, the caller knows. Throws HubError,
   * ConnectionFailed, TimedOut after `stallSeconds` without a word, and the reason of an aborted signal. The time the
   * caller takes over a line does not count. Leaving it closes the connection.
   */
  async *lines(method, path, asked = {}) {
    const deadline = new Deadline(asked.signal);
    const { endpoint, stallSeconds } = this.settings;
    const silence = () => new TimedOut(`${endpoint} said nothing for ${stallSeconds} s`);
    try {
      deadline.within(stallSeconds, silence);
      const answer = await this.#send(method, path, asked, deadline);
      if (answer.status !== 200 || !isOf(answer, "application/x-ndjson")) {
        throw await this.#refusal(answer, deadline);
      }
      const reader = answer.body.getReader();
      const lines = new LineReader();
      for (;;) {
        deadline.within(stallSeconds, silence);
        const { done, value } = await this.#guarded(() => reader.read(), deadline);
        deadline.pause();
        if (done) return;
        for (const message of lines.take(value)) {
          yield message;
          asked.signal?.throwIfAborted();
        }
      }
    } finally {
      deadline.end();
    }
  }

  /** Do something for a caller who has left, within some seconds; what fails is told to `onWarning`. */
  finish(what, work) {
    const deadline = new Deadline();
    deadline.within(FINISH_SECONDS, () => new TimedOut(`gave up after ${FINISH_SECONDS} s`));
    const task = (async () => {
      try {
        await work(deadline.signal);
      } catch (error) {
        this.warn(`${what}: ${error.message}`, error);
      } finally {
        deadline.release();
      }
    })();
    this.#finishing.add(task);
    const done = () => this.#finishing.delete(task);
    task.then(done, done);
    return task;
  }

  /** Wait for everything that `finish` has under way. */
  async idle() {
    while (this.#finishing.size > 0) await Promise.allSettled(this.#finishing);
  }

  /** Tell of what went wrong where nobody waits for it. */
  warn(message, error) {
    try {
      this.settings.onWarning(message, error);
    } catch {
      // a listener that throws has nobody to throw at
    }
  }

  async #once(method, path, asked, giveUpAt) {
    const deadline = new Deadline(asked.signal);
    const endpoint = this.settings.endpoint;
    deadline.within(giveUpAt - now(), () => new TimedOut(`${endpoint} did not answer in time`));
    try {
      const answer = await this.#send(method, path, asked, deadline);
      if (answer.status < 200 || answer.status >= 300) throw await this.#refusal(answer, deadline);
      return new Reply(answer.status, await this.#content(answer, deadline));
    } finally {
      deadline.release();
    }
  }

  #send(method, path, asked, deadline) {
    const { query, body, correlationId } = asked;
    const url = new URL(this.settings.endpoint + path);
    for (const [name, value] of Object.entries(given(query ?? {}))) url.searchParams.set(name, String(value));
    const headers = { ...this.settings.headers, ...asked.headers };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (correlationId != null) headers["X-Correlation-ID"] = line("correlationId", correlationId);
    const request = {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: deadline.signal,
      redirect: "manual", // a redirected POST becomes a GET, and the key would go to another host
      credentials: "omit",
      referrerPolicy: "no-referrer",
    };
    return this.#guarded(() => this.settings.fetch(url.href, request), deadline);
  }

  /** Errors of fetch become ours, or the reason of the signal. */
  async #guarded(work, deadline) {
    try {
      return await work();
    } catch (error) {
      throw deadline.signal.aborted ? deadline.reason : failure(this.settings.endpoint, error);
    }
  }

  async #content(answer, deadline) {
    const text = await this.#guarded(() => answer.text(), deadline);
    if (text === "") return null;
    if (!isOf(answer, "application/json")) return text;
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  }

  /** The error that an answer stands for; one that is not the hub's has no code. */
  async #refusal(answer, deadline) {
    const endpoint = this.settings.endpoint;
    const status = answer.status || null;
    if (answer.type === "opaqueredirect" || (answer.status >= 300 && answer.status < 400)) {
      const where = answer.headers.get("Location") ?? "elsewhere";
      return new HubError(`${endpoint} sends on to ${where}; make that the endpoint`, { status });
    }
    const body = await this.#content(answer, deadline);
    const seconds = answer.headers.get("Retry-After") ?? "";
    const fields = {
      status,
      correlationId: answer.headers.get("X-Correlation-ID"),
      retryAfter: /^\d+$/.test(seconds) ? Number(seconds) : null,
    };
    if (typeof body?.error === "string") return hubError(body, fields);
    const message =
      answer.status < 300
        ? `${endpoint} answers something else than a Kubently hub would; check the endpoint`
        : `HTTP ${answer.status} ${answer.statusText}, not from a Kubently hub but from something before it`;
    return new HubError(message, { ...fields, retryable: waitBefore(1, new HubError(message, fields), true) !== null });
  }
}

function isOf(answer, type) {
  return (answer.headers.get("Content-Type") ?? "").split(";")[0].trim().toLowerCase() === type;
}

function failure(endpoint, error) {
  const code = codeOf(error);
  // fetch says "fetch failed" and no more; what is beneath it says why.
  const why = error.cause?.message || code || error.message || String(error);
  if (NOT_TRUSTED.test(code)) {
    const message = `${endpoint} shows a certificate that is not trusted: ${why}; see NODE_EXTRA_CA_CERTS`;
    return new NotTrusted(message, { isSent: false, cause: error });
  }
  if (NOT_SENT.includes(code)) {
    return new ConnectionFailed(`${endpoint} cannot be reached: ${why}`, { isSent: false, cause: error });
  }
  return new ConnectionFailed(`${endpoint} broke off: ${why}`, { cause: error });
}

function codeOf(error) {
  return String(error?.cause?.code ?? error?.code ?? "");
}
