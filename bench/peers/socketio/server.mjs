// The least that an application of Socket.IO has to be: clients join rooms and send to the others in a room.
// The server has its default settings. Usage: node server.mjs HOST:PORT
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const [host, port] = process.argv[2].split(':');
const http = createServer((_request, response) => response.end()); // what is not Socket.IO's, such as /readyz
const io = new Server(http);

io.on('connection', (socket) => {
  socket.on('join', (room, done) => {
    socket.join(room);
    done();
  });
  socket.on('publish', (room, payload) => socket.to(room).emit('update', payload));
});

http.listen(Number(port), host);
