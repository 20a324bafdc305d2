/* Accepting and connecting in futures and as arms of selects, by fibers, futures, jobs and plain threads: every
 * connection goes to one who accepts or stays with the kernel, an arm that loses leaves nothing behind, and steps of
 * one arm do not undo those of another. */
#define _GNU_SOURCE
#include "skua/socket.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>

#include "support/addresses.h"
#include "support/with_runtime.h"

#define LOCAL "tcp://127.0.0.1:0"

static void add(uint64_t *count, uint64_t n) { __atomic_fetch_add(count, n, __ATOMIC_RELAXED); }
static uint64_t get(const uint64_t *count) { return __atomic_load_n(count, __ATOMIC_RELAXED); }

/* A connection of a plain socket's, which is in the backlog when this returns. */
static int connect_plainly(const skua_address *address)
{
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_EQ(connect(fd, skuai_address_sockaddr(address), address->length), 0);
    return fd;
}

static skua_listener *listen_at(const char *text, skua_address *address, skua_runtime *rt)
{
    skua_listener *listener;
    CHECK_OK(skua_listen(&listener, text, &(skua_socket_options){ .runtime = rt }));
    CHECK_OK(skua_listener_address(listener, address));
    return listener;
}

/* ---- all who can accept, at one listener ------------------------------------------------------------------------ */

enum { CLIENTS = 60 };

struct contest {
    skua_listener *listener;
    skua_address address;
    skua_event stop, go;
    uint64_t accepted, begun; /* __atomic */
};

static void take(struct contest *contest, skua_stream *peer)
{
    add(&contest->accepted, 1);
    CHECK_EQ(skua_stream_shutdown_write(peer), 0);
    skua_stream_close(peer);
}

static int accepts_straight(void *arg)
{
    struct contest *contest = arg;
    skua_stream *peer;
    int rc;
    while ((rc = skua_accept(contest->listener, &peer, NULL)) == 0)
        take(contest, peer);
    CHECK_EQ(rc, -ECANCELED);
    return 0;
}

struct accepts {
    SKUA_FRAME;
    struct { struct contest *contest; } in;
    skua_accepting accepting;
    skua_stream *peer;
    skua_address from;
};
SKUA_ASYNC(accepts)
{
    SKUA_BEGIN(self);
    for (;;) {
        add(&self->in.contest->begun, 1);
        SKUA_AWAIT(skua_accept_start(&self->accepting, self->in.contest->listener, &self->peer, &self->from));
        if (SKUA_RESULT(&self->accepting) != 0)
            break;
        CHECK_EQ(self->from.storage.ss_family, AF_INET);
        take(self->in.contest, self->peer);
    }
    CHECK_EQ(SKUA_RESULT(&self->accepting), -ECANCELED);
    SKUA_END(0);
}

struct selects {
    SKUA_FRAME;
    struct { struct contest *contest; } in;
    skua_accept_op accept;
    skua_op stop;
    skua_op *arms[2];
    skua_selection selection;
    skua_stream *peer;
};
SKUA_ASYNC(selects)
{
    SKUA_BEGIN(self);
    self->arms[0] = skua_accept_prepare(&self->accept, self->in.contest->listener, &self->peer, NULL);
    self->arms[1] = skua_event_wait_prepare(&self->stop, &self->in.contest->stop);
    for (;;) {
        SKUA_AWAIT(skua_select_start(&self->selection, self->arms, 2));
        if (SKUA_RESULT(&self->selection) != 0)
            break;
        CHECK_OK(self->accept.result);
        take(self->in.contest, self->peer);
    }
    CHECK(SKUA_RESULT(&self->selection) == 1 || SKUA_RESULT(&self->selection) == -ECANCELED);
    SKUA_END(0);
}

static int select_until_stopped(struct contest *contest)
{
    skua_accept_op accept;
    skua_op stop;
    skua_stream *peer;
    int64_t arm;
    while ((arm = SKUA_SELECT(skua_event_wait_prepare(&stop, &contest->stop),
                              skua_accept_prepare(&accept, contest->listener, &peer, NULL))) == 1) {
        CHECK_OK(accept.result);
        take(contest, peer);
    }
    CHECK_EQ(arm, 0);
    return 0;
}
static int selects_straight(void *arg) { return select_until_stopped(arg); }
SKUA_PARALLEL(int, selects_as_job, struct contest *, contest) { return select_until_stopped(contest); }
static int runs_job(void *arg) { return SKUA_RUN(selects_as_job, arg); }
static void *selects_as_thread(void *arg)
{
    select_until_stopped(arg);
    return NULL;
}

static int connects(void *arg)
{
    struct contest *contest = arg;
    skua_stream *stream;
    char byte;
    CHECK_OK(skua_connect_to(&stream, &contest->address, NULL));
    CHECK_EQ(skua_read(stream, &byte, 1), 0);
    skua_stream_close(stream);
    return 0;
}

static int contends(void *arg)
{
    struct contest *contest = arg;
    skua_task *acceptors[2], *selecters[3], *clients[CLIENTS];
    pthread_t thread;
    contest->listener = listen_at(LOCAL, &contest->address, skua_runtime_self());
    CHECK_OK(skua_spawn(&acceptors[0], accepts_straight, contest));
    CHECK_OK(SKUA_SPAWN(&acceptors[1], accepts, .contest = contest));
    CHECK_OK(SKUA_SPAWN(&selecters[0], selects, .contest = contest));
    CHECK_OK(skua_spawn(&selecters[1], selects_straight, contest));
    CHECK_OK(skua_spawn(&selecters[2], runs_job, contest));
    CHECK_EQ(pthread_create(&thread, NULL, selects_as_thread, contest), 0);
    for (int i = 0; i < CLIENTS; i++)
        CHECK_OK(skua_spawn(&clients[i], connects, contest));
    for (int i = 0; i < CLIENTS; i++)
        CHECK_OK(skua_join(clients[i], NULL));
    CHECK_EQ(get(&contest->accepted), CLIENTS);
    skua_event_set(&contest->stop);
    for (int i = 0; i < 3; i++)
        CHECK_OK(skua_join(selecters[i], NULL));
    for (int i = 0; i < 2; i++)
        skua_cancel(acceptors[i]);
    for (int i = 0; i < 2; i++)
        CHECK_OK(skua_join(acceptors[i], NULL));
    CHECK_EQ(pthread_join(thread, NULL), 0);
    skua_listener_close(contest->listener);
    return 0;
}
TEST(each_connection_goes_to_one)
{
    for (uint32_t workers = 1; workers <= 8; workers *= 2) {
        struct contest contest = { .accepted = 0 };
        skua_event_init(&contest.stop, SKUA_EVENT_MANUAL);
        CHECK_EQ(run_on(workers, contends, &contest), 0);
    }
}

/* ---- who is interrupted ----------------------------------------------------------------------------------------- */

enum { BACKLOG = 6, ACCEPTORS = 4 };

/* Takes what is left, which is so many. */
static void drain(skua_listener *listener, uint64_t count)
{
    skua_accept_op op;
    skua_stream *peer;
    skua_op *arm = skua_accept_prepare(&op, listener, &peer, NULL);
    for (uint64_t i = 0; i < count; i++) {
        CHECK_EQ(skua_select_until(&arm, 1, skua_after(20 * SKUA_S)), 0);
        CHECK_OK(op.result);
        skua_stream_close(peer);
    }
    CHECK_EQ(skua_select_try(&arm, 1), -EAGAIN);
}

/* Whenever acceptors are cancelled: what they have not handed out is there for the next. */
static int gives_up_at(struct contest *contest, uint64_t *random)
{
    skua_task *tasks[ACCEPTORS];
    int fds[BACKLOG];
    contest->accepted = 0;
    contest->listener = listen_at(LOCAL, &contest->address, NULL);
    for (int i = 0; i < ACCEPTORS; i += 2) {
        CHECK_OK(SKUA_SPAWN(&tasks[i], accepts, .contest = contest));
        CHECK_OK(SKUA_SPAWN(&tasks[i + 1], selects, .contest = contest));
    }
    for (int i = 0; i < BACKLOG; i++) {
        fds[i] = connect_plainly(&contest->address);
        for (uint64_t yields = test_rand(random) % 4; yields > 0; yields--)
            skua_yield();
        if (i < ACCEPTORS)
            skua_cancel(tasks[i]);
    }
    for (int i = 0; i < ACCEPTORS; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    CHECK(get(&contest->accepted) <= BACKLOG);
    drain(contest->listener, BACKLOG - get(&contest->accepted));
    for (int i = 0; i < BACKLOG; i++)
        CHECK_EQ(close(fds[i]), 0);
    skua_listener_close(contest->listener);
    return 0;
}
static int gives_up(void *arg)
{
    uint64_t random = test_seed();
    for (uint64_t i = 0; i < test_scaled(60); i++)
        CHECK_EQ(gives_up_at(arg, &random), 0);
    return 0;
}
TEST(who_is_cancelled_takes_none_away)
{
    for (uint32_t workers = 1; workers <= 4; workers++) {
        struct contest contest = { .accepted = 0 };
        skua_event_init(&contest.stop, SKUA_EVENT_MANUAL);
        CHECK_EQ(run_on(workers, gives_up, &contest), 0);
    }
}

static int is_late(void *arg)
{
    struct world *world = arg;
    const skua_address silent[] = { world->silent, world->silent, world->silent };
    const skua_socket_options options = { .attempt_delay_ms = 1 };
    skua_address address;
    skua_listener *listener = listen_at(LOCAL, &address, NULL);
    skua_stream *stream = NULL;
    skua_accepting accepting;
    skua_connecting connecting;
    skua_accept_op accept;
    skua_connect_op connect;
    {
        SKUA_DEADLINE(3 * SKUA_MS);
        CHECK_EQ(skua_await_frame(skua_accept_start(&accepting, listener, &stream, NULL)), -ETIMEDOUT);
        CHECK_EQ(skua_await_frame(skua_connect_any_start(&connecting, &stream, silent, 3, &options)), -ETIMEDOUT);
        CHECK_EQ(SKUA_SELECT(skua_accept_prepare(&accept, listener, &stream, NULL)), -ETIMEDOUT);
    }
    {
        SKUA_DEADLINE(3 * SKUA_MS);
        CHECK_EQ(SKUA_SELECT(skua_accept_prepare(&accept, listener, &stream, NULL),
                             skua_connect_any_prepare(&connect, &stream, silent, 3, &options)), -ETIMEDOUT);
    }
    {
        SKUA_DEADLINE(3 * SKUA_MS);
        CHECK_EQ(skua_await_frame(skua_connect_to_start(&connecting, &stream, silent, NULL)), -ETIMEDOUT);
    }
    CHECK(stream == NULL);
    skua_listener_close(listener);
    return 0;
}
TEST(deadlines)
{
    struct world world;
    make_world(&world);
    if (!world.has_silent) {
        end_world(&world);
        TEST_SKIP("a full backlog answers here");
    }
    CHECK_EQ(run_on(1, is_late, &world), 0);
    CHECK_EQ(run_on(4, is_late, &world), 0);
    end_world(&world);
}

static int closes(void *arg)
{
    skua_task *task;
    int64_t result;
    struct contest *contest = arg;
    skua_stream *peer;
    skua_accept_op accept;
    for (int i = 0; i < 20; i++) {
        contest->listener = listen_at(LOCAL, &contest->address, NULL);
        contest->begun = 0;
        CHECK_OK(SKUA_SPAWN(&task, accepts, .contest = contest));
        while (get(&contest->begun) == 0)
            skua_yield();
        CHECK_OK(skua_sleep(5 * SKUA_MS)); /* it may not be about to call */
        skua_listener_close(contest->listener);
        CHECK_OK(skua_join(task, &result));
        CHECK_OK(result);
    }
    contest->listener = listen_at(LOCAL, &contest->address, NULL);
    skua_sleep_op nap;
    CHECK_EQ(SKUA_SELECT(skua_accept_prepare(&accept, contest->listener, &peer, NULL), skua_sleep_prepare(&nap, 1)), 1);
    skua_listener_close(contest->listener);
    return 0;
}
/* An arm is told, too. */
static int closed_under_select(void *arg)
{
    struct contest *contest = arg;
    skua_stream *peer;
    skua_accept_op accept;
    skua_op stop;
    CHECK_EQ(SKUA_SELECT(skua_event_wait_prepare(&stop, &contest->stop),
                         skua_accept_prepare(&accept, contest->listener, &peer, NULL)), 1);
    CHECK_EQ(accept.result, -ECANCELED);
    return 0;
}
static void *closed_under_thread(void *arg)
{
    closed_under_select(arg);
    return NULL;
}
static int closes_under(void *arg)
{
    struct contest *contest = arg;
    skua_task *task;
    pthread_t thread;
    contest->listener = listen_at(LOCAL, &contest->address, skua_runtime_self());
    CHECK_OK(skua_spawn(&task, closed_under_select, contest));
    CHECK_EQ(pthread_create(&thread, NULL, closed_under_thread, contest), 0);
    CHECK_OK(skua_sleep(20 * SKUA_MS));
    skua_listener_close(contest->listener);
    CHECK_OK(skua_join(task, NULL));
    CHECK_EQ(pthread_join(thread, NULL), 0);
    return 0;
}
TEST(closing_ends_waits)
{
    struct contest contest = { .accepted = 0 };
    skua_event_init(&contest.stop, SKUA_EVENT_MANUAL);
    CHECK_EQ(run_on(1, closes, &contest), 0);
    CHECK_EQ(run_on(4, closes, &contest), 0);
    CHECK_EQ(run_on(2, closes_under, &contest), 0);
}

/* ---- who has no descriptors ------------------------------------------------------------------------------------- */

enum { WAITING = 24, RESTS_NS = 5000000 };

/* Descriptors run out for a while, in which connections are turned away, with a rest after each: and then no more. */
static int runs_out(struct contest *contest, skua_task *task)
{
    int fds[WAITING];
    struct rlimit before;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    int highest = -1;
    for (int i = 0; i < WAITING; i++) { /* who accepts is not interested before it is started */
        fds[i] = connect_plainly(&contest->address);
        highest = fds[i] > highest ? fds[i] : highest;
    }
    struct rlimit none = { (rlim_t)highest + 1, before.rlim_max };
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    uint64_t begin_ns = skua_now();
    skua_event_set(&contest->go);
    while (skua_listener_turned_away(contest->listener) < 4)
        CHECK_OK(skua_sleep(SKUA_MS));
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    uint64_t rests = (skua_now() - begin_ns) / RESTS_NS + 1, turned = skua_listener_turned_away(contest->listener);
    CHECK(turned >= 4 && turned <= rests);
    for (int i = 0; i < WAITING; i++)
        CHECK_EQ(close(fds[i]), 0);
    while (get(&contest->accepted) + skua_listener_turned_away(contest->listener) < WAITING)
        CHECK_OK(skua_sleep(SKUA_MS));
    CHECK_EQ(get(&contest->accepted) + skua_listener_turned_away(contest->listener), WAITING);
    skua_event_set(&contest->stop);
    if (task != NULL) {
        skua_cancel(task);
        CHECK_OK(skua_join(task, NULL));
    }
    return 0;
}

static void begin_contest(struct contest *contest)
{
    contest->listener = listen_at(LOCAL, &contest->address, skua_runtime_self());
    contest->accepted = 0;
    skua_event_init(&contest->stop, SKUA_EVENT_MANUAL);
    skua_event_init(&contest->go, SKUA_EVENT_MANUAL);
}

static int straight_from_go(void *arg)
{
    struct contest *contest = arg;
    CHECK_OK(skua_event_wait(&contest->go));
    return accepts_straight(arg);
}
static int future_from_go(void *arg)
{
    struct accepts here;
    struct contest *contest = arg;
    CHECK_OK(skua_event_wait(&contest->go));
    return (int)skua_await_future(SKUA_FUTURE(&here, accepts, .contest = contest));
}
/* Other arms are often ready meanwhile. */
static int select_from_go(void *arg)
{
    struct contest *contest = arg;
    skua_accept_op accept;
    skua_stream *peer;
    skua_sleep_op tick;
    skua_op *arms[2] = { skua_accept_prepare(&accept, contest->listener, &peer, NULL), NULL };
    int64_t arm;
    uint64_t ticks = 0;
    CHECK_OK(skua_event_wait(&contest->go));
    for (;;) {
        arms[1] = skua_sleep_prepare(&tick, SKUA_MS / 4);
        arm = skua_select(arms, 2);
        if (arm < 0)
            break;
        ticks += arm == 1;
        if (arm == 0) {
            CHECK_OK(accept.result);
            take(contest, peer);
        }
    }
    CHECK_EQ(arm, -ECANCELED);
    CHECK(ticks > 0);
    return 0;
}
static void *thread_from_go(void *arg)
{
    struct contest *contest = arg;
    CHECK_OK(skua_event_wait(&contest->go));
    select_until_stopped(contest);
    return NULL;
}

static int all_run_out(void *arg)
{
    static skua_fiber_fn *const ways[] = { straight_from_go, future_from_go, select_from_go };
    struct contest *contest = arg;
    skua_task *task;
    pthread_t thread;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        begin_contest(contest);
        CHECK_OK(skua_spawn(&task, ways[i], contest));
        CHECK_EQ(runs_out(contest, task), 0);
        skua_listener_close(contest->listener);
    }
    begin_contest(contest);
    CHECK_EQ(pthread_create(&thread, NULL, thread_from_go, contest), 0);
    CHECK_EQ(runs_out(contest, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    skua_listener_close(contest->listener);
    return 0;
}
TEST(a_rest_after_each_that_is_turned_away)
{
    struct contest contest;
    CHECK_EQ(run_on(1, all_run_out, &contest), 0);
    CHECK_EQ(run_on(2, all_run_out, &contest), 0);
}

/* ---- selects ---------------------------------------------------------------------------------------------------- */

/* Of two that are ready one is taken, and the other stays. */
static int takes_one_of_two(void *arg)
{
    skua_listener *listeners[2];
    skua_address addresses[2];
    skua_accept_op ops[2];
    skua_op *arms[2];
    skua_stream *peers[2];
    (void)arg;
    for (int i = 0; i < 2; i++) {
        listeners[i] = listen_at(LOCAL, &addresses[i], NULL);
        arms[i] = skua_accept_prepare(&ops[i], listeners[i], &peers[i], NULL);
    }
    CHECK_EQ(skua_select_try(arms, 2), -EAGAIN);
    for (int round = 0; round < 20; round++) {
        int fds[2] = { connect_plainly(&addresses[0]), connect_plainly(&addresses[1]) };
        int64_t first = skua_select(arms, 2);
        CHECK(first >= 0 && ops[first].result == 0);
        skua_stream_close(peers[first]);
        CHECK_EQ(skua_select(arms, 2), 1 - first);
        CHECK_OK(ops[1 - first].result);
        skua_stream_close(peers[1 - first]);
        drain(listeners[0], 0);
        drain(listeners[1], 0);
        CHECK_EQ(close(fds[0]) + close(fds[1]), 0);
    }
    for (int i = 0; i < 2; i++)
        skua_listener_close(listeners[i]);
    return 0;
}
TEST(one_of_two_listeners)
{
    CHECK_EQ(run_on(1, takes_one_of_two, NULL), 0);
    CHECK_EQ(run_on(4, takes_one_of_two, NULL), 0);
}

/* One select connects with itself: whichever arm takes effect, the other's end is noticed. */
static int meets_itself(skua_runtime *rt)
{
    static const char *const places[] = { LOCAL, "unix:@skua-test-socket-arms" };
    const skua_socket_options options = { .runtime = rt };
    for (int round = 0; round < 40; round++) {
        skua_address address;
        skua_listener *listener = listen_at(places[round % 2], &address, rt);
        skua_accept_op accept;
        skua_connect_op connect;
        skua_stream *in = NULL, *out = NULL;
        char byte;
        int64_t arm = SKUA_SELECT(skua_accept_prepare(&accept, listener, &in, NULL),
                                  skua_connect_to_prepare(&connect, &out, &address, &options));
        CHECK(arm == 0 || arm == 1);
        CHECK_OK(arm == 0 ? accept.result : connect.result);
        CHECK((in != NULL) == (arm == 0) && (out != NULL) == (arm == 1));
        if (arm == 1)
            drain(listener, 1);
        ssize_t n = skua_read(arm == 0 ? in : out, &byte, 1);
        CHECK(n == 0 || n == -ECONNRESET);
        skua_stream_close(arm == 0 ? in : out);
        skua_listener_close(listener);
    }
    return 0;
}
static int meets(void *arg) { return meets_itself(arg); }
TEST(a_select_meets_itself)
{
    CHECK_EQ(run_on(1, meets, NULL), 0);
    CHECK_EQ(run_on(4, meets, NULL), 0);
}

/* Several in one select, each with steps of its own, which do not begin again for the others' steps. */
static int races(struct world *world, skua_runtime *rt)
{
    const skua_address lists[2][4] = { { world->silent, world->silent, world->refusing, world->open },
                                       { world->silent, world->refusing, world->silent, world->open } };
    const skua_socket_options options = { .attempt_delay_ms = 3, .runtime = rt };
    skua_address address;
    skua_listener *listener = listen_at(LOCAL, &address, rt);
    for (int round = 0; round < 5; round++) {
        skua_accept_op accept;
        skua_connect_op ops[2];
        skua_sleep_op late;
        skua_stream *streams[2] = { NULL, NULL }, *peer = NULL;
        int64_t arm = SKUA_SELECT(skua_connect_any_prepare(&ops[0], &streams[0], lists[0], 4, &options),
                                  skua_connect_any_prepare(&ops[1], &streams[1], lists[1], 4, &options),
                                  skua_accept_prepare(&accept, listener, &peer, NULL),
                                  skua_sleep_prepare(&late, 20 * SKUA_S));
        CHECK(arm == 0 || arm == 1);
        CHECK_OK(ops[arm].result);
        CHECK(streams[arm] != NULL && streams[1 - arm] == NULL && peer == NULL);
        skua_stream_close(streams[arm]);
    }
    skua_listener_close(listener);
    return 0;
}
static int races_here(void *arg) { return races(arg, NULL); }

/* Another arm takes effect while one connects. */
static int loses(struct world *world, skua_runtime *rt)
{
    const skua_address silent[] = { world->silent, world->silent, world->silent };
    const skua_socket_options options = { .attempt_delay_ms = 1, .runtime = rt };
    skua_connect_op connect;
    skua_sleep_op nap;
    skua_stream *stream = NULL;
    skua_op *arms[2] = { skua_connect_any_prepare(&connect, &stream, silent, 3, &options), NULL };
    for (uint64_t i = 0; i < 8; i++) { /* as it is, again and again */
        arms[1] = skua_sleep_prepare(&nap, i * SKUA_MS / 2);
        CHECK_EQ(skua_select(arms, 2), 1);
        CHECK_EQ(skua_select_try(arms, 1), -EAGAIN);
    }
    CHECK(stream == NULL);
    return 0;
}
static int loses_here(void *arg) { return loses(arg, NULL); }
TEST(steps_of_several_arms)
{
    struct world world;
    make_world(&world);
    if (!world.has_silent) {
        end_world(&world);
        TEST_SKIP("a full backlog answers here");
    }
    CHECK_EQ(run_on(1, races_here, &world), 0);
    CHECK_EQ(run_on(4, races_here, &world), 0);
    CHECK_EQ(run_on(1, loses_here, &world), 0);
    CHECK_EQ(run_on(4, loses_here, &world), 0);
    end_world(&world);
}

/* ---- connecting ------------------------------------------------------------------------------------------------- */

struct dials {
    SKUA_FRAME;
    struct { const struct world *world; const char *refusing, *open, *name; } in;
    union {
        skua_connecting connecting;
        skua_io io;
    };
    skua_address list[3];
    skua_stream *stream;
};

SKUA_ASYNC(dials)
{
    SKUA_BEGIN(self);
    self->stream = NULL;
    self->list[0] = self->list[1] = self->in.world->refusing;
    self->list[2] = self->in.world->open;
    SKUA_AWAIT(skua_connect_start(&self->connecting, &self->stream, self->in.refusing, NULL));
    CHECK_EQ(SKUA_RESULT(&self->connecting), -ECONNREFUSED);
    SKUA_AWAIT(skua_connect_start(&self->connecting, &self->stream, "tcp://no port", NULL));
    CHECK_EQ(SKUA_RESULT(&self->connecting), -EINVAL);
    SKUA_AWAIT(skua_connect_any_start(&self->connecting, &self->stream, self->list, 0, NULL));
    CHECK_EQ(SKUA_RESULT(&self->connecting), -EINVAL);
    SKUA_AWAIT(skua_connect_any_start(&self->connecting, &self->stream, self->list, 2, NULL));
    CHECK_EQ(SKUA_RESULT(&self->connecting), -ECONNREFUSED);
    SKUA_AWAIT(skua_connect_start(&self->connecting, &self->stream, "unix:/nowhere/at/all", NULL));
    CHECK_EQ(SKUA_RESULT(&self->connecting), -ENOENT);
    CHECK(self->stream == NULL);

    SKUA_AWAIT(skua_connect_start(&self->connecting, &self->stream, self->in.open, NULL));
    CHECK_OK(SKUA_RESULT(&self->connecting));
    skua_stream_close(self->stream);
    SKUA_AWAIT(skua_connect_to_start(&self->connecting, &self->stream, &self->list[2], NULL));
    CHECK_OK(SKUA_RESULT(&self->connecting));
    skua_stream_close(self->stream);
    SKUA_AWAIT(skua_connect_any_start(&self->connecting, &self->stream, self->list, 3, NULL));
    CHECK_OK(SKUA_RESULT(&self->connecting));
    skua_stream_close(self->stream);
    SKUA_AWAIT(skua_connect_start(&self->connecting, &self->stream, self->in.name, NULL));
    CHECK_OK(SKUA_RESULT(&self->connecting));
    SKUA_AWAIT(skua_write_start(&self->io, self->stream, "x", 1));
    CHECK_EQ(SKUA_RESULT(&self->io), 1);
    skua_stream_close(self->stream);
    SKUA_END(0);
}

static void name_of(const skua_address *address, char *text, size_t size)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&address->storage;
    snprintf(text, size, "tcp://localhost:%u", (unsigned)ntohs(v4->sin_port));
}

static int dial_everywhere(void *arg)
{
    const struct world *world = arg;
    char refusing[SKUA_ADDRESS_TEXT_MAX], open[SKUA_ADDRESS_TEXT_MAX], name[SKUA_ADDRESS_TEXT_MAX];
    skua_address_format(&world->refusing, refusing, sizeof refusing);
    skua_address_format(&world->open, open, sizeof open);
    name_of(&world->open, name, sizeof name);
    skua_task *tasks[4];
    for (int i = 0; i < 4; i++)
        CHECK_OK(SKUA_SPAWN(&tasks[i], dials, .world = world, .refusing = refusing, .open = open, .name = name));
    for (int i = 0; i < 4; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    struct dials here;
    CHECK_OK(skua_await_future(SKUA_FUTURE(&here, dials, .world = world, .refusing = refusing, .open = open,
                                           .name = name)));
    return 0;
}
/* The resolver keeps memory. */
TEST(futures_connect)
{
    struct world world;
    test_allow_heap_growth(100000);
    make_world(&world);
    CHECK_EQ(run_on(1, dial_everywhere, &world), 0);
    CHECK_EQ(run_on(4, dial_everywhere, &world), 0);
    end_world(&world);
}

static int dial_in_select(const struct world *world, skua_runtime *rt)
{
    const skua_address list[] = { world->refusing, world->refusing, world->open };
    const skua_socket_options options = { .runtime = rt };
    char name[SKUA_ADDRESS_TEXT_MAX];
    skua_connect_op op;
    skua_stream *stream = NULL;
    name_of(&world->open, name, sizeof name);
    CHECK_EQ(SKUA_SELECT(skua_connect_any_prepare(&op, &stream, list, 2, &options)), 0);
    CHECK_EQ(op.result, -ECONNREFUSED);
    CHECK(stream == NULL);
    skua_op *arms[] = { skua_connect_any_prepare(&op, &stream, list, 3, &options) };
    for (int i = 0; i < 2; i++) { /* as it is */
        CHECK_EQ(skua_select(arms, 1), 0);
        CHECK_OK(op.result);
        skua_stream_close(stream);
    }
    CHECK_EQ(SKUA_SELECT(skua_connect_prepare(&op, &stream, name, &options)), 0);
    CHECK_OK(op.result);
    skua_stream_close(stream);
    return 0;
}
SKUA_PARALLEL(int, dials_as_job, const struct world *, world) { return dial_in_select(world, NULL); }
static int dial_from_all(void *arg)
{
    CHECK_EQ(dial_in_select(arg, NULL), 0);
    CHECK_EQ(SKUA_RUN(dials_as_job, arg), 0);
    return 0;
}
TEST(selects_connect)
{
    struct world world;
    skua_runtime *rt;
    skua_config config = { .workers = 2, .ignore_environment = true };
    skua_connect_op op;
    skua_stream *stream;
    test_allow_heap_growth(100000);
    make_world(&world);
    CHECK_EQ(run_on(1, dial_from_all, &world), 0);
    CHECK_EQ(run_on(4, dial_from_all, &world), 0);
    CHECK_EQ(SKUA_SELECT(skua_connect_prepare(&op, &stream, "tcp://localhost:1", NULL)), 0);
    CHECK_EQ(op.result, -EINVAL); /* no runtime */
    CHECK_EQ(SKUA_SELECT(skua_connect_to_prepare(&op, &stream, &world.open, NULL)), 0);
    CHECK_EQ(op.result, -EINVAL);
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_EQ(dial_in_select(&world, rt), 0);
    CHECK_EQ(meets_itself(rt), 0);
    if (world.has_silent) {
        CHECK_EQ(races(&world, rt), 0);
        CHECK_EQ(loses(&world, rt), 0);
    }
    CHECK_OK(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER));
    CHECK_OK(skua_runtime_destroy(rt));
    end_world(&world);
}

/* ---- as children of sets ---------------------------------------------------------------------------------------- */

struct naps {
    SKUA_FRAME;
    struct { uint64_t ns; } in;
    skua_sleep_op nap;
};
SKUA_ASYNC(naps)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_sleep_start(&self->nap, self->in.ns));
    SKUA_END(self->nap.result);
}

/* A race between one who accepts, one who connects elsewhere in many steps, and a clock: the losers are cancelled, and
 * what one has got all the same is in its result. */
static int races_as_set(void *arg)
{
    struct world *world = arg;
    const skua_address silent[] = { world->silent, world->refusing, world->silent, world->silent };
    const skua_socket_options options = { .attempt_delay_ms = 1 };
    skua_address address;
    skua_listener *listener = listen_at(LOCAL, &address, NULL);
    uint64_t taken = 0;
    for (uint64_t round = 0; round < 30; round++) {
        skua_child kids[3];
        skua_accepting accepting;
        skua_connecting connecting;
        struct naps nap;
        skua_stream *peer = NULL, *stream = NULL;
        int fd = round % 2 == 0 ? connect_plainly(&address) : -1;
        skua_child_frame(&kids[0], skua_accept_start(&accepting, listener, &peer, NULL));
        skua_child_frame(&kids[1], skua_connect_any_start(&connecting, &stream, silent, 4, &options));
        skua_child_future(&kids[2], SKUA_FUTURE(&nap, naps, .ns = (round % 5) * SKUA_MS));
        int64_t first = skua_race(kids, 3);
        CHECK(first == 0 || first == 2);
        CHECK(kids[0].result == 0 || kids[0].result == -ECANCELED);
        CHECK_EQ(kids[1].result, -ECANCELED);
        CHECK((peer != NULL) == (kids[0].result == 0) && stream == NULL);
        if (peer != NULL) {
            skua_stream_close(peer);
            taken++;
        }
        if (fd >= 0)
            CHECK_EQ(close(fd), 0);
    }
    drain(listener, 15 - taken);
    skua_listener_close(listener);
    return 0;
}
TEST(children_of_a_set)
{
    struct world world;
    make_world(&world);
    if (!world.has_silent) {
        end_world(&world);
        TEST_SKIP("a full backlog answers here");
    }
    CHECK_EQ(run_on(1, races_as_set, &world), 0);
    CHECK_EQ(run_on(4, races_as_set, &world), 0);
    end_world(&world);
}
