/* The servers that skua-bench-load has messages sent to. Echo servers send back what they get; the bare HTTP server
 * answers each request with the same. They print `port N` once they listen, and serve until they are killed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/cases/work.h"

enum { BUFFER = 4096, FAR_TIMERS = 10000, EVENTS = 256 }; /* the same in all servers */

static void raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void print_port(uint16_t network_order)
{
    printf("port %u\n", ntohs(network_order));
    fflush(stdout);
}

/* ---- Skua ------------------------------------------------------------------------------------------------------- */

struct conversation {
    SKUA_FRAME;
    struct {
        skua_stream *peer;
    } in;
    skua_io io;
    char buffer[BUFFER];
};
SKUA_ASYNC(conversation)
{
    SKUA_BEGIN(self);
    for (;;) {
        SKUA_AWAIT(skua_read_start(&self->io, self->in.peer, self->buffer, sizeof self->buffer));
        if (SKUA_RESULT(&self->io) <= 0)
            break;
        SKUA_AWAIT(skua_write_all_start(&self->io, self->in.peer, self->buffer, (size_t)SKUA_RESULT(&self->io)));
        if (SKUA_RESULT(&self->io) < 0)
            break;
    }
    skua_stream_close(self->in.peer);
    SKUA_END(0);
}

static int conversation_fiber(void *arg)
{
    skua_stream *peer = arg;
    char buffer[BUFFER];
    ssize_t n;
    while ((n = skua_read(peer, buffer, sizeof buffer)) > 0 && skua_write_all(peer, buffer, (size_t)n) >= 0)
        ;
    skua_stream_close(peer);
    return 0;
}

struct far_sleeper {
    SKUA_FRAME;
    SKUA_NO_ARGS;
    skua_sleep_op sleep;
};
SKUA_ASYNC(far_sleeper)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_sleep_start(&self->sleep, 3600 * SKUA_S));
    SKUA_END(0);
}

void serve(bool fibers, bool timers)
{
    skua_listener *listener;
    skua_address address;
    skua_stream *peer;
    raise_limit();
    work_must(skua_listen(&listener, "tcp://127.0.0.1:0", NULL));
    work_must(skua_listener_address(listener, &address));
    for (int i = 0; timers && i < FAR_TIMERS; i++)
        work_must(SKUA_GO(far_sleeper));
    print_port(((const struct sockaddr_in *)(const void *)&address.storage)->sin_port);
    for (;;) {
        work_must(skua_accept(listener, &peer, NULL));
        work_must(fibers ? skua_go(conversation_fiber, peer) : SKUA_GO(conversation, .peer = peer));
    }
}

/* Where they are built at all: they need libraries of others. */
#ifndef BENCH_HTTPD
#define BENCH_HTTPD ""
#endif
#ifndef BENCH_KV
#define BENCH_KV ""
#endif

void serve_example(const char *name, const char *workers)
{
    const char *program = strcmp(name, "kv") == 0 ? BENCH_KV : BENCH_HTTPD;
    if (program[0] == '\0')
        work_die(name, "it was not built: a library that it needs is missing");
    execl(program, program, "--listen", "tcp://127.0.0.1:0", "--workers", workers, (char *)NULL);
    work_die(program, strerror(errno));
}

/* ---- a bare loop ------------------------------------------------------------------------------------------------- */

static int listen_bare(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        work_die("listen", strerror(errno));
    print_port(address.sin_port);
    return fd;
}

struct bare_peer {
    int fd;
    size_t request, rest; /* of HTTP: bytes of each request, which are all alike; and of the one that is not whole */
};

static void add_bare(int epoll, int fd, struct bare_peer *peer)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = peer}};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        work_die("epoll_ctl", strerror(errno));
}

static void accept_bare(int epoll, int listener)
{
    const int one = 1;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct bare_peer *peer = fd >= 0 ? malloc(sizeof *peer) : NULL;
    if (peer == NULL)
        return;
    *peer = (struct bare_peer){.fd = fd};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    add_bare(epoll, fd, peer);
}

static void end_bare(struct bare_peer *peer)
{
    close(peer->fd);
    free(peer);
}

static void echo_bare(struct bare_peer *peer)
{
    char buffer[BUFFER];
    ssize_t n = recv(peer->fd, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || send(peer->fd, buffer, (size_t)n, MSG_NOSIGNAL) != n) /* there is always room for so little */
        end_bare(peer);
}

/* Whole requests of all that has come: counted by their size, not read. */
static size_t requests_in(struct bare_peer *peer, char *text, size_t size)
{
    if (peer->request == 0) {
        const char *end = memmem(text, size, "\r\n\r\n", 4);
        if (end == NULL)
            return 0;
        peer->request = (size_t)(end - text) + 4;
    }
    size_t whole = (peer->rest + size) / peer->request;
    peer->rest = (peer->rest + size) % peer->request;
    return whole;
}

/* What an example server answers, and with one write for all that came at once. */
static void greet_bare(struct bare_peer *peer)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nServer: bare\r\nDate: Fri, 27 Nov 2026 12:00:00 GMT\r\n"
                                 "Content-Type: text/plain\r\nContent-Length: 14\r\n\r\nHello, world!\n";
    enum { SIZE = sizeof answer - 1, TOGETHER = 128 };
    static char answers[TOGETHER * SIZE];
    char buffer[BUFFER];
    ssize_t n = recv(peer->fd, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    size_t count = n > 0 ? requests_in(peer, buffer, (size_t)n) : 0;
    for (size_t at = answers[0] == '\0' ? 0 : TOGETHER; at < TOGETHER; at++)
        memcpy(&answers[at * SIZE], answer, SIZE);
    if (n <= 0 || count > TOGETHER || (count > 0 && send(peer->fd, answers, count * SIZE, MSG_NOSIGNAL) < 0))
        end_bare(peer);
}

void serve_bare(bool http)
{
    raise_limit();
    int epoll = epoll_create1(EPOLL_CLOEXEC), listener = listen_bare();
    add_bare(epoll, listener, NULL);
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct bare_peer *peer = events[i].data.ptr;
            if (peer == NULL)
                accept_bare(epoll, listener);
            else if (http)
                greet_bare(peer);
            else
                echo_bare(peer);
        }
    }
}
