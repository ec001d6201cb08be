/** Requests with JSON in and out, who asks, and what an error says. */

/** A request that did not succeed. `status` 0: no answer came (network, time-out). */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {{errcode?: string, status?: number, fields?: Record<string, string>,
   *          retryAfterMs?: number | null}} [details]
   */
  constructor(message, details = {}) {
    super(message);
    this.name = 'ApiError';
    this.errcode = details.errcode ?? 'M_UNKNOWN';
    this.status = details.status ?? 0;
    /** What is wrong with which field, by its path. */
    this.fields = details.fields ?? {};
    this.retryAfterMs = details.retryAfterMs ?? null;
  }

  /** True when the same request may succeed later without a change. */
  get temporary() {
    return this.status === 0 || this.status === 429 || this.status === 408 || this.status >= 500;
  }

  /** True when the token or the session cookie is not accepted. */
  get unauthorized() {
    return this.status === 401;
  }
}

/**
 * @typedef {(options: {renew: boolean}) => string | null | Promise<string | null>} TokenSupplier
 *
 * @typedef {object} ApiOptions
 * @property {string} [baseUrl] Where the bridge is served; default: the document's base.
 * @property {string | null} [tenant]
 * @property {TokenSupplier | null} [token] Without one the session cookie is used.
 * @property {typeof fetch} [fetch]
 * @property {number} [timeoutMs]
 *
 * @typedef {object} RequestOptions
 * @property {unknown} [body]
 * @property {Record<string, string | number | undefined>} [query]
 * @property {boolean} [cookie] The answer sets the session cookie, so it must not be omitted.
 * @property {boolean} [renewed] The token has been renewed for this request already.
 */

/** Where the bridge is, and as whom it is asked. */
export class Http {
  /** @param {ApiOptions} [options] */
  constructor(options = {}) {
    const base = options.baseUrl ?? globalThis.document?.baseURI ?? 'http://localhost/';
    /** @type {URL} */
    this.root = new URL('api/v1/', new URL('.', base));
    this.tenant = options.tenant ?? null;
    /** @type {TokenSupplier | null} */
    this.token = options.token ?? null;
    this._fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
    this._timeoutMs = options.timeoutMs ?? 30_000;
  }

  /**
   * @param {string} method
   * @param {string} path Relative to `/api/v1/`.
   * @param {RequestOptions} [options]
   * @returns {Promise<any>} The decoded body.
   */
  async request(method, path, options = {}) {
    const url = new URL(path, this.root);
    for (const [key, value] of Object.entries(options.query ?? {})) {
      if (value !== undefined) url.searchParams.set(key, String(value));
    }
    const token = this.token ? await this.token({ renew: Boolean(options.renewed) }) : null;
    const response = await this._answer(url, this._init(method, token, options));
    const body = await readJson(response);
    if (response.ok) return body ?? {};
    const error = errorOf(response, body);
    // A supplier may know a newer token; once is enough to find out.
    if (error.unauthorized && token && !options.renewed) {
      return this.request(method, path, { ...options, renewed: true });
    }
    throw error;
  }

  /**
   * @param {string} method
   * @param {string | null} token
   * @param {RequestOptions} options
   * @returns {RequestInit}
   */
  _init(method, token, options) {
    /** @type {Record<string, string>} */
    const headers = { Accept: 'application/json' };
    if (this.tenant !== null) headers['X-Tenant-Id'] = this.tenant;
    if (token) headers.Authorization = `Bearer ${token}`;
    // Another site cannot set this header, which is what guards the cookie.
    if (method !== 'GET') headers['X-Requested-With'] = 'openmeet';
    if (options.body !== undefined) headers['Content-Type'] = 'application/json';
    return {
      method,
      headers,
      body: options.body === undefined ? null : JSON.stringify(options.body),
      // With a token of its own a tab must not depend on whose cookie the browser holds.
      credentials: token && !options.cookie ? 'omit' : 'same-origin',
      cache: 'no-store',
      signal: AbortSignal.timeout(this._timeoutMs),
    };
  }

  /**
   * @param {URL} url
   * @param {RequestInit} init
   * @returns {Promise<Response>}
   */
  async _answer(url, init) {
    try {
      return await this._fetch(url.href, init);
    } catch {
      throw new ApiError('The server could not be reached.', { errcode: 'CLIENT_NETWORK' });
    }
  }
}

/**
 * @param {Response} response
 * @returns {Promise<any>} Undefined when there is no JSON in it.
 */
async function readJson(response) {
  try {
    return await response.json();
  } catch {
    // A body cut off in the middle of a success is no success: the caller must not trust it.
    if (response.ok && response.status !== 204) {
      throw new ApiError('The answer was cut off.', { errcode: 'CLIENT_NETWORK' });
    }
    return undefined;
  }
}

/**
 * @param {Response} response
 * @param {any} body
 * @returns {ApiError}
 */
function errorOf(response, body) {
  const seconds = Number(response.headers.get('Retry-After') ?? NaN);
  return new ApiError(String(body?.error ?? `The server answered ${response.status}.`), {
    errcode: String(body?.errcode ?? 'M_UNKNOWN'),
    status: response.status,
    fields: body?.fields ?? {},
    retryAfterMs: body?.retry_after_ms ?? (Number.isFinite(seconds) ? seconds * 1000 : null),
  });
}
