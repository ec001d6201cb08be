const DAY_MS = 86_400_000;

/**
 * @param {string} name
 * @returns {string} At most two letters that stand for a name.
 */
export function initials(name) {
  const words = name.replace(/[^\p{L}\p{N}\s]/gu, ' ').trim().split(/\s+/u).filter(Boolean);
  const chosen = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  const letters = chosen.map((word) => [...word][0] ?? '').join('');
  return letters.toLocaleUpperCase() || '?';
}

/**
 * @param {string} id
 * @param {number} count
 * @returns {number} From 0 up to `count`, always the same for the same id.
 */
export function hue(id, count) {
  let hash = 15;
  for (const letter of id) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 33);
  // The low bits alone would give names of one length and ending the same colour.
  return ((hash ^ (hash >>> 15)) >>> 0) % count;
}

/** @param {number} time */
export function clock(time) {
  return new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' }).format(time);
}

/** @param {number} time */
export function fullTime(time) {
  return new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'short' }).format(time);
}

/**
 * @param {number} time
 * @returns {string} The same for two times of the same local day.
 */
export function dayKey(time) {
  const date = new Date(time);
  return `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`;
}

/**
 * @param {number} time
 * @param {number} now
 */
export function dayLabel(time, now) {
  if (dayKey(time) === dayKey(now)) return 'Today';
  if (dayKey(time) === dayKey(now - DAY_MS)) return 'Yesterday';
  const sameYear = new Date(time).getFullYear() === new Date(now).getFullYear();
  /** @type {Intl.DateTimeFormatOptions} */
  const shape = { weekday: 'long', day: 'numeric', month: 'long' };
  if (!sameYear) shape.year = 'numeric';
  return new Intl.DateTimeFormat(undefined, shape).format(time);
}

/**
 * @param {number} time
 * @param {number} now
 * @returns {string} As short as the room list needs it.
 */
export function shortTime(time, now) {
  if (dayKey(time) === dayKey(now)) return clock(time);
  if (dayKey(time) === dayKey(now - DAY_MS)) return 'Yesterday';
  if (now - time < 6 * DAY_MS) {
    return new Intl.DateTimeFormat(undefined, { weekday: 'short' }).format(time);
  }
  return new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' }).format(time);
}

/** What turns the writing direction around, also of the words that follow. */
const TURNS = /[\u202a-\u202e\u2066-\u2069]/gu;

/**
 * @param {string} name
 * @returns {string} A name that leaves the words around it as they are.
 */
export function plainName(name) {
  return name.replace(TURNS, '');
}

/** @param {string[]} names */
export function list(names) {
  return new Intl.ListFormat('en', { type: 'conjunction' }).format(names.map(plainName));
}

/**
 * @param {string[]} names
 * @returns {string} What the line below the timeline says.
 */
export function typingLine(names) {
  if (!names.length) return '';
  if (names.length > 3) return `${names.length} people are typing`;
  return `${list(names)} ${names.length === 1 ? 'is' : 'are'} typing`;
}

/** @param {number} count */
export function badge(count) {
  return count > 99 ? '99+' : String(count);
}

const UNITS = ['B', 'kB', 'MB', 'GB'];

/** @param {number} bytes */
export function fileSize(bytes) {
  const step = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const value = bytes / 1000 ** step;
  return `${value.toLocaleString(undefined, { maximumFractionDigits: value < 10 ? 1 : 0 })} ${UNITS[step]}`;
}

/**
 * @param {number} ms
 * @returns {string} Minutes and seconds.
 */
export function duration(ms) {
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

/**
 * @param {number} time
 * @param {number} now
 * @returns {string} How long ago somebody was here.
 */
export function lastSeen(time, now) {
  const minutes = Math.floor((now - time) / 60_000);
  if (minutes < 2) return 'last seen just now';
  if (minutes < 60) return `last seen ${minutes} minutes ago`;
  return `last seen ${dayKey(time) === dayKey(now) ? 'at' : ''} ${shortTime(time, now)}`.replace('  ', ' ');
}

/** So many names are told one by one. */
const MOST_NAMES = 12;

/**
 * @param {string[]} names
 * @param {number} count Of how many these are the first.
 */
export function someOf(names, count) {
  const told = names.slice(0, MOST_NAMES);
  const rest = count - told.length;
  return list(rest > 0 ? [...told, rest === 1 ? '1 other' : `${rest} others`] : told);
}
