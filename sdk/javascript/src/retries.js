/** When a request is sent once more, and after how long. Pure. */

import { ClusterOffline, ConnectionFailed, HubError, NotTrusted, StoreFull } from "./errors.js";

// The waits double from the first to the longest, each shortened by up to half at random so that clients spread.
const FIRST_WAIT_SECONDS = 0.25;
const LONGEST_WAIT_SECONDS = 8;

// What refused the request before anything came of it, and may let it through later.
const LATER = [408, 429, 503];
// What proxies say of a hub that they did not reach, or that broke off: something may have come of the request.
const UNSURE = [502, 504];

/**
 * How many seconds to wait before a request is sent once more; null: not at all.
 *
 * @param {number} attempt counts from 1
 * @param {Error} error why the last one failed
 * @param {boolean} isRepeatable sending it twice does no harm
 */
export function waitBefore(attempt, error, isRepeatable) {
  if (error instanceof NotTrusted) return null;
  if (error instanceof ConnectionFailed) return error.isSent && !isRepeatable ? null : backoff(attempt);
  // An agent that is away or a full disk is news, and takes longer than anybody waits.
  if (!(error instanceof HubError) || error instanceof ClusterOffline || error instanceof StoreFull) return null;
  if (UNSURE.includes(error.status)) return isRepeatable ? backoff(attempt) : null;
  // Without a code it was something on the way that said no, and who knows what that did.
  if (!LATER.includes(error.status) || (error.code === "" && !isRepeatable)) return null;
  return error.retryAfter === null ? backoff(attempt) : error.retryAfter + Math.random() * FIRST_WAIT_SECONDS;
}

function backoff(attempt) {
  const longest = Math.min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** Math.min(attempt - 1, 16));
  return longest * (0.5 + Math.random() / 2);
}
