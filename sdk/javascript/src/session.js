/** A debug session on one cluster: commands run in it, and are cancelled when it closes. */

const asyncDispose = Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose");

/** What `client.createDebugSession` gives: the session as it was when it opened, and what can be done in it. */
export class DebugSession {
  #client;
  #finish;
  #isClosed = false;

  /**
   * @param {object} client
   * @param {object} fields of the session
   * @param {(what: string, work: (signal: AbortSignal) => Promise<void>) => Promise<void>} finish for what nobody
   *   waits for, see `Transport.finish`
   */
  constructor(client, fields, finish) {
    this.#client = client;
    this.#finish = finish;
    Object.assign(this, fields);
  }

  /** See `Client.execute`. */
  execute(type, args, options) {
    return this.#client.execute(this.sessionId, type, args, options);
  }

  /** See `Client.start`. */
  start(type, args, options) {
    return this.#client.start(this.sessionId, type, args, options);
  }

  /** See `Client.stream`. */
  stream(type, args, options) {
    return this.#client.stream(this.sessionId, type, args, options);
  }

  /** See `Client.follow`. */
  follow(resultId, options) {
    return this.#client.follow(resultId, options);
  }

  /** Close it, which cancels what runs in it; once it has happened, again does nothing. See `Client.closeSession`. */
  async close(options) {
    if (this.#isClosed) return;
    await this.#client.closeSession(this.sessionId, options);
    this.#isClosed = true;
  }

  async [asyncDispose]() {
    const what = `${this.sessionId} could not be closed and will expire`;
    await this.#finish(what, (signal) => this.close({ signal }));
  }
}
