/** Time, and those who have had enough of it: one AbortController for a caller's signal and a time limit. */

/**
 * A signal for fetch that follows a caller's, until `release`. Unlike AbortSignal.any it leaves nothing behind on a
 * signal that is used for many calls. Why it was aborted is in `reason`: fetch is told nothing, it copies reasons, and
 * not every one can be copied.
 */
export class Deadline {
  #controller = new AbortController();
  #caller;
  #timer;
  #follow = () => this.#abort(this.#caller.reason);

  /** Why it was aborted; undefined before. */
  reason = undefined;

  /** @param {AbortSignal | undefined} caller */
  constructor(caller) {
    this.#caller = caller;
    if (caller?.aborted) this.#follow();
    else caller?.addEventListener("abort", this.#follow, { once: true });
  }

  /** What to give to fetch. */
  get signal() {
    return this.#controller.signal;
  }

  /** Abort with `reason()` in so many seconds, in place of what was set before. */
  within(seconds, reason) {
    clearTimeout(this.#timer);
    // Longer than that a timer cannot wait: it would go off at once.
    const milliseconds = Math.min(Math.max(seconds, 0) * 1000, 2 ** 31 - 1);
    this.#timer = setTimeout(() => this.#abort(reason()), milliseconds);
  }

  /** Set no time any more. */
  pause() {
    clearTimeout(this.#timer);
  }

  /** Let go of the timer and of the caller's signal. */
  release() {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener("abort", this.#follow);
  }

  /** The same, and whatever still uses the signal ends. */
  end() {
    this.release();
    this.#controller.abort();
  }

  #abort(reason) {
    if (this.signal.aborted) return;
    this.reason = reason;
    this.#controller.abort();
  }
}

/** Wait. Rejects with the signal's reason once it is aborted. */
export function sleep(seconds, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Seconds on a clock that never goes back. */
export function now() {
  return performance.now() / 1000;
}
