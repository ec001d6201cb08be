// How the web app asks its backend: one axios for everything, and what it does with refusals.

import { axios } from './packages.mjs'

/** Who uses a tab: what the app keeps of its login, and how it gets a new token. */
export class Login {
  /** @param {{url: string, tenant: string, token: string, refreshToken: string, user: object}} given */
  constructor(given) {
    Object.assign(this, given)
    this.refreshes = 0
    this.loggedOut = false
  }

  /** Gets a new token once, however many ask for it at the same time. */
  refresh() {
    this.running ??= this.#ask().finally(() => { this.running = null })
    return this.running
  }

  async #ask() {
    this.refreshes += 1
    const headers = { Authorization: `Bearer ${this.refreshToken}`, 'X-Tenant-ID': this.tenant }
    try {
      const { data } = await axios.post(`${this.url}/api/v1/auth/refresh`, {}, { headers })
      this.token = data.token
      this.refreshToken = data.refreshToken
    } catch (error) {
      this.loggedOut = true
      this.token = null
      throw error
    }
  }
}

/**
 * The app's axios: every request carries token and tenant; 401 refreshes once and tries again; 422
 * shows every one of the answer's `errors`, and fails itself where there are none.
 */
export function createApi(login, notices, calls) {
  const api = axios.create({ baseURL: login.url })
  api.interceptors.request.use(config => {
    if (login.token) config.headers.Authorization = `Bearer ${login.token}`
    config.headers['X-Tenant-ID'] = login.tenant
    config.headers.Origin = 'https://meet.example.org'
    return config
  })
  api.interceptors.response.use(
    response => {
      calls.push(told(response.config, response))
      return response
    },
    async error => {
      const { config, response } = error
      if (config) calls.push(told(config, response))
      if (response?.status === 422) {
        for (const text of Object.values(response.data.errors)) notices.push(text)
      }
      if (response?.status === 401 && !config.again) {
        const isNew = await login.refresh().then(() => true, () => false)
        if (isNew) return api({ ...config, again: true })
      }
      throw error
    },
  )
  return api
}

function told(config, response) {
  const path = new URL(axios.getUri(config), config.baseURL).pathname
  const call = { method: config.method.toUpperCase(), path: decodeURI(path), status: response?.status ?? 0 }
  return { ...call, cors: response?.headers?.['access-control-allow-origin'] ?? null }
}
