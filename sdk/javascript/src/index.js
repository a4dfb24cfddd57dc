/** The client of Kubently hub: debug Kubernetes clusters you cannot reach. The types are in index.d.ts. */

export { Client } from "./client.js";
export { Admin } from "./admin.js";
export { DebugSession } from "./session.js";
export { Stream } from "./stream.js";
export { Fleet, FleetAnswer } from "./fleet.js";
export { Piece, Result } from "./answers.js";
export {
  BY_CODE,
  KubentlyError,
  ConfigurationError,
  ConnectionFailed,
  TimedOut,
  NotTrusted,
  HubError,
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
  ClusterOffline,
  QueueFull,
  StoreFull,
  Draining,
  OutputExpired,
  SubscriberLagging,
  TooManyStreams,
} from "./errors.js";
export { VERSION } from "./version.js";
