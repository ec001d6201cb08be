/** Shortest and longest step of the back-off, in milliseconds. */
export const BACKOFF = { first: 1000, longest: 30_000 };

/**
 * How long to wait before the next try. Half of it is random: a server that comes back must not
 * meet all of its clients in the same second.
 *
 * @param {number} attempt Tries that have failed so far, from 1.
 * @param {() => number} [random] From 0 up to 1.
 * @returns {number} Milliseconds.
 */
export function backoffMs(attempt, random = Math.random) {
  const step = Math.min(BACKOFF.longest, BACKOFF.first * 2 ** Math.max(0, attempt - 1));
  return Math.round(step / 2 + (step / 2) * random());
}
