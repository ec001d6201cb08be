/** @import { Frame } from './types.js' */

/**
 * One open connection. `onClose` is called once, and never after `close()`.
 *
 * @typedef {object} Transport
 * @property {() => void} close
 *
 * @typedef {object} TransportEvents
 * @property {(frame: Frame) => void} onFrame
 * @property {() => void} onClose
 *
 * @typedef {(url: string, events: TransportEvents) => Transport} OpenTransport
 */

/** Frames the server may name in server-sent events, where each has to be asked for. */
const FRAME_TYPES = [
  'hello', 'timeline', 'timeline.changed', 'membership', 'room.added', 'room.removed', 'typing',
  'receipt', 'unread', 'presence', 'send.failed', 'reset', 'heartbeat', 'bye',
];

/** @type {OpenTransport} */
export function openWebSocket(url, events) {
  const socket = new WebSocket(url);
  let over = false;
  const end = () => {
    if (!over) events.onClose();
    over = true;
  };
  socket.onmessage = (message) => {
    const frame = over ? null : parse(message.data);
    if (frame && typeof frame.type === 'string') events.onFrame(frame);
  };
  socket.onclose = end;
  socket.onerror = end;
  return {
    close() {
      over = true;
      socket.close();
    },
  };
}

/** @type {OpenTransport} */
export function openEventSource(url, events) {
  const source = new EventSource(url);
  let over = false;
  for (const type of FRAME_TYPES) {
    source.addEventListener(type, (message) => {
      const data = over ? undefined : parse(message.data);
      if (data !== undefined) events.onFrame(frameOf(type, message.lastEventId, data));
    });
  }
  source.onerror = () => {
    // Its own reconnect would use the spent ticket again, so it ends here.
    source.close();
    if (!over) events.onClose();
    over = true;
  };
  return {
    close() {
      over = true;
      source.close();
    },
  };
}

/**
 * @param {string} type
 * @param {string} id
 * @param {any} data
 * @returns {Frame}
 */
function frameOf(type, id, data) {
  return id ? { type, cursor: id, data } : { type, data };
}

/** @param {unknown} text */
function parse(text) {
  try {
    return JSON.parse(String(text));
  } catch {
    return undefined;
  }
}
