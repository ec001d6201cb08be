// The npm packages that the web app speaks with. They are installed beside Python's own, outside the
// repository, so their folder is named by who starts Node.

import { createRequire } from 'node:module'
import { join } from 'node:path'

const require = createRequire(join(process.env.WEB_PACKAGES, 'here.js'))

export const axios = require('axios')
export const { io } = require('socket.io-client')
