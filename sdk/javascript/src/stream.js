/** One command's output as it comes, over connections that may break: it goes on behind the last piece it has. */

import { Piece, Result } from "./answers.js";
import { cancel } from "./command.js";
import { now, sleep } from "./deadline.js";
import { ConnectionFailed, Draining, HubError, NotTrusted, SubscriberLagging, hubError } from "./errors.js";
import { waitBefore } from "./retries.js";

// What `close` aborts with: no error, the loop just ends.
const CLOSED = new Error("closed");

const asyncDispose = Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose");

/** See `Stream` in index.d.ts. */
export class Stream {
  #transport;
  #start;
  #isOwner;
  #signal;
  #isRead = false;
  #isClosed = false;
  #stop = null; // ends the reading that is under way
  #heardAt = 0; // when the last line came, a heartbeat too
  #leaving = null;

  /**
   * @param {object} transport
   * @param {(signal: AbortSignal) => Promise<string>} start gives the result's id
   * @param {object} how afterSeq, isOwner: leaving cancels the command; signal of the caller
   */
  constructor(transport, start, { afterSeq = 0, isOwner, signal }) {
    this.#transport = transport;
    this.#start = start;
    this.#isOwner = isOwner;
    this.#signal = signal;
    this.resultId = null;
    this.lastSeq = afterSeq;
    this.result = null;
  }

  [Symbol.asyncIterator]() {
    if (this.#isRead) throw new TypeError("A stream is read once; follow(resultId) reads it again");
    this.#isRead = true;
    return this.#read();
  }

  /** Stop reading, and cancel the command if it is the stream's own and has not ended. May be called again. */
  async close() {
    this.#isRead = true;
    this.#isClosed = true;
    this.#stop?.();
    await this.#leave();
  }

  async [asyncDispose]() {
    await this.close();
  }

  async *#read() {
    const stopping = new AbortController();
    const aborted = () => {
      stopping.abort(this.#signal.reason);
      // At once, though the caller is busy with a piece and asks for no more.
      this.#leave();
    };
    this.#signal?.throwIfAborted();
    if (this.#isClosed) return;
    this.#stop = () => stopping.abort(CLOSED);
    this.#signal?.addEventListener("abort", aborted, { once: true });
    try {
      if (this.resultId === null) this.resultId = await this.#start(stopping.signal);
      yield* this.#throughBreaks(stopping.signal);
    } catch (error) {
      if (error !== CLOSED) throw error;
    } finally {
      this.#signal?.removeEventListener("abort", aborted);
      const left = this.#leave();
      // Whoever breaks off the loop goes on when the command has ended; whoever aborts does not wait.
      if (!stopping.signal.aborted) await left;
    }
  }

  async *#throughBreaks(signal) {
    this.#heardAt = now();
    for (let attempt = 1; ; attempt += 1) {
      const heardAt = this.#heardAt;
      let why = new ConnectionFailed("the connection broke off");
      try {
        yield* this.#oneConnection(signal);
        if (this.result !== null) return;
      } catch (error) {
        signal.throwIfAborted();
        why = error;
      }
      if (this.#heardAt !== heardAt) attempt = 1;
      const wait = waitAfter(attempt, why);
      if (wait === null) throw why;
      if (now() + wait > this.#heardAt + this.#transport.settings.awaySeconds) {
        const message = `The hub stayed away: ${why.message}; follow ${this.resultId} from piece ${this.lastSeq}`;
        throw new ConnectionFailed(message, { resultId: this.resultId, lastSeq: this.lastSeq, cause: why });
      }
      await sleep(wait, signal);
    }
  }

  async *#oneConnection(signal) {
    const path = `/debug/result/${encodeURIComponent(this.resultId)}/stream`;
    for await (const message of this.#transport.lines("GET", path, { query: { after_seq: this.lastSeq }, signal })) {
      this.#heardAt = now();
      if (message.type === "output") {
        const piece = pieceOf(message);
        if (piece.seq <= this.lastSeq) continue;
        this.lastSeq = piece.seq;
        yield piece;
        signal.throwIfAborted();
        this.#heardAt = now(); // the time the caller took is not the hub's
      } else if (message.type === "completed") {
        this.result = endingOf(message);
        return;
      } else if (message.type === "error") {
        throw hubError(message);
      }
    }
  }

  /** Cancel the command, once, if it is ours and has not ended. Rejects never: it cannot be mended here. */
  #leave() {
    if (!this.#isOwner || this.result !== null || this.resultId === null) return this.#leaving;
    this.#leaving ??= this.#transport.finish(`${this.resultId} could not be cancelled`, (signal) =>
      cancel(this.#transport, this.resultId, { signal, tries: 2 }),
    );
    return this.#leaving;
  }
}

/** How long to wait before the next connection; null: there is none. */
function waitAfter(attempt, why) {
  if (why instanceof NotTrusted) return null;
  if (why instanceof ConnectionFailed) return waitBefore(attempt, why, true);
  if (why instanceof Draining || why instanceof SubscriberLagging) {
    return waitBefore(attempt, new ConnectionFailed(why.message), true);
  }
  // In the answer's place, not in the middle of it.
  return why instanceof HubError && why.status !== null ? waitBefore(attempt, why, true) : null;
}

function pieceOf(message) {
  const { seq, stream, data } = message;
  if (!Number.isInteger(seq) || typeof stream !== "string" || typeof data !== "string") {
    throw new ConnectionFailed("The hub sent output that is none; is something on the way changing it?");
  }
  return new Piece(seq, stream, data);
}

function endingOf(message) {
  if (typeof message.result?.status !== "string") {
    throw new ConnectionFailed("The hub sent an end that is none; is something on the way changing it?");
  }
  return new Result(message.result);
}
