/** Where the hub is and how to ask it: what a client is made with, checked; the environment says what is left out. */

import { ConfigurationError } from "./errors.js";
import { known } from "./options.js";
import { VERSION } from "./version.js";

export const ENDPOINT_VARIABLE = "KUBENTLY_ENDPOINT";
export const API_KEY_VARIABLE = "KUBENTLY_API_KEY";

const DEFAULTS = Object.freeze({
  // So long a call may take beside what the command itself may, tries and waits between them included.
  timeoutSeconds: 30,
  retries: 3,
  // The hub says something on a stream every 15 s: three times that of silence, and the connection is dead.
  stallSeconds: 45,
  // A hub that is away may come back for so long; then a stream gives up, and says where to go on.
  awaySeconds: 120,
});

const NAMES = [
  ...["endpoint", "apiKey", "serviceIdentity", "correlationId", "fetch", "onWarning"],
  ...Object.keys(DEFAULTS),
];

/**
 * Check everything. Throws ConfigurationError.
 *
 * @param {object} options as the client was given them
 */
export function settingsOf(options) {
  try {
    known(options, NAMES, "new Client");
  } catch (error) {
    throw new ConfigurationError(error.message);
  }
  const environment = globalThis.process?.env ?? {};
  const key = line("apiKey", options.apiKey ?? environment[API_KEY_VARIABLE], `pass one, or set ${API_KEY_VARIABLE}`);
  const headers = { Authorization: `Bearer ${key}` };
  // A browser has a name of its own, and another one would have to be allowed by the hub.
  if (globalThis.process?.versions?.node) headers["User-Agent"] = `kubently-js/${VERSION}`;
  if (options.serviceIdentity != null) headers["X-Service-Identity"] = line("serviceIdentity", options.serviceIdentity);
  if (options.correlationId != null) headers["X-Correlation-ID"] = line("correlationId", options.correlationId);
  const numbers = {};
  for (const [name, usual] of Object.entries(DEFAULTS)) {
    const value = options[name] ?? usual;
    const isRight = name === "retries" ? Number.isInteger(value) && value >= 0 : Number.isFinite(value) && value > 0;
    if (!isRight) {
      const wanted = name === "retries" ? "a whole number, 0 or more" : "seconds, above 0";
      throw new ConfigurationError(`${name}: ${String(value)} is none; it is ${wanted}`);
    }
    numbers[name] = value;
  }
  const send = options.fetch ?? globalThis.fetch;
  if (typeof send !== "function") throw new ConfigurationError("fetch: there is none here; pass one");
  return Object.freeze({
    endpoint: endpointOf(options.endpoint ?? environment[ENDPOINT_VARIABLE]),
    key,
    headers: Object.freeze(headers),
    fetch: options.fetch ?? ((...request) => globalThis.fetch(...request)),
    onWarning: options.onWarning ?? (() => {}),
    ...numbers,
  });
}

function endpointOf(endpoint) {
  if (!endpoint) {
    throw new ConfigurationError(
      `endpoint: where the hub is was not said; pass http://host:8080, or set ${ENDPOINT_VARIABLE}`,
    );
  }
  let url = null;
  try {
    url = new URL(endpoint);
  } catch {
    // said below
  }
  const isUrl = url !== null && ["http:", "https:"].includes(url.protocol) && /^https?:\/\/[^/]/i.test(endpoint);
  // A user in the URL would be a second credential, and fetch takes none there.
  if (!isUrl || url.port === "0" || /[?#@\s]/.test(endpoint)) {
    const shown = url?.username || url?.password ? "what was given" : JSON.stringify(String(endpoint));
    const wanted = "it looks like https://hub.example.com:8080";
    throw new ConfigurationError(`endpoint: ${shown} is no address of a hub; ${wanted}`);
  }
  return endpoint.replace(/\/+$/, "");
}

/** A header's value. The text itself is never quoted: it may be a secret. */
export function line(name, text, remedy) {
  if (typeof text !== "string" || text === "") {
    throw new ConfigurationError(`${name}: there is none${remedy === undefined ? "" : `; ${remedy}`}`);
  }
  if (!/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(text)) {
    throw new ConfigurationError(`${name}: has characters that none has, such as a line end or a blank at its end`);
  }
  return text;
}
