const NAMESPACE = 'http://www.w3.org/2000/svg';

/** Outlines on a grid of 24. */
const PATHS = {
  back: 'M15 5l-7 7 7 7',
  send: 'M4 12l16-8-5 16-3.5-6.5L4 12zM11.5 13.5L20 4',
  down: 'M12 5v14M6 13l6 6 6-6',
  up: 'M12 19V5M6 11l6-6 6 6',
  clock: 'M12 7v5l3 2M12 3a9 9 0 1 0 .01 0',
  tick: 'M5 12.5l4.5 4.5L19 7.5',
  alert: 'M12 8v5M12 16.5v.01M12 3a9 9 0 1 0 .01 0',
  signOut: 'M14 4h4a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2h-4M10 16l-4-4 4-4M6 12h9',
  link: 'M14 4h6v6M20 4l-9 9M18 14v4a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2V8a2 2 0 0 1 2-2h4',
  chat: 'M12 4c-5 0-9 3.3-9 7.4 0 2.4 1.3 4.5 3.4 5.8-.1 1-.6 2-1.4 2.8 1.7-.1 3.2-.7 4.3-1.6.9.2 1.8.4 2.7.4 5 0 9-3.3 9-7.4S17 4 12 4z',
  lock: 'M7 11V8a5 5 0 0 1 10 0v3M6 11h12v9H6z',
  reply: 'M10 5L4 11l6 6M4 11h9a7 7 0 0 1 7 7v1',
  smile: 'M12 3a9 9 0 1 0 .01 0M8.5 14a4.5 4.5 0 0 0 7 0M9 9.5v.01M15 9.5v.01',
  more: 'M5.5 12v.01M12 12v.01M18.5 12v.01',
  edit: 'M4 20l1-4L16.5 4.5a2 2 0 0 1 3 3L8 19l-4 1M14 7l3 3',
  trash: 'M5 7h14M10 11v6M14 11v6M6 7l1 12a1 1 0 0 0 1 1h8a1 1 0 0 0 1-1l1-12M9 7V4h6v3',
  copy: 'M9 9h10v11H9zM15 9V4H5v11h4',
  history: 'M4 12a8 8 0 1 0 2.5-5.8L4 8.5M4 4v4.5h4.5M12 8v4.5l3 1.5',
  eye: 'M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 9a3 3 0 1 0 .01 0',
  close: 'M6 6l12 12M18 6L6 18',
  people: 'M9 11a3.5 3.5 0 1 0-.01 0M2.5 20c0-3.5 2.8-6 6.5-6s6.5 2.5 6.5 6M16 4.3a3.5 3.5 0 0 1 0 6.4M18 14.5c2.2.8 3.5 2.9 3.5 5.5',
  calendar: 'M4 6h16v14H4zM4 10h16M8 3v5M16 3v5',
  unread: 'M4 6h11M4 6v12h16v-7M4 7l8 6 4-3M19 4.5a2.5 2.5 0 1 0 .01 0',
  settings: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4',
  image: 'M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15 9v.01',
  video: 'M3 6h12v12H3zM15 11l6-4v10l-6-4',
  audio: 'M9 18V6l10-2v12M9 18a2.5 2.5 0 1 1-2.5-2.5A2.5 2.5 0 0 1 9 18zM19 16a2.5 2.5 0 1 1-2.5-2.5A2.5 2.5 0 0 1 19 16z',
  file: 'M6 3h8l4 4v14H6zM14 3v5h4',
  sticker: 'M5 4h14v9l-6 7H5zM13 20v-7h6M9 9v.01M14 9v.01',
  place: 'M12 21s7-6.2 7-11.5a7 7 0 0 0-14 0C5 14.8 12 21 12 21zM12 7.5a2.2 2.2 0 1 0 .01 0',
  poll: 'M5 20v-7M12 20V4M19 20V9',
  call: 'M6 3h3l2 5-2.5 1.5a11 11 0 0 0 6 6L16 13l5 2v3a3 3 0 0 1-3 3A15 15 0 0 1 3 6a3 3 0 0 1 3-3',
  thread: 'M4 5h16v10H10l-6 5zM8 9h8M8 12h5',
  bell: 'M6 17V11a6 6 0 0 1 12 0v6l1.5 1.5h-15L6 17M10 21h4',
};

/**
 * @param {keyof typeof PATHS} name
 * @returns {SVGElement} Decoration only: its button or its text says what it means.
 */
export function icon(name) {
  const svg = document.createElementNS(NAMESPACE, 'svg');
  const path = document.createElementNS(NAMESPACE, 'path');
  path.setAttribute('d', PATHS[name]);
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', `icon icon--${name}`);
  svg.setAttribute('aria-hidden', 'true');
  svg.append(path);
  return svg;
}
