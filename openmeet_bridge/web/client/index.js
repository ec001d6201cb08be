export { Api, ApiError } from './api.js';
export { Chat } from './chat.js';
export { Outbox } from './outbox.js';
export { Store } from './store.js';
export { Stream } from './stream.js';
export { Timeline } from './timeline.js';
