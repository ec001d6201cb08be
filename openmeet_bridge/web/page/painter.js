/** A hidden tab has no frames to paint, but its title still counts; so it works by this clock (ms). */
const HIDDEN_EVERY = 200;

/** Does something once for many requests: a burst of messages is one change of the page. */
export class Painter {
  /** @param {() => void} paint */
  constructor(paint) {
    this._paint = paint;
    this._wanted = false;
  }

  request() {
    if (this._wanted) return;
    this._wanted = true;
    if (document.visibilityState === 'visible') requestAnimationFrame(() => this._go());
    // Also for a tab that is hidden before its next frame.
    setTimeout(() => this._go(), HIDDEN_EVERY);
  }

  _go() {
    if (!this._wanted) return;
    this._wanted = false;
    this._paint();
  }
}
