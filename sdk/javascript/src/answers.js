/**
 * What the hub answers, as objects: the names of its JSON in camelCase, values as they come, times as RFC 3339 text.
 *
 * A field that a newer hub sends beyond those of index.d.ts is there as well. What is somebody's own (`metadata`,
 * `labels`, `redactions`) stays as it is.
 */

// Fields that are objects of the hub's, or lists of such.
const NESTED = Object.freeze(["policy", "limits", "rate_limits", "tokens"]);

/** @param {object} json */
export function answer(json) {
  return Object.fromEntries(
    Object.entries(json).map(([name, value]) => [camel(name), NESTED.includes(name) ? nested(value) : value]),
  );
}

function nested(value) {
  if (Array.isArray(value)) return value.map(nested);
  return typeof value === "object" && value !== null ? answer(value) : value;
}

/** "output_bytes" as "outputBytes". */
export function camel(name) {
  return name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
}

/** The record of one command; see `Result` in index.d.ts. */
export class Result {
  /** @param {object} json of the hub; the last line of a stream has no `output`, which becomes "" */
  constructor(json) {
    Object.assign(this, answer(json));
    this.output ??= "";
  }

  /** Whether the command ended by itself with exit code 0. */
  get ok() {
    return this.status === "completed";
  }

  /** Whether it waits for its turn, or runs. */
  get isOpen() {
    return this.status === "queued" || this.status === "running";
  }

  toString() {
    return this.output;
  }
}

/** A piece of a command's output; see `Piece` in index.d.ts. */
export class Piece {
  constructor(seq, stream, data) {
    this.seq = seq;
    this.stream = stream;
    this.data = data;
  }

  toString() {
    return this.data;
  }
}
