/**
 * A very small event source with typed topics.
 *
 * @template {Record<string, any>} Topics
 */
export class Emitter {
  constructor() {
    /** @type {Map<keyof Topics, Set<(value: any) => void>>} */
    this._listeners = new Map();
  }

  /**
   * @template {keyof Topics} T
   * @param {T} topic
   * @param {(value: Topics[T]) => void} listener
   * @returns {() => void} Ends the subscription.
   */
  on(topic, listener) {
    const listeners = this._listeners.get(topic) ?? new Set();
    this._listeners.set(topic, listeners);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  /**
   * @template {keyof Topics} T
   * @param {T} topic
   * @param {Topics[T]} value
   */
  emit(topic, value) {
    for (const listener of [...(this._listeners.get(topic) ?? [])]) listener(value);
  }
}
