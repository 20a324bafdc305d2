/* Connections that come and go, 10,000 at scale 1, with peers of every kind: polite ones, and such that vanish, reset,
 * send garbage or urgent data or descriptors, a byte at a time, half-close, never read, are cancelled, or are closed
 * under who reads. The server echoes to all, by fibers and futures, over TCP and unix sockets. Polite peers get each
 * byte back; each connection that was accepted ends; at the end there is no descriptor, no byte and no source left. A
 * second test does it while descriptors run out. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <skua/socket.h>
#include <skua/stream.h>

#include "io/stream.h"
#include "support/with_runtime.h"

enum { PEERS = 96, THREADS = 2, CONNECTIONS = 10000, BLOCK = 1024 };

struct soak {
    uint64_t seed;
    uint64_t connections;                              /* to make */
    uint64_t made, accepted, ended, polite, turned_away; /* __atomic */
    skua_runtime *rt;
    skua_address addresses[2];
    skua_listener *listeners[2];
};

static void add(uint64_t *count, uint64_t n) { __atomic_fetch_add(count, n, __ATOMIC_RELAXED); }
static uint64_t get(uint64_t *count) { return __atomic_load_n(count, __ATOMIC_RELAXED); }

/* ---- the server ------------------------------------------------------------------------------------------------- */

struct session {
    struct soak *soak;
    skua_stream *peer;
};

static int echo(void *arg)
{
    struct session session = *(struct session *)arg;
    char block[BLOCK];
    ssize_t n;
    free(arg);
    while ((n = skua_read(session.peer, block, sizeof block)) > 0)
        if ((n = skua_write_all(session.peer, block, (size_t)n)) < 0)
            break;
    CHECK(n != -EAGAIN && n != -EINTR && n != -EBADF);
    skua_stream_close(session.peer);
    add(&session.soak->ended, 1);
    return 0;
}

struct echo_future {
    SKUA_FRAME;
    struct {
        struct soak *soak;
        skua_stream *peer;
    } in;
    skua_io io;
    char block[BLOCK / 4];
};
SKUA_ASYNC(echo_future)
{
    SKUA_BEGIN(self);
    for (;;) {
        SKUA_AWAIT(skua_read_start(&self->io, self->in.peer, self->block, sizeof self->block));
        if (SKUA_RESULT(&self->io) <= 0)
            break;
        SKUA_AWAIT(skua_write_all_start(&self->io, self->in.peer, self->block, (size_t)SKUA_RESULT(&self->io)));
        if (SKUA_RESULT(&self->io) < 0)
            break;
    }
    skua_stream_close(self->in.peer);
    add(&self->in.soak->ended, 1);
    SKUA_END(0);
}

static void begin_session(struct soak *soak, skua_stream *peer, bool in_future)
{
    skua_task *task;
    if (in_future) {
        CHECK_OK(SKUA_SPAWN(&task, echo_future, .soak = soak, .peer = peer));
        skua_detach(task);
        return;
    }
    struct session *session = malloc(sizeof *session);
    CHECK(session != NULL);
    *session = (struct session){ soak, peer };
    CHECK_OK(skua_go(echo, session));
}

struct server {
    struct soak *soak;
    skua_listener *listener;
};
static int serve(void *arg)
{
    struct server *server = arg;
    skua_stream *peer;
    int rc;
    while ((rc = skua_accept(server->listener, &peer, NULL)) >= 0)
        begin_session(server->soak, peer, (get(&server->soak->accepted) & 1) != 0), add(&server->soak->accepted, 1);
    CHECK_EQ(rc, -ECANCELED);
    add(&server->soak->turned_away, skua_listener_turned_away(server->listener));
    skua_listener_close(server->listener);
    return 0;
}

/* ---- peers ------------------------------------------------------------------------------------------------------ */

static char byte_at(uint64_t key, size_t at) { return (char)(key + at * 31 + (at >> 8)); }

static void fill(char *block, size_t size, uint64_t key, size_t from)
{
    for (size_t i = 0; i < size; i++)
        block[i] = byte_at(key, from + i);
}

/* False: the connection was not served, which may be while descriptors run out. */
static bool is_polite(skua_stream *stream, uint64_t random, size_t step)
{
    char sent[3 * BLOCK], got[3 * BLOCK];
    uint64_t key = random;
    size_t total = 1 + random % sizeof sent, done = 0;
    fill(sent, total, key, 0);
    for (size_t at = 0; at < total;) {
        size_t size = step < total - at ? step : total - at;
        if (skua_write_all(stream, sent + at, size) != (ssize_t)size)
            return false;
        at += size;
    }
    if (skua_read_exactly(stream, got, total, &done) != (ssize_t)total || memcmp(sent, got, total) != 0)
        return false;
    return skua_stream_shutdown_write(stream) == 0 && skua_read(stream, got, 1) == 0;
}

/* Writes until the server, whom it does not let write back, takes no more. */
static void never_reads(skua_stream *stream)
{
    static const char block[64 * BLOCK];
    for (int i = 0; i < 40; i++) {
        SKUA_DEADLINE(SKUA_MS / 2);
        if (skua_write_all(stream, block, sizeof block) < 0)
            break;
    }
}

/* Says that it sends no more, reads after a while, and gets all. */
static bool half_closes(skua_stream *stream, uint64_t random)
{
    char block[BLOCK];
    size_t total = 0, back = 0;
    ssize_t n = 1;
    fill(block, sizeof block, random, 0);
    for (int i = 0; i < 8; i++) {
        if (skua_write_all(stream, block, sizeof block) < 0)
            return false;
        total += sizeof block;
    }
    if (skua_stream_shutdown_write(stream) < 0)
        return false;
    (void)skua_sleep(random % (SKUA_MS / 2));
    while ((n = skua_read(stream, block, sizeof block)) > 0)
        back += (size_t)n;
    return n == 0 && back == total;
}

static void resets(skua_stream *stream)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };
    (void)setsockopt(skua_stream_fd(stream), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

static void sends_garbage(skua_stream *stream, uint64_t random)
{
    char block[100];
    int fd = skua_stream_fd(stream);
    for (int i = 0; i < 10; i++) {
        size_t size = 1 + test_rand(&random) % sizeof block;
        fill(block, size, random, 0);
        (void)send(fd, block, size, MSG_NOSIGNAL | MSG_DONTWAIT | (test_rand(&random) % 3 == 0 ? MSG_OOB : 0));
        SKUA_DEADLINE(SKUA_MS / 10);
        (void)skua_read(stream, block, sizeof block);
    }
}

static void sends_descriptors(skua_stream *stream)
{
    int fd = skua_stream_fd(stream);
    char byte = 'd';
    struct iovec vector = { &byte, 1 };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof control };
    memset(&control, 0, sizeof control);
    control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
                                       .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    for (int i = 0; i < 5; i++)
        (void)sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

struct reader_to_the_end {
    skua_stream *stream;
    bool ended; /* __atomic */
};

static int reads_to_the_end(void *arg)
{
    struct reader_to_the_end *reader = arg;
    char block[64];
    ssize_t n;
    while ((n = skua_read(reader->stream, block, sizeof block)) > 0)
        ;
    CHECK(n == -ECANCELED || n == -EBADF || n == -ECONNRESET || n == 0);
    __atomic_store_n(&reader->ended, true, __ATOMIC_RELEASE);
    return 0;
}

/* A call that has not begun must not be closed under: the handle may be another stream's by then. */
static void await_reader(struct reader_to_the_end *reader)
{
    struct skuai_source *source = skuai_stream_source(reader->stream);
    bool waits = false;
    while (!waits && !__atomic_load_n(&reader->ended, __ATOMIC_ACQUIRE)) {
        skua_yield();
        skuai_lock_acquire(&source->lock);
        waits = source->waiters[SKUAI_READING].first != NULL;
        skuai_lock_release(&source->lock);
    }
}

/* `stream` is closed here. */
static void is_closed_under_a_reader(skua_stream *stream, bool cancels)
{
    skua_task *task;
    struct reader_to_the_end reader = { stream, false };
    CHECK_OK(skua_spawn(&task, reads_to_the_end, &reader));
    (void)skua_write(stream, "x", 1);
    await_reader(&reader);
    if (cancels)
        skua_cancel(task);
    else
        skua_stream_close(stream);
    CHECK_OK(skua_join(task, NULL));
    if (cancels)
        skua_stream_close(stream);
}

enum behaviour { POLITE, BYTEWISE, HALF, LAST_POLITE = HALF, VANISH, LEAVE, RESET, GREEDY, GARBAGE, DESCRIPTORS,
                 CANCELLED, CLOSED, BEHAVIOURS };

/* Whether it went as the behaviour wants. */
static bool behave(skua_stream *stream, enum behaviour how, uint64_t random)
{
    bool right = true;
    char block[BLOCK];
    switch (how) {
    case POLITE:
        right = is_polite(stream, random, SIZE_MAX);
        break;
    case BYTEWISE:
        right = is_polite(stream, random % 200, 1);
        break;
    case HALF:
        right = half_closes(stream, random);
        break;
    case RESET:
        resets(stream);
        /* fall through */
    case LEAVE:
        fill(block, sizeof block, random, 0);
        (void)skua_write_all(stream, block, sizeof block);
        break;
    case GREEDY:
        never_reads(stream);
        break;
    case GARBAGE:
        sends_garbage(stream, random);
        break;
    case DESCRIPTORS:
        sends_descriptors(stream);
        break;
    case CANCELLED:
    case CLOSED:
        is_closed_under_a_reader(stream, how == CANCELLED);
        return true;
    default:
        break;
    }
    skua_stream_close(stream);
    return right;
}

static void connect_once(struct soak *soak, uint64_t number, int behaviours)
{
    uint64_t random = soak->seed + number;
    (void)test_rand(&random);
    enum behaviour how = (enum behaviour)(test_rand(&random) % (uint64_t)behaviours);
    const skua_address *address = &soak->addresses[test_rand(&random) % 4 == 0 ? 0 : 1];
    skua_stream *stream;
    CHECK_OK(skua_connect_to(&stream, address, &(skua_socket_options){ .runtime = soak->rt }));
    CHECK(behave(stream, how, test_rand(&random)));
    if (how <= LAST_POLITE)
        add(&soak->polite, 1);
}

static int peer(void *arg)
{
    struct soak *soak = arg;
    uint64_t number;
    while ((number = __atomic_fetch_add(&soak->made, 1, __ATOMIC_RELAXED)) < soak->connections)
        connect_once(soak, number, BEHAVIOURS);
    return 0;
}

/* A thread outside, which cannot be cancelled and spawns nothing. */
static void *outside_peer(void *arg)
{
    struct soak *soak = arg;
    uint64_t number;
    while ((number = __atomic_fetch_add(&soak->made, 1, __ATOMIC_RELAXED)) < soak->connections)
        connect_once(soak, number, CANCELLED);
    return NULL;
}

/* ---- soaks ------------------------------------------------------------------------------------------------------ */

static void listen_at_both(struct soak *soak, skua_task *tasks[2], struct server servers[2])
{
    char name[64];
    snprintf(name, sizeof name, "unix:@skua-stress-io-%d", (int)getpid());
    const char *const at[2] = { "tcp://127.0.0.1:0", name };
    for (int i = 0; i < 2; i++) {
        CHECK_OK(skua_listen(&soak->listeners[i], at[i], NULL));
        CHECK_OK(skua_listener_address(soak->listeners[i], &soak->addresses[i]));
        servers[i] = (struct server){ soak, soak->listeners[i] };
        CHECK_OK(skua_spawn(&tasks[i], serve, &servers[i]));
    }
}

static void end_servers(struct soak *soak, skua_task *tasks[2])
{
    /* A connection that was left at once may not have been accepted yet. */
    while (get(&soak->ended) + get(&soak->turned_away) < get(&soak->accepted))
        CHECK_OK(skua_sleep(SKUA_MS));
    for (int i = 0; i < 2; i++) {
        skua_cancel(tasks[i]);
        CHECK_OK(skua_join(tasks[i], NULL));
    }
    while (get(&soak->ended) < get(&soak->accepted))
        CHECK_OK(skua_sleep(SKUA_MS));
}

static int soak(void *arg)
{
    struct soak *soak = arg;
    struct server servers[2];
    skua_task *tasks[2], *peers[PEERS];
    pthread_t threads[THREADS];
    soak->rt = skua_runtime_self();
    listen_at_both(soak, tasks, servers);
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, outside_peer, soak), 0);
    for (int i = 0; i < PEERS; i++)
        CHECK_OK(skua_spawn(&peers[i], peer, soak));
    for (int i = 0; i < PEERS; i++)
        CHECK_OK(skua_join(peers[i], NULL));
    for (int i = 0; i < THREADS; i++)
        while (pthread_tryjoin_np(threads[i], NULL) != 0)
            CHECK_OK(skua_sleep(SKUA_MS));
    end_servers(soak, tasks);
    CHECK(get(&soak->accepted) <= soak->connections && get(&soak->turned_away) == 0);
    CHECK(get(&soak->polite) != 0 && get(&soak->ended) >= get(&soak->polite));
    return 0;
}

TEST(connections_come_and_go)
{
    static const uint32_t workers[] = { 1, 2, 8 };
    static const uint64_t share[] = { 1, 3, 6 }; /* of ten */
    for (int i = 0; i < 3; i++) {
        struct soak all = { .seed = test_seed() * 1000003 + (uint64_t)i,
                            .connections = test_scaled(CONNECTIONS * share[i] / 10) };
        CHECK_EQ(run_on(workers[i], soak, &all), 0);
        printf("  %u workers: %llu accepted of %llu\n", workers[i], (unsigned long long)all.accepted,
               (unsigned long long)all.connections);
    }
}

/* ---- descriptors run out ---------------------------------------------------------------------------------------- */

/* Comes again until it is served. It does not wait for ever: if the descriptor in reserve went to a peer that connects,
 * the peers hold all there are, and the server none. */
static int stubborn_peer(void *arg)
{
    struct soak *soak = arg;
    for (uint64_t number; (number = __atomic_fetch_add(&soak->made, 1, __ATOMIC_RELAXED)) < soak->connections;) {
        for (bool served = false; !served;) {
            skua_stream *stream;
            uint64_t random = soak->seed + number;
            int rc = skua_connect_to(&stream, &soak->addresses[number % 2], NULL);
            CHECK(rc == 0 || rc == -EMFILE);
            if (rc == 0) {
                SKUA_DEADLINE(100 * SKUA_MS);
                served = behave(stream, (enum behaviour)(number % (LAST_POLITE + 1)), test_rand(&random));
            }
            if (!served)
                CHECK_OK(skua_sleep(SKUA_MS));
        }
        add(&soak->polite, 1);
    }
    return 0;
}

static int out_of_descriptors(void *arg)
{
    enum { FEW = 24, STUBBORN = 16 }; /* fewer than there are, so that some are left for the server */
    struct soak *soak = arg;
    struct server servers[2];
    struct rlimit before;
    skua_task *tasks[2], *peers[STUBBORN];
    int next;
    listen_at_both(soak, tasks, servers);
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    CHECK((next = dup(0)) >= 0 && close(next) == 0);
    struct rlimit few = { .rlim_cur = (rlim_t)next + FEW, .rlim_max = before.rlim_max };
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (int i = 0; i < STUBBORN; i++)
        CHECK_OK(skua_spawn(&peers[i], stubborn_peer, soak));
    for (int i = 0; i < STUBBORN; i++)
        CHECK_OK(skua_join(peers[i], NULL));
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    end_servers(soak, tasks);
    CHECK_EQ(get(&soak->polite), soak->connections);
    return 0;
}

TEST(descriptors_run_out)
{
    for (uint32_t workers = 1; workers <= 4; workers *= 4) {
        struct soak all = { .seed = test_seed(), .connections = test_scaled(200) };
        CHECK_EQ(run_on(workers, out_of_descriptors, &all), 0);
        printf("  %u workers: %llu turned away\n", workers, (unsigned long long)all.turned_away);
    }
}
