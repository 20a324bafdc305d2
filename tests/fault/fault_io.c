/* Streams and sockets with each of their system calls failing: a server and its clients over TCP and unix sockets,
 * pipes of tasks and of a plain thread. What the kernel asks to try again is never noticed: every byte arrives. An
 * error is told to who called; what was being made is unmade. No descriptor and no byte is left over, and nobody waits
 * for ever. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <skua/socket.h>
#include <skua/stream.h>

#include "support/faults.h"
#include "support/test.h"

enum { CLIENTS = 2, BYTES = 600, BLOCK = 200 };

/* The ways of recv, send and the like that nobody notices (faults.def), and those of accept4. */
enum { SOFT_WAYS = 3, ACCEPT_SOFT_WAYS = 6, EMFILE_WAY = 6 };

static bool is_soft(void)
{
    static const enum fault moving[] = { FAULT_readv, FAULT_writev, FAULT_skuai_recv, FAULT_recvmsg, FAULT_skuai_send,
                                         FAULT_sendmsg };
    for (size_t i = 0; i < sizeof moving / sizeof moving[0]; i++)
        for (int way = 0; way < SOFT_WAYS; way++)
            if (faults_is_armed(moving[i], way))
                return true;
    for (int way = 0; way < ACCEPT_SOFT_WAYS; way++)
        if (faults_is_armed(FAULT_accept4, way))
            return true;
    return faults_is_armed(FAULT_connect, 0); /* EINTR: it goes on */
}

/* True: done. False: failed, as it may, and not with what is the library's own business. */
static bool done(int64_t rc)
{
    if (rc >= 0)
        return true;
    if (is_soft() || !faults_may_refuse())
        test_fail(__FILE__, __LINE__, "%s (%lld), though nothing was refused", skua_strerror((int)rc), (long long)rc);
    CHECK(rc != -EINTR && rc != -EAGAIN && rc != -EINPROGRESS && rc != -EBADF && rc != -ENOTSUP);
    return false;
}

/* What the other side sees of an error is none of its own: the end, or a reset. */
static bool has_ended_well(ssize_t n, size_t wanted)
{
    if (n == (ssize_t)wanted)
        return true;
    if (n >= 0)
        n = -ECONNRESET;
    return done(n);
}

enum way { STRAIGHT, FUTURES, SELECTS };

struct life {
    const char *address; /* NULL: no sockets */
    enum way way;
    skua_runtime *rt;
    uint32_t workers;
    uint64_t served;     /* __atomic */
};

/* ---- a server and clients --------------------------------------------------------------------------------------- */

static int echo(void *arg)
{
    skua_stream *peer = arg;
    char block[BLOCK];
    ssize_t n;
    while ((n = skua_read(peer, block, sizeof block)) > 0) {
        struct iovec halves[2] = { { block, (size_t)n / 2 }, { block + n / 2, (size_t)(n - n / 2) } };
        ssize_t sent = skua_writev(peer, halves, 2);
        if (sent >= 0 && sent < n)
            sent = skua_write_all(peer, block + sent, (size_t)(n - sent));
        if (sent < 0) {
            n = sent;
            break;
        }
    }
    (void)done(n);
    skua_stream_close(peer);
    return 0;
}

static void serve_peer(skua_stream *peer)
{
    if (!done(skua_go(echo, peer)))
        skua_stream_close(peer);
}

static void end_serving(skua_listener *listener, int64_t rc)
{
    CHECK(skua_listener_turned_away(listener) == 0 || faults_may_refuse());
    skua_listener_close(listener); /* whoever waits to be accepted learns of it */
    if (rc != -ECANCELED)
        (void)done(rc);
}

static int serve(void *arg)
{
    skua_listener *listener = arg;
    skua_stream *peer;
    int rc;
    while ((rc = skua_accept(listener, &peer, NULL)) >= 0)
        serve_peer(peer);
    end_serving(listener, rc);
    return 0;
}

struct serves {
    SKUA_FRAME;
    struct { skua_listener *listener; } in;
    skua_accepting accepting;
    skua_stream *peer;
};
SKUA_ASYNC(serves)
{
    SKUA_BEGIN(self);
    for (;;) {
        SKUA_AWAIT(skua_accept_start(&self->accepting, self->in.listener, &self->peer, NULL));
        if (SKUA_RESULT(&self->accepting) < 0)
            break;
        serve_peer(self->peer);
    }
    end_serving(self->in.listener, SKUA_RESULT(&self->accepting));
    SKUA_END(0);
}

/* With another arm that often is quicker. */
static int serve_in_select(void *arg)
{
    skua_listener *listener = arg;
    skua_stream *peer;
    skua_accept_op accept;
    skua_sleep_op tick;
    skua_op *arms[2] = { skua_accept_prepare(&accept, listener, &peer, NULL), NULL };
    int64_t arm;
    do {
        arms[1] = skua_sleep_prepare(&tick, SKUA_MS / 20);
        arm = skua_select(arms, 2);
        if (arm == 0 && accept.result < 0)
            arm = accept.result;
        if (arm == 0)
            serve_peer(peer);
    } while (arm >= 0);
    end_serving(listener, arm);
    return 0;
}

static int start_server(skua_task **server, enum way way, skua_listener *listener)
{
    return way == FUTURES ? SKUA_SPAWN(server, serves, .listener = listener)
                          : skua_spawn(server, way == SELECTS ? serve_in_select : serve, listener);
}

static void converse(skua_stream *stream)
{
    char sent[BYTES], got[BYTES];
    struct iovec halves[2] = { { got, 7 }, { got + 7, BYTES - 7 } };
    for (int i = 0; i < BYTES; i++)
        sent[i] = (char)(i * 7);
    if (!has_ended_well(skua_write_all(stream, sent, BYTES), BYTES))
        return;
    ssize_t n = skua_readv(stream, halves, 2); /* some */
    if (!done(n == 0 ? -ECONNRESET : n))
        return;
    if (!has_ended_well(skua_read_exactly(stream, got + n, BYTES - (size_t)n, NULL), BYTES - (size_t)n))
        return;
    CHECK(memcmp(sent, got, BYTES) == 0);
    if (done(skua_stream_shutdown_write(stream)))
        (void)has_ended_well(skua_read(stream, got, 1), 0);
}

/* The same, in futures' forms. */
static void converse_in_futures(skua_stream *stream)
{
    char sent[BYTES], got[BYTES];
    struct iovec halves[2] = { { got, 7 }, { got + 7, BYTES - 7 } };
    skua_io io;
    for (int i = 0; i < BYTES; i++)
        sent[i] = (char)(i * 7);
    if (!has_ended_well(skua_await_frame(skua_write_all_start(&io, stream, sent, BYTES)), BYTES))
        return;
    ssize_t n = skua_await_frame(skua_readv_start(&io, stream, halves, 2));
    if (!done(n == 0 ? -ECONNRESET : n))
        return;
    size_t rest = BYTES - (size_t)n;
    if (!has_ended_well(skua_await_frame(skua_read_exactly_start(&io, stream, got + n, rest)), rest))
        return;
    CHECK(memcmp(sent, got, BYTES) == 0);
    if (done(skua_stream_shutdown_write(stream)))
        (void)has_ended_well(skua_await_frame(skua_read_start(&io, stream, got, 1)), 0);
}

struct client {
    struct life *life;
    const skua_address *address;
};
static int64_t connect_as(enum way way, skua_stream **stream, const skua_address *address)
{
    const skua_address twice[] = { *address, *address };
    skua_connecting connecting;
    skua_connect_op op;
    skua_sleep_op late;
    switch (way) {
    case FUTURES:
        return skua_await_frame(skua_connect_to_start(&connecting, stream, address, NULL));
    case SELECTS:
        CHECK_EQ(SKUA_SELECT(skua_connect_any_prepare(&op, stream, twice, 2, NULL),
                             skua_sleep_prepare(&late, 60 * SKUA_S)), 0);
        return op.result;
    default:
        return skua_connect_to(stream, address, NULL);
    }
}

static int client(void *arg)
{
    struct client *self = arg;
    skua_stream *stream;
    if (!done(connect_as(self->life->way, &stream, self->address)))
        return 0;
    if (self->life->way == FUTURES)
        converse_in_futures(stream);
    else
        converse(stream);
    skua_stream_close(stream);
    __atomic_fetch_add(&self->life->served, 1, __ATOMIC_RELAXED);
    return 0;
}

static void serve_clients(struct life *life)
{
    skua_listener *listener;
    skua_address address;
    skua_task *server, *clients[CLIENTS];
    struct client self = { life, &address };
    if (!done(skua_listen(&listener, life->address, &(skua_socket_options){ .replace_file = true })))
        return;
    CHECK_OK(skua_listener_address(listener, &address));
    if (done(start_server(&server, life->way, listener))) {
        for (int i = 0; i < CLIENTS; i++)
            if (!done(skua_spawn(&clients[i], client, &self)))
                clients[i] = NULL;
        for (int i = 0; i < CLIENTS; i++)
            if (clients[i] != NULL)
                CHECK_OK(skua_join(clients[i], NULL));
        skua_cancel(server);
        CHECK_OK(skua_join(server, NULL));
    } else {
        skua_listener_close(listener);
    }
}

/* ---- pairs and pipes -------------------------------------------------------------------------------------------- */

static int echo_one(void *arg)
{
    skua_stream **ends = arg; /* in, out */
    char block[BLOCK];
    ssize_t n = skua_read_exactly(ends[0], block, sizeof block, NULL);
    if (has_ended_well(n, sizeof block))
        (void)has_ended_well(skua_write_all(ends[1], block, sizeof block), sizeof block);
    for (int i = 0; i < 2; i++)
        skua_stream_close(ends[i]);
    return 0;
}

/* Descriptors of the test's own, which the library closes with the stream. */
static bool open_own(skua_stream **stream, skua_runtime *rt, int fd)
{
    if (!done(skua_stream_open(stream, rt, fd))) {
        CHECK_EQ(close(fd), 0);
        return false;
    }
    faults_count(FAULTS_DESCRIPTORS, 1);
    return true;
}

static void through_pipes(struct life *life)
{
    int there[2], back[2];
    skua_stream *near[2] = { NULL, NULL }, *far[2] = { NULL, NULL };
    skua_stream **ends[4] = { &far[0], &near[0], &near[1], &far[1] };
    skua_task *task = NULL;
    char sent[BLOCK], got[BLOCK];
    CHECK_EQ(pipe(there), 0);
    CHECK_EQ(pipe(back), 0);
    int fds[4] = { there[0], there[1], back[0], back[1] };
    bool all = true;
    for (int i = 0; i < 4; i++)
        if (!open_own(ends[i], life->rt, fds[i])) {
            *ends[i] = NULL;
            all = false;
        }
    memset(sent, 'p', sizeof sent);
    skua_spawn_attr attr = { .runtime = life->rt };
    if (all && done(skua_spawn_with(&task, &attr, echo_one, far))) {
        if (has_ended_well(skua_write_all(near[0], sent, sizeof sent), sizeof sent) &&
            has_ended_well(skua_read_exactly(near[1], got, sizeof got, NULL), sizeof got))
            CHECK(memcmp(sent, got, sizeof sent) == 0);
    } else {
        task = NULL;
        for (int i = 0; i < 2; i++)
            if (far[i] != NULL)
                skua_stream_close(far[i]);
    }
    for (int i = 0; i < 2; i++)
        if (near[i] != NULL)
            skua_stream_close(near[i]);
    if (task != NULL)
        CHECK_OK(skua_join(task, NULL));
}

/* Nobody reads: EPIPE, and no signal. */
static void into_nothing(struct life *life)
{
    int fds[2];
    skua_stream *stream;
    CHECK_EQ(pipe(fds), 0);
    CHECK_EQ(close(fds[0]), 0);
    if (!open_own(&stream, life->rt, fds[1]))
        return;
    ssize_t n = skua_write(stream, "x", 1);
    CHECK(n < 0);
    if (n != -EPIPE)
        (void)done(n);
    skua_stream_close(stream);
}

static void in_a_pair(struct life *life)
{
    skua_stream *pair[2];
    skua_task *task;
    if (!done(skua_stream_pair(pair, &(skua_socket_options){ .runtime = life->rt })))
        return;
    if (done(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = life->rt }, echo, pair[1]))) {
        converse(pair[0]);
        skua_stream_close(pair[0]);
        CHECK_OK(skua_join(task, NULL));
    } else {
        skua_stream_close(pair[0]);
        skua_stream_close(pair[1]);
    }
}

/* ---- lives ------------------------------------------------------------------------------------------------------ */

static int body(void *arg)
{
    struct life *life = arg;
    if (life->address != NULL) {
        serve_clients(life);
    } else {
        in_a_pair(life);
        through_pipes(life);
        into_nothing(life);
    }
    (void)skua_sleep(SKUA_MS / 10); /* a worker waits in the poller for a time */
    return 0;
}

static void *thread_body(void *arg)
{
    struct life *life = arg;
    in_a_pair(life);
    through_pipes(life);
    into_nothing(life);
    return NULL;
}

static void live(void *arg)
{
    struct life *life = arg;
    skua_config config = faults_config(life->workers, true);
    life->served = 0;
    if (!faults_done(skua_runtime_create(&life->rt, &config)))
        return;
    (void)done(skua_block_on(life->rt, body, life));
    if (life->address == NULL) {
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, thread_body, life), 0);
        CHECK_EQ(pthread_join(thread, NULL), 0);
    } else {
        CHECK(life->served == CLIENTS || faults_may_refuse());
    }
    CHECK_EQ(skua_runtime_shutdown(life->rt, SKUA_NEVER, SKUA_NEVER), 0);
    CHECK_EQ(skua_runtime_destroy(life->rt), 0);
    if (life->address != NULL && strncmp(life->address, "unix:/", 6) == 0)
        (void)unlink(life->address + 5); /* where it could not be removed */
}

#define LIVE_BY(way_, address_, ...)                                                 \
    do {                                                                             \
        struct life life_ = { .address = (address_), .workers = 2, .way = (way_) };  \
        FAULTS_EACH(live, &life_, __VA_ARGS__);                                      \
    } while (0)
#define LIVE(address_, ...) LIVE_BY(STRAIGHT, address_, __VA_ARGS__)

#define TCP "tcp://127.0.0.1:0"

TEST(bytes_over_tcp) { LIVE(TCP, FAULT_skuai_recv, FAULT_recvmsg, FAULT_skuai_send, FAULT_sendmsg, FAULT_shutdown); }

TEST(bytes_over_unix_sockets_and_pipes)
{
    LIVE(NULL, FAULT_recvmsg, FAULT_skuai_send, FAULT_sendmsg, FAULT_readv, FAULT_writev, FAULT_sigtimedwait);
}

TEST(connections) { LIVE(TCP, FAULT_accept4, FAULT_connect, FAULT_socket, FAULT_setsockopt, FAULT_getsockopt); }

TEST(connections_of_futures)
{
    LIVE_BY(FUTURES, TCP, FAULT_accept4, FAULT_connect, FAULT_socket, FAULT_setsockopt, FAULT_getsockopt,
            FAULT_epoll_ctl, FAULT_malloc, FAULT_application_alloc, FAULT_skuai_recv, FAULT_recvmsg, FAULT_skuai_send);
}
TEST(connections_of_selects)
{
    LIVE_BY(SELECTS, TCP, FAULT_accept4, FAULT_connect, FAULT_socket, FAULT_setsockopt, FAULT_getsockopt,
            FAULT_epoll_ctl, FAULT_calloc, FAULT_application_alloc);
}

TEST(listeners) { LIVE(TCP, FAULT_bind, FAULT_listen, FAULT_getsockname, FAULT_open, FAULT_malloc); }

TEST(unix_listeners)
{
    char address[64]; /* of this process alone: others may run the same test */
    snprintf(address, sizeof address, "unix:/tmp/skua-fault-io-%ld", (long)getpid());
    LIVE(address, FAULT_bind, FAULT_listen, FAULT_getsockname, FAULT_lstat, FAULT_unlink,
         FAULT_connect, FAULT_socket, FAULT_malloc);
}

TEST(descriptors_of_others) { LIVE(NULL, FAULT_socketpair, FAULT_fcntl, FAULT_getsockopt, FAULT_close); }

TEST(the_poller)
{
    LIVE(TCP, FAULT_epoll_create1, FAULT_eventfd, FAULT_epoll_ctl, FAULT_epoll_wait, FAULT_epoll_pwait2, FAULT_read,
         FAULT_write);
    LIVE(NULL, FAULT_epoll_ctl, FAULT_epoll_wait, FAULT_epoll_pwait2, FAULT_close);
}

TEST(memory) { LIVE(TCP, FAULT_application_alloc, FAULT_malloc); }

/* Descriptors run out: each connection is taken, and given back. Its other side learns of it. */
static int is_turned_away(void *arg)
{
    skua_stream *stream;
    char byte;
    CHECK_OK(skua_connect_to(&stream, arg, NULL));
    ssize_t n = skua_read(stream, &byte, 1);
    CHECK(n == 0 || n == -ECONNRESET);
    skua_stream_close(stream);
    return 0;
}
static int turns_away_by(enum way way)
{
    skua_listener *listener;
    skua_address address;
    skua_task *server;
    CHECK_OK(skua_listen(&listener, TCP, NULL));
    CHECK_OK(skua_listener_address(listener, &address));
    CHECK_OK(start_server(&server, way, listener));
    CHECK_OK(is_turned_away(&address));
    struct life life = { .served = 0, .way = way };
    struct client self = { &life, &address };
    CHECK_OK(client(&self));
    CHECK_EQ(life.served, 1);
    CHECK_EQ(skua_listener_turned_away(listener), 1);
    skua_cancel(server);
    CHECK_OK(skua_join(server, NULL));
    return 0;
}
static int turns_away(void *arg)
{
    (void)arg;
    return turns_away_by(STRAIGHT);
}
static int future_turns_away(void *arg)
{
    (void)arg;
    return turns_away_by(FUTURES);
}
static int select_turns_away(void *arg)
{
    (void)arg;
    return turns_away_by(SELECTS);
}
/* Each time the first connection finds no descriptor. */
static void run_out_once(skua_fiber_fn *fn, uint32_t workers)
{
    skua_config config = faults_config(workers, true);
    skua_runtime *rt;
    faults_arm(FAULT_accept4, EMFILE_WAY, 1, 1);
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_EQ(skua_block_on(rt, fn, NULL), 0);
    CHECK_EQ(skua_runtime_destroy(rt), 0);
    faults_disarm();
}
TEST(no_descriptor_for_a_connection)
{
    static skua_fiber_fn *const ways[] = { turns_away, future_turns_away, select_turns_away };
    for (uint32_t workers = 1; workers <= 4; workers++)
        for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
            run_out_once(ways[i], workers);
}

/* A listener is closed under who rests, having turned one away. */
static int accepts(void *arg)
{
    skua_stream *peer;
    CHECK_EQ(skua_accept(arg, &peer, NULL), -ECANCELED);
    return 0;
}
static int accepts_as_future(void *arg)
{
    skua_stream *peer;
    skua_accepting accepting;
    CHECK_EQ(skua_await_frame(skua_accept_start(&accepting, arg, &peer, NULL)), -ECANCELED);
    return 0;
}
static int closes_under(skua_fiber_fn *who)
{
    skua_listener *listener;
    skua_address address;
    skua_task *server;
    CHECK_OK(skua_listen(&listener, TCP, NULL));
    CHECK_OK(skua_listener_address(listener, &address));
    CHECK_OK(skua_spawn(&server, who, listener));
    CHECK_OK(is_turned_away(&address));
    skua_listener_close(listener);
    CHECK_OK(skua_join(server, NULL));
    return 0;
}
static int closes_under_call(void *arg)
{
    (void)arg;
    return closes_under(accepts);
}
static int closes_under_future(void *arg)
{
    (void)arg;
    return closes_under(accepts_as_future);
}
TEST(closed_while_descriptors_are_out)
{
    for (uint32_t i = 0; i < 20; i++)
        run_out_once(i % 2 == 0 ? closes_under_call : closes_under_future, 1 + i / 2 % 4);
}

/* Anything at once. */
TEST(by_chance)
{
    static const enum fault calls[] = {
        FAULT_skuai_recv, FAULT_recvmsg,       FAULT_skuai_send, FAULT_sendmsg,    FAULT_readv,      FAULT_writev,
        FAULT_accept4,    FAULT_connect,       FAULT_socket,     FAULT_socketpair, FAULT_epoll_ctl,  FAULT_epoll_wait,
        FAULT_eventfd,    FAULT_epoll_create1, FAULT_fcntl,      FAULT_getsockopt, FAULT_setsockopt, FAULT_epoll_pwait2,
        FAULT_shutdown,   FAULT_close,         FAULT_read,       FAULT_write,      FAULT_bind,       FAULT_listen,
        FAULT_malloc,     FAULT_getsockname,   FAULT_syscall,    FAULT_open,       FAULT_sigtimedwait,
    };
    for (uint64_t i = 0; i < test_scaled(300); i++) {
        struct life life = { .address = i % 2 == 0 ? TCP : NULL, .workers = 1 + (uint32_t)i % 3 };
        faults_by_chance(calls, sizeof calls / sizeof calls[0], test_seed() + i, i % 3 == 0 ? 100 : 15, live, &life);
    }
}
