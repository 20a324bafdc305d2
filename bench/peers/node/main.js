#!/usr/bin/env node
// The servers of bench/README.md on node: `node-peer serve WORKERS SECONDS`, `node-peer serve_http WORKERS SECONDS`. They
// have one thread, whatever WORKERS says.
'use strict';

const http = require('http');
const net = require('net');

const hello = Buffer.from('Hello, world!\n');

function echo() {
    return net.createServer({ noDelay: true }, (peer) => {
        peer.on('data', (data) => peer.write(data));
        peer.on('error', () => peer.destroy());
    });
}

function greet() {
    return http.createServer((request, response) => {
        response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': hello.length });
        response.end(hello);
    });
}

const servers = { serve: echo, serve_http: greet };
const make = servers[process.argv[2]];
if (make === undefined) {
    console.error('usage: node-peer serve|serve_http WORKERS SECONDS');
    process.exit(2);
}
const server = make();
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => console.log(`port ${server.address().port}`));
