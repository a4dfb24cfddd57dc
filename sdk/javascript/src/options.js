/** What callers hand over, looked at: a misspelt option is told of, not without effect. Pure. */

/** Options that every call takes. */
export const CALL = Object.freeze(["signal", "timeoutSeconds", "correlationId"]);

/**
 * The options themselves. Throws TypeError for one that is not among `names`.
 *
 * @param {object | undefined} options
 * @param {readonly string[]} names
 * @param {string} where for the message
 */
export function known(options, names, where) {
  if (options === undefined) return {};
  if (typeof options !== "object" || options === null) throw new TypeError(`${where}: its options are an object`);
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) {
      throw new TypeError(`${where} has no option ${JSON.stringify(name)}; it has ${names.join(", ")}`);
    }
  }
  return options;
}

/** An id as a part of a path; whatever is in it, it stays one part. Throws TypeError where it cannot be one. */
export function pathPart(id) {
  if (typeof id !== "string" || id === "" || id === "." || id === "..") {
    throw new TypeError(`${JSON.stringify(id) ?? String(id)} is no id`);
  }
  return encodeURIComponent(id);
}

/** The words of a command, as a list of their own. Throws TypeError for words in one string. */
export function words(args) {
  if (!Array.isArray(args)) throw new TypeError('args is a list of words: ["pods", "-A"], not "pods -A"');
  return [...args];
}

/** A moment as the hub reads it; null stays null. Throws TypeError, RangeError for a Date that is none. */
export function moment(value, name) {
  if (value === undefined || value === null) return null;
  if (value instanceof Date) return value.toISOString();
  if (typeof value === "string") return value;
  throw new TypeError(`${name} is a Date or RFC 3339 text`);
}

/** An object without what is undefined or null. */
export function given(fields) {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null));
}
