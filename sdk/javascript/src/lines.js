/** Bytes that come in pieces, as JSON objects, one to a line. Pure. */

import { ConnectionFailed } from "./errors.js";

// More than any line of the hub's: a piece of output is at most 64 KiB, six times that when all of it is escaped.
const MAX_LINE_CHARACTERS = 8 * 1024 * 1024;

/** Give `take` the bytes as they come; it gives the objects that are whole by then. */
export class LineReader {
  #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #parts = [];
  #length = 0;

  /**
   * Throws ConnectionFailed for what is no line of a hub's.
   *
   * @param {Uint8Array} bytes
   * @returns {object[]}
   */
  take(bytes) {
    const pieces = this.#decoder.decode(bytes, { stream: true }).split("\n");
    const found = [];
    const rest = pieces.pop();
    for (const piece of pieces) {
      const text = [...this.#parts, piece].join("");
      this.#parts = [];
      this.#length = 0;
      if (text.trim() !== "") found.push(objectOf(text));
    }
    this.#parts.push(rest);
    this.#length += rest.length;
    if (this.#length > MAX_LINE_CHARACTERS) throw new ConnectionFailed("The hub sent a line without an end");
    return found;
  }
}

function objectOf(text) {
  let found = null;
  try {
    found = JSON.parse(text);
  } catch {
    // said below
  }
  if (typeof found !== "object" || found === null || Array.isArray(found)) {
    throw new ConnectionFailed("The hub sent a line that is no JSON object; is something on the way changing it?");
  }
  return found;
}
