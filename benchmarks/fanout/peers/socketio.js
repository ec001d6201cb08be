// Socket.IO as a program of OpenMeet's former design would use it: node socketio.js PORT SECRET
// Clients come over WebSocket with a token (HS256) in a header, and join rooms; messages come by
// POST to /pub?room=R and go to everybody in the room.
'use strict';
const crypto = require('node:crypto');
const http = require('node:http');
const { Server } = require('socket.io');

const [port, secret] = [Number(process.argv[2]), process.argv[3]];

function isValid(header) {
  const [head, payload, signature] = (header || '').replace(/^Bearer /, '').split('.');
  if (!signature) return false;
  const right = crypto.createHmac('sha256', secret).update(`${head}.${payload}`).digest();
  const given = Buffer.from(signature, 'base64url');
  if (given.length !== right.length || !crypto.timingSafeEqual(given, right)) return false;
  return JSON.parse(Buffer.from(payload, 'base64url')).exp > Date.now() / 1000;
}

const server = http.createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const room = new URLSearchParams(request.url.split('?')[1]).get('room');
    io.to(room).emit('message', JSON.parse(Buffer.concat(parts)));
    response.end('ok');
  });
});
const io = new Server(server, { transports: ['websocket'] });
io.use((socket, next) => {
  const known = isValid(socket.handshake.headers.authorization);
  next(known ? undefined : new Error('Invalid authentication token'));
});
io.on('connection', (socket) => {
  socket.on('join', (room, answer) => {
    socket.join(room);
    if (answer) answer('ok');
  });
});
server.listen(port, '127.0.0.1', 4096);
