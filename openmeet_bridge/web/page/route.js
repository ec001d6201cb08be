/**
 * What the address says after its `#`: who we are among the demo users, and which room is open.
 *
 * @typedef {object} Route
 * @property {{tenant: string, slug: string} | null} user
 * @property {string | null} room
 */

/**
 * @param {string} hash
 * @returns {Route}
 */
export function parseRoute(hash) {
  const found = new URLSearchParams(hash.replace(/^#/u, ''));
  const user = found.get('user') ?? '';
  // A tenant may be empty, a slug may not; neither has a slash in it.
  const cut = user.lastIndexOf('/');
  return {
    user: cut >= 0 ? { tenant: user.slice(0, cut), slug: user.slice(cut + 1) } : null,
    room: found.get('room') || null,
  };
}

/**
 * @param {Route} route
 * @returns {string} Beginning with `#`.
 */
export function formatRoute(route) {
  const parts = [];
  if (route.user) {
    const { tenant, slug } = route.user;
    parts.push(`user=${encodeURIComponent(tenant)}/${encodeURIComponent(slug)}`);
  }
  if (route.room) parts.push(`room=${encodeURIComponent(route.room)}`);
  return `#${parts.join('&')}`;
}
