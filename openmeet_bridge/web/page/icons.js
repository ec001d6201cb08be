const NAMESPACE = 'http://www.w3.org/2000/svg';

/** Outlines on a grid of 24. */
const PATHS = {
  back: 'M15 5l-7 7 7 7',
  send: 'M4 12l16-8-5 16-3.5-6.5L4 12zM11.5 13.5L20 4',
  down: 'M12 5v14M6 13l6 6 6-6',
  clock: 'M12 7v5l3 2M12 3a9 9 0 1 0 .01 0',
  tick: 'M5 12.5l4.5 4.5L19 7.5',
  alert: 'M12 8v5M12 16.5v.01M12 3a9 9 0 1 0 .01 0',
  signOut: 'M14 4h4a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2h-4M10 16l-4-4 4-4M6 12h9',
  link: 'M14 4h6v6M20 4l-9 9M18 14v4a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2V8a2 2 0 0 1 2-2h4',
  chat: 'M12 4c-5 0-9 3.3-9 7.4 0 2.4 1.3 4.5 3.4 5.8-.1 1-.6 2-1.4 2.8 1.7-.1 3.2-.7 4.3-1.6.9.2 1.8.4 2.7.4 5 0 9-3.3 9-7.4S17 4 12 4z',
  lock: 'M7 11V8a5 5 0 0 1 10 0v3M6 11h12v9H6z',
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
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  svg.append(path);
  return svg;
}
