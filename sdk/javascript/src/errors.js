/**
 * What can go wrong, one class for each code of the hub's error catalogue (docs/errors.md).
 *
 *     KubentlyError                   .code .status .message .details .correlationId .retryable .retryAfter
 *     ├── ConfigurationError          what the client was made with cannot work; nothing was sent
 *     ├── ConnectionFailed            the hub gave no answer, or broke off in the middle of one
 *     │   ├── TimedOut                it did not give it in time
 *     │   └── NotTrusted              its certificate is not one that is trusted
 *     └── HubError                    the hub said no, or something on the way did in its place
 *         ├── InvalidRequest, Unauthorized, Forbidden, CommandRefused, NotFound, ...
 *         └── ServiceUnavailable
 *             └── ClusterOffline, QueueFull, StoreFull, Draining
 *
 * The outcome of a command is no error: a non-zero exit, a timeout, a refusal by the cluster are results.
 */

/** Everything this library throws of its own accord, but for wrong arguments (TypeError) and a signal's own reason. */
export class KubentlyError extends Error {
  /**
   * @param {string} message one sentence for people
   * @param {object} [fields]
   */
  constructor(message, { code, status, details, correlationId, retryable, retryAfter, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    /** What a program should look at: a code of the catalogue; "" where something other than a hub answered. */
    this.code = code ?? new.target.code;
    /** The HTTP status; null where there was no answer, and for what came in the middle of a stream. */
    this.status = status ?? null;
    /** What the code has for programs; empty when nothing. The names are the hub's, in snake_case. */
    this.details = details ?? {};
    /** Finds the request in the hub's log; null where no hub answered. */
    this.correlationId = correlationId ?? null;
    /** Whether the same call may succeed later without being changed. */
    this.retryable = retryable ?? new.target.retryable;
    /** So many seconds are a fair time to wait; null where the hub did not say. */
    this.retryAfter = retryAfter ?? null;
  }

  static code = "";
  static retryable = false;
}

/** The client was made with something that cannot work; the message names it and the remedy. */
export class ConfigurationError extends KubentlyError {
  static code = "configuration_error";
}

/** The hub gave no answer, or broke off in the middle of one, as often as was tried. */
export class ConnectionFailed extends KubentlyError {
  constructor(message, { isSent = true, resultId = null, lastSeq = 0, ...fields } = {}) {
    super(message, fields);
    /** False where the request surely never reached the hub. */
    this.isSent = isSent;
    /** Of a stream that broke: its result, null elsewhere; `follow(resultId, { afterSeq: lastSeq })` goes on. */
    this.resultId = resultId;
    /** The number of the last piece that a stream handed out; 0 elsewhere. */
    this.lastSeq = lastSeq;
  }

  static code = "connection_failed";
  static retryable = true;
}

/** The hub took longer than the client waits. */
export class TimedOut extends ConnectionFailed {
  static code = "timed_out";
}

/** The hub's certificate is not trusted. Is not tried again. */
export class NotTrusted extends ConnectionFailed {
  static code = "not_trusted";
  static retryable = false;
}

/** The hub said no, with a code that this library does not know, or something on the way said it in its place. */
export class HubError extends KubentlyError {}

/** The request is malformed. */
export class InvalidRequest extends HubError {
  static code = "invalid_request";

  /** The place that is wrong: "args.0", the name of a header or a query parameter; null where the hub did not say. */
  get field() {
    return this.details.field ?? null;
  }
}

/** No API key, or one that is unknown, removed or expired. */
export class Unauthorized extends HubError {
  static code = "unauthorized";
}

/** The key is valid and its role does not allow this. */
export class Forbidden extends HubError {
  static code = "forbidden";
}

/** The command may not run; it was not stored and never reached the cluster. */
export class CommandRefused extends HubError {
  static code = "command_refused";

  /** What gave offence; null where the hub did not say. */
  get argument() {
    return this.details.argument ?? null;
  }

  /** The rule, such as "denied_verb"; null where the hub did not say. */
  get rule() {
    return this.details.rule ?? null;
  }

  /** Whose rule it is: "grammar", "hub" or "key"; null where the hub did not say. */
  get by() {
    return this.details.by ?? null;
  }

  /** What may stand in its place; empty where the hub did not say. */
  get allowed() {
    return this.details.allowed ?? [];
  }
}

/** There is no such thing, or this key may not see it. */
export class NotFound extends HubError {
  static code = "not_found";
}

/** The request did not come to its end in time. */
export class RequestTimeout extends HubError {
  static code = "request_timeout";
  static retryable = true;
}

/** The hub has that path and not that method on it: it is older or newer than this library. */
export class MethodNotAllowed extends HubError {
  static code = "method_not_allowed";
}

/** The session was closed or has expired; `details.status` says which. */
export class SessionNotActive extends HubError {
  static code = "session_not_active";
}

/** The idempotency key was used for another request. */
export class IdempotencyConflict extends HubError {
  static code = "idempotency_conflict";
}

/** A thing of that name exists. */
export class AlreadyExists extends HubError {
  static code = "already_exists";
}

/** The request's body is over 1 MiB. */
export class PayloadTooLarge extends HubError {
  static code = "payload_too_large";
}

/** The request's body is not JSON. */
export class UnsupportedMediaType extends HubError {
  static code = "unsupported_media_type";
}

/** That path wants a WebSocket. */
export class UpgradeRequired extends HubError {
  static code = "upgrade_required";
}

/** The key has used up its requests of this minute; in `retryAfter` seconds there are more. */
export class RateLimited extends HubError {
  static code = "rate_limited";
  static retryable = true;
}

/** A fault of the hub; `details.request_id` finds it in the hub's log. */
export class InternalError extends HubError {
  static code = "internal_error";
  static retryable = true;
}

/** Not now; the same request may succeed later. */
export class ServiceUnavailable extends HubError {
  static code = "service_unavailable";
  static retryable = true;
}

/** The cluster is registered and its agent is not connected. Is not tried again: see `wait`. */
export class ClusterOffline extends ServiceUnavailable {
  /** Which cluster. */
  get clusterId() {
    return this.details.cluster_id ?? null;
  }

  /** When its agent was last there, RFC 3339; null: never. */
  get lastSeen() {
    return this.details.last_seen ?? null;
  }
}

/** Too many commands wait for this cluster. */
export class QueueFull extends ServiceUnavailable {
  static code = "queue_full";
}

/** The hub cannot write to its store. */
export class StoreFull extends ServiceUnavailable {
  static code = "store_full";
}

/** The hub is stopping; another or a restarted one will answer. */
export class Draining extends ServiceUnavailable {
  static code = "draining";
}

/** The hub has let go of output so old; `details` says where what it still has begins. */
export class OutputExpired extends HubError {
  static code = "output_expired";
}

/** This reader fell too far behind the others of a command's output. */
export class SubscriberLagging extends HubError {
  static code = "subscriber_lagging";
  static retryable = true;
}

/** The key has as many streams open as it may. */
export class TooManyStreams extends HubError {
  static code = "too_many_streams";
  static retryable = true;
}

const OF_CODES = {
  InvalidRequest,
  Unauthorized,
  Forbidden,
  CommandRefused,
  NotFound,
  RequestTimeout,
  MethodNotAllowed,
  SessionNotActive,
  IdempotencyConflict,
  AlreadyExists,
  PayloadTooLarge,
  UnsupportedMediaType,
  UpgradeRequired,
  RateLimited,
  InternalError,
  ServiceUnavailable,
  QueueFull,
  StoreFull,
  Draining,
  OutputExpired,
  SubscriberLagging,
  TooManyStreams,
};
const OTHERS = { KubentlyError, ConfigurationError, ConnectionFailed, TimedOut, NotTrusted, HubError, ClusterOffline };

// Not the names of the classes themselves, which bundlers shorten.
for (const [name, kind] of Object.entries({ ...OF_CODES, ...OTHERS })) {
  Object.defineProperty(kind.prototype, "name", { value: name, writable: true, configurable: true });
}

/** The classes by code. ClusterOffline has none of its own: it is `service_unavailable` that names a cluster. */
export const BY_CODE = Object.freeze(Object.fromEntries(Object.values(OF_CODES).map((kind) => [kind.code, kind])));

/**
 * The error that a body of the hub's stands for: `{"error": "not_found", "message": "…", "details": {…}}`.
 *
 * @param {object} body
 * @param {object} [fields] status, correlationId, retryAfter
 */
export function hubError(body, { status, correlationId, retryAfter } = {}) {
  const code = String(body.error);
  const details = isObject(body.details) ? body.details : {};
  let Kind = Object.hasOwn(BY_CODE, code) ? BY_CODE[code] : HubError;
  if (Kind === ServiceUnavailable && "last_seen" in details) Kind = ClusterOffline;
  return new Kind(String(body.message || code), {
    code,
    status,
    details,
    correlationId,
    retryAfter: retryAfter ?? (typeof details.retry_after === "number" ? details.retry_after : null),
  });
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
