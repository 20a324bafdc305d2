/* Names with a resolver that fails in each of its ways, or does not answer; connecting to a name with the system calls
 * of each of its addresses failing. Who is cancelled does not wait for the resolver. Nothing is left over. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <skua/resolve.h>
#include <skua/socket.h>

#include "support/faults.h"
#include "support/test.h"

static bool done(int64_t rc)
{
    if (rc >= 0)
        return true;
    if (faults_is_armed(FAULT_getaddrinfo, 0) || faults_is_armed(FAULT_connect, 0) || !faults_may_refuse())
        test_fail(__FILE__, __LINE__, "%s (%lld), though nothing was refused", skua_strerror((int)rc), (long long)rc);
    CHECK(rc != -EINTR && rc != -EBADF && rc != -ECANCELED && rc != -EINPROGRESS);
    return false;
}

/* A listener of the test's own, at 127.0.0.1 only; nobody accepts. */
struct world {
    int fd;
    char name[64];
    skua_runtime *rt;
};

static void make_world(struct world *world)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t length = sizeof address;
    world->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(world->fd >= 0);
    CHECK_EQ(bind(world->fd, (struct sockaddr *)(void *)&address, length), 0);
    CHECK_EQ(listen(world->fd, 100), 0);
    CHECK_EQ(getsockname(world->fd, (struct sockaddr *)(void *)&address, &length), 0);
    snprintf(world->name, sizeof world->name, "tcp://many.test:%u", (unsigned)ntohs(address.sin_port));
}

static void check_two(const skua_address *addresses, size_t count)
{
    char text[SKUA_ADDRESS_TEXT_MAX];
    CHECK_EQ(count, 2);
    CHECK(skua_address_format(&addresses[0], text, sizeof text) > 0);
    CHECK_STR(text, "tcp://[::1]:7");
    CHECK(skua_address_format(&addresses[1], text, sizeof text) > 0);
    CHECK_STR(text, "tcp://127.0.0.1:7");
}

struct asks {
    SKUA_FRAME;
    struct { const char *text; } in;
    skua_resolving names;
};
SKUA_ASYNC(asks)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_resolve_start(&self->names, self->in.text));
    if (SKUA_RESULT(&self->names) == 0) {
        check_two(self->names.addresses, self->names.count);
        skua_addresses_free(self->names.addresses);
    }
    SKUA_END(SKUA_RESULT(&self->names));
}

static void ask(void)
{
    skua_address *addresses;
    size_t count;
    if (done(skua_resolve(&addresses, &count, "tcp://many.test:7"))) {
        check_two(addresses, count);
        skua_addresses_free(addresses);
    }
    if (done(skua_resolve(&addresses, &count, "udp://127.0.0.1:7"))) {
        CHECK_EQ(count, 1);
        skua_addresses_free(addresses);
    }
}

static void connect_by_name(const struct world *world)
{
    skua_stream *stream;
    skua_listener *listener;
    const skua_socket_options options = { .runtime = world->rt };
    if (done(skua_connect(&stream, world->name, &options)))
        skua_stream_close(stream);
    skua_connect_op op;
    skua_sleep_op late;
    CHECK_EQ(SKUA_SELECT(skua_connect_prepare(&op, &stream, world->name, &options),
                         skua_sleep_prepare(&late, 60 * SKUA_S)), 0);
    if (done(op.result))
        skua_stream_close(stream);
    if (done(skua_listen(&listener, "tcp://many.test:0", &options)))
        skua_listener_close(listener);
}

static int body(void *arg)
{
    struct asks frame;
    ask();
    (void)done(skua_await_future(SKUA_FUTURE(&frame, asks, .text = "tcp://many.test:7")));
    connect_by_name(arg);
    return 0;
}

static void *thread_body(void *arg)
{
    ask();
    connect_by_name(arg);
    return NULL;
}

static void live(void *arg)
{
    struct world world;
    pthread_t thread;
    skua_config config = faults_config(*(const uint32_t *)arg, true);
    if (!faults_done(skua_runtime_create(&world.rt, &config)))
        return;
    make_world(&world);
    (void)done(skua_block_on(world.rt, body, &world));
    CHECK_EQ(pthread_create(&thread, NULL, thread_body, &world), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    close(world.fd);
    CHECK_EQ(skua_runtime_shutdown(world.rt, SKUA_NEVER, SKUA_NEVER), 0);
    CHECK_EQ(skua_runtime_destroy(world.rt), 0);
}

#define LIVE(...)                                   \
    do {                                            \
        uint32_t workers_ = 2;                      \
        FAULTS_EACH(live, &workers_, __VA_ARGS__);  \
    } while (0)

TEST(the_resolver) { LIVE(FAULT_getaddrinfo); }
TEST(sockets_of_a_name) { LIVE(FAULT_socket, FAULT_connect, FAULT_getsockopt, FAULT_bind, FAULT_epoll_ctl); }
TEST(memory_and_threads) { LIVE(FAULT_calloc, FAULT_malloc, FAULT_application_alloc, FAULT_pthread_create); }

TEST(by_chance)
{
    static const enum fault calls[] = {
        FAULT_getaddrinfo, FAULT_socket, FAULT_connect, FAULT_getsockopt, FAULT_bind, FAULT_epoll_ctl, FAULT_calloc,
        FAULT_malloc, FAULT_pthread_create, FAULT_listen, FAULT_getsockname,
    };
    for (uint64_t i = 0; i < test_scaled(200); i++) {
        uint32_t workers = 1 + (uint32_t)i % 4;
        faults_by_chance(calls, sizeof calls / sizeof calls[0], test_seed() + i, i % 3 == 0 ? 100 : 15, live, &workers);
    }
}

static void run(uint32_t workers, skua_fiber_fn *fn, void *arg)
{
    skua_config config = faults_config(workers, true);
    skua_runtime *rt;
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_EQ(skua_block_on(rt, fn, arg), 0);
    CHECK_EQ(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER), 0);
    faults_hold_names(false); /* the destruction waits for the resolver */
    CHECK_EQ(skua_runtime_destroy(rt), 0);
}

/* Which error is which. */
static int gets_error(void *arg)
{
    const int *expected = arg;
    skua_address *addresses = NULL;
    size_t count;
    CHECK_EQ(skua_resolve(&addresses, &count, "tcp://many.test:7"), *expected);
    CHECK_EQ(addresses == NULL, *expected < 0);
    skua_addresses_free(addresses);
    return 0;
}
TEST(what_the_resolvers_errors_become)
{
    static int expected[] = { 0, -ENOENT, -EAGAIN, -EIO, -ENOMEM, -EMFILE, -EAFNOSUPPORT, -ENAMETOOLONG };
    for (int way = 0; way < (int)(sizeof expected / sizeof expected[0]); way++) {
        faults_arm(FAULT_getaddrinfo, way, 1, 1);
        run(2, gets_error, &expected[way]);
        faults_disarm();
    }
}

/* While nobody answers. */
static int asks_slowly(void *arg)
{
    (void)arg;
    skua_address *addresses;
    size_t count;
    int rc = skua_resolve(&addresses, &count, "tcp://slow.test:7");
    if (rc == 0) {
        check_two(addresses, count);
        skua_addresses_free(addresses);
    }
    return rc;
}
static int gives_up(void *arg)
{
    (void)arg;
    enum { TASKS = 8 };
    skua_task *tasks[TASKS];
    skua_stream *stream;
    int64_t result;
    faults_hold_names(true);
    for (int i = 0; i < TASKS; i++)
        CHECK_OK(i % 2 ? skua_spawn(&tasks[i], asks_slowly, NULL)
                       : SKUA_SPAWN(&tasks[i], asks, .text = "tcp://slow.test:7"));
    while (faults_names_held() < TASKS)
        CHECK_OK(skua_sleep(SKUA_MS / 10));
    for (int i = 0; i < TASKS - 2; i++) {
        skua_cancel(tasks[i]);
        CHECK_OK(skua_join(tasks[i], &result));
        CHECK_EQ(result, -ECANCELED);
    }
    {
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(skua_connect(&stream, "tcp://slow.test:7", NULL), -ETIMEDOUT);
    }
    {
        skua_connecting connecting;
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(skua_await_frame(skua_connect_start(&connecting, &stream, "tcp://slow.test:7", NULL)), -ETIMEDOUT);
    }
    skua_connect_op connect;
    skua_sleep_op late;
    for (int i = 0; i < 3; i++)
        CHECK_EQ(SKUA_SELECT(skua_connect_prepare(&connect, &stream, "tcp://slow.test:7", NULL),
                             skua_sleep_prepare(&late, SKUA_MS)), 1);
    CHECK(faults_names_held() >= TASKS);
    faults_hold_names(false);
    for (int i = TASKS - 2; i < TASKS; i++) { /* those who have waited */
        CHECK_OK(skua_join(tasks[i], &result));
        CHECK_OK(result);
    }
    faults_hold_names(true);
    SKUA_DEADLINE(SKUA_MS);
    CHECK_EQ(asks_slowly(NULL), -ETIMEDOUT);
    return 0; /* with a question that is still open */
}
TEST(nobody_waits_for_the_resolver_who_is_cancelled)
{
    for (uint32_t workers = 1; workers <= 8; workers *= 2)
        run(workers, gives_up, NULL);
}
