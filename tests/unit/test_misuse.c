/* Misuse that is seen: each is reported once, by the name of the call and with what to do, and does no harm. What the
 * locks, channels and other primitives report is tested with them; docs/errors.md lists all.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/with_runtime.h"

enum { LINE_ROOM = 600 };

/* The latest report, which one thread at a time makes here. */
struct reports {
    int count;
    char text[LINE_ROOM];
};

static void keep_report(void *context, const char *text)
{
    struct reports *reports = context;
    reports->count++;
    CHECK((size_t)snprintf(reports->text, sizeof reports->text, "%s", text) < sizeof reports->text);
}

/* There has been one report since the last time, with these parts. */
static void check_reported(struct reports *reports, const char *call, const char *what, const char *instead)
{
    char begin[64];
    snprintf(begin, sizeof begin, "misuse: %s ", call);
    CHECK_EQ(reports->count, 1);
    CHECK_STR(strncmp(reports->text, begin, strlen(begin)) == 0 ? begin : reports->text, begin);
    CHECK_STR(strstr(reports->text, what) != NULL ? what : reports->text, what);
    const char *end = strstr(reports->text, "): "); /* behind the task's name; without a task: the first colon's */
    CHECK(end != NULL || strstr(reports->text, what)[strlen(what)] == ':');
    CHECK_STR(strstr(reports->text, instead) != NULL ? instead : reports->text, instead);
    reports->count = 0;
}

static skua_config reporting_to(struct reports *reports)
{
    return (skua_config){
        .workers = 2, .ignore_environment = true, .on_misuse = keep_report, .misuse_context = reports
    };
}

static void run_reporting(skua_fiber_fn *body)
{
    struct reports reports = { .count = 0 };
    CHECK_EQ(run_in(reporting_to(&reports), body, &reports), 0);
    CHECK_EQ(reports.count, 0);
}

/* ---- handles of tasks -------------------------------------------------------------------------------------------- */

static int returns(void *arg) { return (int)(intptr_t)arg; }

static int waits_to_be_woken(void *arg)
{
    return skua_event_wait(arg);
}

static void called(void *context, int64_t result) { *(int64_t *)context = result; }

/* By every call that takes a handle. */
static void check_refused(struct reports *reports, skua_task *task, const char *what, const char *instead)
{
    int64_t result = 77;
    skua_join_op join;
    CHECK_EQ(skua_join(task, &result), -EPERM);
    check_reported(reports, "skua_join", what, instead);
    CHECK_EQ(skua_await(skua_join_start(&join, task)), -EPERM);
    check_reported(reports, "skua_join", what, instead);
    CHECK_EQ(skua_select((skua_op *[]){ skua_join_prepare(&join, task) }, 1), 0);
    CHECK_EQ(join.result, -EPERM);
    check_reported(reports, "skua_join", what, instead);
    CHECK_EQ(skua_select_try((skua_op *[]){ skua_join_prepare(&join, task) }, 1), 0);
    check_reported(reports, "skua_join", what, instead);
    CHECK_EQ(skua_try_join(task, &result), -EPERM);
    check_reported(reports, "skua_try_join", what, instead);
    skua_detach(task);
    check_reported(reports, "skua_detach", what, instead);
    CHECK_EQ(skua_on_done(task, NULL, called, &result), -EPERM);
    check_reported(reports, "skua_on_done", what, instead);
    CHECK_EQ(result, 77);
}

static const char *const used_up = "was given a handle that is used up, or a task that is detached";
static const char *const join_once = "join or detach a handle once";

static int uses_handles_up(void *arg)
{
    struct reports *reports = arg;
    skua_task *task;
    int64_t result = 0;
    CHECK_OK(skua_spawn(&task, returns, (void *)3));
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, 3);
    check_refused(reports, task, used_up, join_once);
    skua_cancel(task);
    check_reported(reports, "skua_cancel", used_up, "skua_waker_cancel()");
    check_refused(reports, NULL, "was given NULL for a task", "look at what skua_spawn() has returned");
    skua_cancel(NULL);
    check_reported(reports, "skua_cancel", "was given NULL for a task", "skua_spawn()");
    return 0;
}
TEST(a_handle_is_used_once) { run_reporting(uses_handles_up); }

static int detaches_twice(void *arg)
{
    struct reports *reports = arg;
    skua_task *task;
    skua_event event;
    skua_event_init(&event, SKUA_EVENT_MANUAL);
    CHECK_OK(skua_spawn(&task, waits_to_be_woken, &event));
    skua_detach(task);
    check_refused(reports, task, used_up, join_once); /* it lives, and nobody has a handle */
    skua_cancel(task); /* alive, so that nothing can be seen */
    CHECK_EQ(reports->count, 0);
    skua_event_set(&event);
    return 0;
}
TEST(a_detached_task_is_not_joined) { run_reporting(detaches_twice); }

static int tells_itself(void *arg)
{
    skua_task **self = arg;
    *self = skua_self();
    skua_event event;
    skua_event_init(&event, SKUA_EVENT_MANUAL);
    return skua_event_wait(&event);
}

static int joins_a_member(void *arg)
{
    struct reports *reports = arg;
    skua_task *member = NULL;
    skua_group group;
    skua_group_init(&group);
    CHECK_OK(skua_group_go(&group, tells_itself, &member));
    while (member == NULL)
        skua_yield();
    check_refused(reports, member, "was given a member of a group", "skua_group_wait()");
    skua_group_cancel(&group);
    CHECK_EQ(skua_group_wait(&group), -ECANCELED);
    skua_group_fini(&group);
    return 0;
}
TEST(a_member_of_a_group_is_not_joined)
{
    struct reports reports = { .count = 0 };
    skua_config config = reporting_to(&reports);
    config.workers = 1; /* so that `member` is one thread's */
    CHECK_EQ(run_in(config, joins_a_member, &reports), 0);
}

struct joined {
    skua_task *task;
    int begun;
};
static int joins(void *arg)
{
    struct joined *joined = arg;
    int64_t result = 0;
    joined->begun = 1;
    int rc = skua_join(joined->task, &result);
    return rc < 0 ? rc : (int)result;
}

static int detaches_what_is_joined(void *arg)
{
    struct reports *reports = arg;
    struct joined joined = { .begun = 0 };
    skua_event event;
    skua_task *joiner;
    int64_t result = -1;
    skua_event_init(&event, SKUA_EVENT_MANUAL);
    CHECK_OK(skua_spawn(&joined.task, waits_to_be_woken, &event));
    CHECK_OK(skua_spawn(&joiner, joins, &joined));
    while (!joined.begun)
        skua_yield();
    CHECK_EQ(skua_join(joined.task, NULL), -EBUSY);
    skua_detach(joined.task);
    check_reported(reports, "skua_detach", "was given a task that somebody joins", "let the join return first");
    skua_event_set(&event);
    CHECK_OK(skua_join(joiner, &result)); /* it is told all the same */
    CHECK_EQ(result, 0);
    return 0;
}
TEST(what_is_joined_is_not_detached)
{
    struct reports reports = { .count = 0 };
    skua_config config = reporting_to(&reports);
    config.workers = 1;
    CHECK_EQ(run_in(config, detaches_what_is_joined, &reports), 0);
}

/* From a thread outside, and in a simulation and an embedded runtime, whose tasks run in the join. */
static void join_twice_outside(skua_config config)
{
    struct reports reports = { .count = 0 };
    skua_runtime *rt;
    skua_task *task;
    config.ignore_environment = true;
    config.on_misuse = keep_report;
    config.misuse_context = &reports;
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = rt }, returns, NULL));
    CHECK_OK(skua_join(task, NULL));
    CHECK_EQ(skua_join(task, NULL), -EPERM);
    check_reported(&reports, "skua_join", used_up, join_once);
    skua_detach(task);
    check_reported(&reports, "skua_detach", used_up, join_once);
    CHECK_EQ(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER), 0);
    CHECK_EQ(skua_join(task, NULL), -EPERM); /* its memory is there until the runtime is destroyed */
    check_reported(&reports, "skua_join", used_up, join_once);
    CHECK_OK(skua_runtime_destroy(rt));
}
TEST(a_handle_is_used_once_outside_of_a_runtime)
{
    join_twice_outside((skua_config){ .workers = 2 });
    join_twice_outside((skua_config){ .simulate = true, .sim_seed = 1 });
    join_twice_outside((skua_config){ .embed = true });
}

/* ---- streams, sockets, watches --------------------------------------------------------------------------------- */

static const char *const closed_twice = "was given what is closed already";

/* On one worker, so that who waits is told before it runs. */
static void run_reporting_alone(skua_fiber_fn *body)
{
    struct reports reports = { .count = 0 };
    skua_config config = reporting_to(&reports);
    config.workers = 1;
    CHECK_EQ(run_in(config, body, &reports), 0);
    CHECK_EQ(reports.count, 0);
}

static int accepts(void *arg)
{
    skua_stream *stream;
    return skua_accept(arg, &stream, NULL);
}

static int closes_twice(void *arg)
{
    struct reports *reports = arg;
    skua_stream *streams[2];
    skua_udp *socket;
    skua_listener *listener;
    skua_fd *watch;
    skua_task *acceptor;
    int64_t result = 0;
    int fds[2];
    CHECK_OK(skua_stream_pair(streams, NULL));
    skua_stream_close(streams[0]);
    skua_stream_close(streams[0]);
    check_reported(reports, "skua_stream_close", closed_twice, "close once");
    CHECK_EQ(skua_read(streams[0], fds, sizeof fds), -EBADF); /* and it is as closed as before */
    CHECK_EQ(skua_read(streams[1], fds, sizeof fds), 0);
    skua_stream_close(streams[1]);
    CHECK_OK(skua_udp_open(&socket, "udp://127.0.0.1:0", NULL));
    skua_udp_close(socket);
    skua_udp_close(socket);
    check_reported(reports, "skua_udp_close", closed_twice, "close once");
    CHECK_EQ(pipe(fds), 0);
    CHECK_OK(skua_fd_open(&watch, NULL, fds[0]));
    skua_fd_close(watch);
    skua_fd_close(watch);
    check_reported(reports, "skua_fd_close", closed_twice, "close once");
    CHECK_EQ(close(fds[0]), 0);
    CHECK_EQ(close(fds[1]), 0);
    CHECK_OK(skua_listen(&listener, "tcp://127.0.0.1:0", NULL));
    CHECK_OK(skua_spawn(&acceptor, accepts, listener));
    skua_yield();
    skua_listener_close(listener); /* until who accepts has returned it is there */
    skua_listener_close(listener);
    check_reported(reports, "skua_listener_close", closed_twice, "close once");
    CHECK_OK(skua_join(acceptor, &result));
    CHECK_EQ(result, -ECANCELED);
    return 0;
}
TEST(what_is_closed_is_not_closed_again) { run_reporting_alone(closes_twice); }

struct waiting {
    skua_event closed;
    int released;
};
static ssize_t read_waiting(void *object, const struct iovec *vectors, int count)
{
    (void)vectors;
    (void)count;
    int rc = skua_event_wait(&((struct waiting *)object)->closed);
    return rc < 0 ? rc : -ECANCELED;
}
static void close_waiting(void *object) { skua_event_set(&((struct waiting *)object)->closed); }
static void release_waiting(void *object) { ((struct waiting *)object)->released++; }

static int reads(void *arg)
{
    char byte;
    return (int)skua_read(arg, &byte, 1);
}

static int closes_a_made_stream_twice(void *arg)
{
    static const skua_stream_methods methods = {
        .read = read_waiting, .close = close_waiting, .release = release_waiting
    };
    struct reports *reports = arg;
    struct waiting waiting = { .released = 0 };
    skua_stream *stream;
    skua_task *reader;
    int64_t result = 0;
    skua_event_init(&waiting.closed, SKUA_EVENT_MANUAL);
    CHECK_OK(skua_stream_make(&stream, &methods, &waiting));
    CHECK_OK(skua_spawn(&reader, reads, stream));
    skua_yield();
    skua_stream_close(stream);
    skua_stream_close(stream);
    check_reported(reports, "skua_stream_close", closed_twice, "close once");
    CHECK_EQ(waiting.released, 0);
    CHECK_OK(skua_join(reader, &result));
    CHECK_EQ(result, -ECANCELED);
    CHECK_EQ(waiting.released, 1);
    return 0;
}
TEST(a_made_stream_is_not_closed_again) { run_reporting_alone(closes_a_made_stream_twice); }

static int opens_twice(void *arg)
{
    (void)arg;
    skua_fd *watch, *another;
    skua_stream *stream;
    int fds[2];
    CHECK_EQ(pipe(fds), 0);
    CHECK_OK(skua_fd_open(&watch, NULL, fds[0]));
    CHECK_EQ(skua_fd_open(&another, NULL, fds[0]), -EBUSY);
    CHECK_EQ(skua_stream_open(&stream, NULL, fds[0]), -EBUSY);
    CHECK(!(fcntl(fds[0], F_GETFL) & O_NONBLOCK)); /* as it was */
    CHECK_EQ(skua_fd_poll(watch, SKUA_READABLE), 0);
    skua_fd_close(watch);
    CHECK_OK(skua_stream_open(&stream, NULL, fds[0]));
    CHECK_EQ(skua_fd_open(&watch, NULL, fds[0]), -EBUSY);
    skua_stream_close(stream);
    CHECK_EQ(close(fds[1]), 0);
    return 0;
}
TEST(a_descriptor_is_opened_once) { run_reporting(opens_twice); }

static int opens_a_high_number(void *arg)
{
    (void)arg;
    enum { HIGH = 100000 }; /* beyond those that there is room for from the start */
    skua_fd *watch, *another;
    int fds[2];
    CHECK_EQ(pipe(fds), 0);
    int high = fcntl(fds[0], F_DUPFD_CLOEXEC, HIGH);
    if (high >= 0) { /* the limit may be lower */
        CHECK_OK(skua_fd_open(&watch, NULL, high));
        CHECK_EQ(skua_fd_open(&another, NULL, high), -EBUSY);
        skua_fd_close(watch);
        CHECK_OK(skua_fd_open(&watch, NULL, high));
        skua_fd_close(watch);
        CHECK_EQ(close(high), 0);
    }
    CHECK_EQ(close(fds[0]), 0);
    CHECK_EQ(close(fds[1]), 0);
    return 0;
}
TEST(a_descriptor_of_a_high_number_is_opened_once) { run_reporting(opens_a_high_number); }

static const char *const lost = "had been closed by somebody else", *const end_before = "end a watch before";

/* Waits, so that the kernel's poller is told of the descriptor. On one worker: the other has waited by then. */
static void end_wait(skua_task *waiting)
{
    int64_t result = 0;
    skua_yield();
    skua_cancel(waiting);
    CHECK_OK(skua_join(waiting, &result));
    CHECK_EQ(result, -ECANCELED);
}
static void read_in_vain(skua_stream *stream)
{
    skua_task *reader;
    CHECK_OK(skua_spawn(&reader, reads, stream));
    end_wait(reader);
}
static int watches(void *watch) { return skua_fd_wait(watch, SKUA_READABLE); }
static void watch_in_vain(skua_fd *watch)
{
    skua_task *watcher;
    CHECK_OK(skua_spawn(&watcher, watches, watch));
    end_wait(watcher);
}

static int closes_behind_its_back(void *arg)
{
    struct reports *reports = arg;
    skua_stream *streams[2];
    skua_fd *watch;
    int fds[2];
    CHECK_OK(skua_stream_pair(streams, NULL));
    CHECK_EQ(close(skua_stream_fd(streams[0])), 0); /* the kernel's poller has not been told of it */
    skua_stream_close(streams[0]);
    check_reported(reports, "the end of a stream, socket or watch", lost, end_before);
    skua_stream_close(streams[1]);
    CHECK_OK(skua_stream_pair(streams, NULL));
    read_in_vain(streams[0]);
    CHECK_EQ(close(skua_stream_fd(streams[0])), 0); /* it has */
    skua_stream_close(streams[0]);
    check_reported(reports, "the end of a stream, socket or watch", lost, end_before);
    skua_stream_close(streams[1]);
    CHECK_EQ(pipe(fds), 0);
    CHECK_OK(skua_fd_open(&watch, NULL, fds[0]));
    watch_in_vain(watch);
    CHECK_EQ(close(fds[0]), 0); /* and the watch comes too late */
    skua_fd_close(watch);
    check_reported(reports, "the end of a stream, socket or watch", lost, end_before);
    CHECK_EQ(close(fds[1]), 0);
    return 0;
}
TEST(a_descriptor_that_is_closed_behind_a_streams_back) { run_reporting_alone(closes_behind_its_back); }

/* The number is another file's, which is left alone. */
static int reuses_the_number(void *arg)
{
    struct reports *reports = arg;
    skua_stream *streams[2], *others[2];
    int fds[2];
    CHECK_OK(skua_stream_pair(streams, NULL));
    read_in_vain(streams[0]);
    int fd = skua_stream_fd(streams[0]);
    CHECK_EQ(close(fd), 0);
    CHECK_EQ(pipe(fds), 0);
    CHECK_EQ(fds[0], fd); /* the lowest that is free: nothing else opens any */
    skua_stream_close(streams[0]);
    check_reported(reports, "the end of a stream, socket or watch", lost, end_before);
    CHECK_EQ(close(fds[0]), 0);
    CHECK_EQ(close(fds[1]), 0);
    skua_stream_close(streams[1]);
    /* Or one of the same runtime: that is told when it comes. */
    CHECK_OK(skua_stream_pair(streams, NULL));
    fd = skua_stream_fd(streams[0]);
    CHECK_EQ(close(fd), 0);
    CHECK_OK(skua_stream_pair(others, NULL));
    CHECK_EQ(skua_stream_fd(others[0]), fd);
    check_reported(reports, "a new descriptor", "of a stream, socket or watch that is open", end_before);
    skua_stream_close(others[0]);
    skua_stream_close(others[1]);
    skua_stream_close(streams[0]);
    check_reported(reports, "the end of a stream, socket or watch", lost, end_before);
    skua_stream_close(streams[1]);
    return 0;
}
TEST(a_number_that_is_somebody_elses) { run_reporting_alone(reuses_the_number); }

/* ---- objects ----------------------------------------------------------------------------------------------------- */

static const char *const no_object = "was given what is no such object, or what is gone already";

/* Of each kind once with what is none of them. */
static int destroys_others(void *arg)
{
    struct reports *reports = arg;
    static _Alignas(64) char nothing[1024];
    CHECK_EQ(skua_channel_destroy((skua_channel *)(void *)nothing), -EPERM);
    check_reported(reports, "skua_channel_destroy", no_object, "end once");
    CHECK_EQ(skua_broadcast_destroy((skua_broadcast *)(void *)nothing), -EPERM);
    check_reported(reports, "skua_broadcast_destroy", no_object, "end once");
    CHECK_EQ(skua_watch_destroy((skua_watch *)(void *)nothing), -EPERM);
    check_reported(reports, "skua_watch_destroy", no_object, "end once");
    skua_process_destroy((skua_process *)(void *)nothing);
    check_reported(reports, "skua_process_destroy", no_object, "end once");
    CHECK_OK(skua_channel_destroy(NULL));
    CHECK_OK(skua_broadcast_destroy(NULL));
    CHECK_OK(skua_watch_destroy(NULL));
    return 0;
}
TEST(what_is_none_of_ours_is_not_destroyed) { run_reporting(destroys_others); }

/* Where it was nobody has put anything since. */
static int destroys_twice(void *arg)
{
    struct reports *reports = arg;
    skua_channel *channel;
    skua_broadcast *broadcast;
    skua_watch *watch;
    CHECK_OK(skua_channel_create(&channel, 8, 4));
    CHECK_OK(skua_channel_destroy(channel));
    CHECK_EQ(skua_channel_destroy(channel), -EPERM);
    check_reported(reports, "skua_channel_destroy", no_object, "end once");
    CHECK_OK(skua_broadcast_create(&broadcast, 8, 4));
    CHECK_OK(skua_broadcast_destroy(broadcast));
    CHECK_EQ(skua_broadcast_destroy(broadcast), -EPERM);
    check_reported(reports, "skua_broadcast_destroy", no_object, "end once");
    CHECK_OK(skua_watch_create(&watch, 8, NULL));
    CHECK_OK(skua_watch_destroy(watch));
    CHECK_EQ(skua_watch_destroy(watch), -EPERM);
    check_reported(reports, "skua_watch_destroy", no_object, "end once");
    return 0;
}
TEST(what_is_gone_is_not_destroyed_again)
{
    if (test_under_asan() || test_under_tsan() || test_under_valgrind())
        TEST_SKIP("they report the look at what is freed");
    run_reporting(destroys_twice);
}

/* ---- futures ----------------------------------------------------------------------------------------------------- */

#if defined(SKUAI_DEBUG)
struct child {
    SKUA_FRAME;
    SKUA_NO_ARGS;
};
SKUA_ASYNC(child)
{
    SKUA_BEGIN(self);
    SKUA_YIELD();
    SKUA_END(7);
}

/* A child that is placed in one branch only, as a member and in memory of zeros; then as it should be. */
struct awaits {
    SKUA_FRAME;
    struct {
        struct reports *reports;
    } in;
    struct child child;
};
static struct child somewhere;
SKUA_ASYNC(awaits)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(&self->child);
    check_reported(self->in.reports, "SKUA_AWAIT", "awaits a future that was never placed", "SKUA_FUTURE");
    CHECK_EQ(SKUA_RESULT(&self->child), -EPERM);
    SKUA_AWAIT(&somewhere);
    check_reported(self->in.reports, "SKUA_AWAIT", "awaits a future that was never placed", "SKUA_FUTURE");
    SKUA_AWAIT(SKUA_FUTURE(&self->child, child));
    CHECK_EQ(SKUA_RESULT(&self->child), 7);
    SKUA_END(0);
}

static int awaits_what_is_not_placed(void *arg)
{
    skua_task *task;
    int64_t result = 1;
    CHECK_OK(SKUA_SPAWN(&task, awaits, .reports = arg));
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, 0);
    return 0;
}
TEST(a_future_that_was_never_placed) { run_reporting(awaits_what_is_not_placed); }
#endif

/* ---- the default ----------------------------------------------------------------------------------------------- */

static void joins_twice(void *arg)
{
    (void)arg;
    skua_runtime *rt;
    skua_task *task;
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 1, .ignore_environment = true }));
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = rt }, returns, NULL));
    CHECK_OK(skua_join(task, NULL));
    CHECK_OK(skua_join(task, NULL));
}
TEST(without_a_handler_it_aborts)
{
    test_expect_abort(joins_twice, NULL, "skua: misuse: skua_join was given a handle that is used up, or a task that "
                                         "is detached: join or detach a handle once");
}
