/* The servers that skua-bench-load sends its messages to: they send back what they get. They print `port N` once they
 * listen, and serve until they are killed.
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

/* ---- a bare loop ------------------------------------------------------------------------------------------------- */

static int listen_bare(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        work_die("listen", strerror(errno));
    print_port(address.sin_port);
    return fd;
}

static void add_bare(int epoll, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data = { .fd = fd } };
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        work_die("epoll_ctl", strerror(errno));
}

static void accept_bare(int epoll, int listener)
{
    const int one = 1;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    add_bare(epoll, fd);
}

static void answer_bare(int fd)
{
    char buffer[BUFFER];
    ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || send(fd, buffer, (size_t)n, MSG_NOSIGNAL) != n) /* there is always room for so little */
        close(fd);
}

void serve_bare(void)
{
    raise_limit();
    int epoll = epoll_create1(EPOLL_CLOEXEC), listener = listen_bare();
    add_bare(epoll, listener);
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++)
            if (events[i].data.fd == listener)
                accept_bare(epoll, listener);
            else
                answer_bare(events[i].data.fd);
    }
}
