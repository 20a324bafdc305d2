#!/usr/bin/env node
// The server of bench/README.md on node: `node-peer serve WORKERS SECONDS`. It has one thread, whatever WORKERS says.
'use strict';

const net = require('net');

if (process.argv[2] !== 'serve') {
    console.error('usage: node-peer serve WORKERS SECONDS');
    process.exit(2);
}
const server = net.createServer({ noDelay: true }, (peer) => {
    peer.on('data', (data) => peer.write(data));
    peer.on('error', () => peer.destroy());
});
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => console.log(`port ${server.address().port}`));
