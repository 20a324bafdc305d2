/* Deadlocks are reported: every task, what it waits for and where; in simulations, and by the guard in debug builds.
 * And no report comes while anybody can still wake somebody.
 */
#define SKUA_DEBUG 1
#include <skua.h>
#include <skua/place.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "sched/deadlock.h"
#include "support/with_runtime.h"

enum { LINES_MAX = 64, LINE_BYTES = 520 };

struct lines {
    skua_event *answer; /* to be set when so many lines of a report have come */
    int answer_at;
    int count, deadlocks;
    char texts[LINES_MAX][LINE_BYTES];
};

static void keep(void *context, enum skua_log_level level, const char *text)
{
    struct lines *lines = context;
    if (level == SKUA_LOG_INFO)
        return;
    CHECK(lines->count < LINES_MAX);
    snprintf(lines->texts[lines->count++], LINE_BYTES, "%s", text);
    lines->deadlocks += strncmp(text, "deadlock: ", 10) == 0;
    if (lines->answer != NULL && lines->deadlocks == lines->answer_at)
        skua_event_set(lines->answer);
}

static int lines_with(const struct lines *lines, const char *text)
{
    int count = 0;
    for (int i = 0; i < lines->count; i++)
        count += strstr(lines->texts[i], text) != NULL;
    return count;
}

/* Exactly one line has this in it, and "test_deadlock.c:<line>" if line is not 0. */
static void check_line(const struct lines *lines, const char *text, int line)
{
    char place[40];
    int count = 0;
    snprintf(place, sizeof place, "test_deadlock.c:%d", line);
    for (int i = 0; i < lines->count; i++)
        count += strstr(lines->texts[i], text) != NULL && (line == 0 || strstr(lines->texts[i], place) != NULL);
    if (count == 1)
        return;
    for (int i = 0; i < lines->count; i++)
        fprintf(stderr, "  %s\n", lines->texts[i]);
    test_fail(__FILE__, __LINE__, "%d lines have \"%s\" and line %d", count, text, line);
}

/* ---- one of each ------------------------------------------------------------------------------------------------ */

static skua_event never, other;

/* clang-format off: each wait and its number on one line */
static int in_event(void *arg) { (void)arg; return skua_event_wait(&never); } enum { EVENT_LINE = __LINE__ };

static int in_op(void *arg)
{
    skua_op op;
    (void)arg;
    skua_event_wait_start(&op, &other);
    return (int)skua_await(&op); } enum { OP_LINE = __LINE__ };

static int in_select(void *arg)
{
    skua_op a, b;
    (void)arg;
    skua_op *arms[] = { skua_event_wait_prepare(&a, &other), skua_event_wait_prepare(&b, &never) };
    return (int)skua_select(arms, 2); } enum { SELECT_LINE = __LINE__ };

enum { PARK_LINE = __LINE__ + 6 };
static int in_park(void *arg)
{
    int rc = 0;
    (void)arg;
    while (rc == 0)
        rc = skua_park();
    return rc;
}

static int in_unknown_place(void *arg)
{
    (void)arg;
    return (skua_event_wait)(&never);
}

struct inner {
    SKUA_FRAME;
    SKUA_NO_ARGS;
    skua_op op;
};
enum { INNER_LINE = __LINE__ + 4 };
SKUA_ASYNC(inner)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_event_wait_start(&self->op, &never));
    SKUA_END(self->op.result);
}

struct outer {
    SKUA_FRAME;
    SKUA_NO_ARGS;
    struct inner inner;
};
SKUA_ASYNC(outer)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(SKUA_FUTURE(&self->inner, inner));
    SKUA_END(0);
}

struct selecting {
    SKUA_FRAME;
    SKUA_NO_ARGS;
    skua_selection selection;
    skua_op op;
    skua_op *arms[1];
};
enum { FUTURE_SELECT_LINE = __LINE__ + 5 };
SKUA_ASYNC(selecting)
{
    SKUA_BEGIN(self);
    self->arms[0] = skua_event_wait_prepare(&self->op, &never);
    SKUA_AWAIT(skua_select_start(&self->selection, self->arms, 1));
    SKUA_END(0);
}

struct parking {
    SKUA_FRAME;
    SKUA_NO_ARGS;
};
enum { FUTURE_PARK_LINE = __LINE__ + 5 };
SKUA_ASYNC(parking)
{
    SKUA_BEGIN(self);
    while (skua_interrupted() == 0)
        SKUA_PARK();
    SKUA_END(0);
}

static int in_set(void *arg)
{
    struct outer deep;
    struct selecting selecting;
    skua_child kids[3];
    skua_task *task;
    (void)arg;
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .name = "member" }, in_event, NULL));
    skua_child_task(&kids[0], task);
    skua_child_future(&kids[1], SKUA_FUTURE(&deep, outer));
    skua_child_future(&kids[2], SKUA_FUTURE(&selecting, selecting));
    return (int)skua_race(kids, 3); } enum { SET_LINE = __LINE__ };
/* clang-format on */

enum { TASKS = 9, REPORT_LINES = 1 + (TASKS + 2) + 2 + 1 + (3 + 1) }; /* a head, tasks, arms, arms, children */

static void start_all(skua_task *tasks[TASKS])
{
    int n = 0;
    CHECK_OK(skua_spawn_with(&tasks[n++], &(skua_spawn_attr){ .name = "eventful" }, in_event, NULL));
    CHECK_OK(skua_spawn_with(&tasks[n++], &(skua_spawn_attr){ .name = "operator" }, in_op, NULL));
    CHECK_OK(skua_spawn_with(&tasks[n++], &(skua_spawn_attr){ .name = "chooser" }, in_select, NULL));
    CHECK_OK(skua_spawn_with(&tasks[n++], &(skua_spawn_attr){ .name = "parker" }, in_park, NULL));
    CHECK_OK(skua_spawn_with(&tasks[n++], &(skua_spawn_attr){ .name = "stranger" }, in_unknown_place, NULL));
    CHECK_OK(SKUA_SPAWN_WITH(&tasks[n++], (&(skua_spawn_attr){ .name = "deep" }), outer));
    CHECK_OK(SKUA_SPAWN_WITH(&tasks[n++], (&(skua_spawn_attr){ .name = "picky" }), selecting));
    CHECK_OK(SKUA_SPAWN_WITH(&tasks[n++], (&(skua_spawn_attr){ .name = "parked" }), parking));
    CHECK_OK(skua_spawn_with(&tasks[n++], &(skua_spawn_attr){ .name = "set" }, in_set, NULL));
    CHECK_EQ(n, TASKS);
}

enum { ROOT_LINE = __LINE__ + 11 };
static int deadlocks(void *arg)
{
    skua_task *tasks[TASKS];
    int rc = 0;
    (void)arg;
    CHECK_OK(skua_self_set_name("root"));
    start_all(tasks);
    SKUA_SHIELD(); /* all are waited for, whatever happens */
    (void)skua_event_try_wait(&never);
    for (int i = 0; i < TASKS; i++) {
        CHECK_OK(skua_join(tasks[i], NULL));
        for (int j = i + 1; i == 0 && j < TASKS; j++)
            skua_cancel(tasks[j]);
    }
    return rc;
}

static void check_report(const struct lines *lines)
{
    check_line(lines, " (root), a fiber, waits in skua_join of task ", ROOT_LINE);
    check_line(lines, " (eventful), a fiber, waits in skua_event_wait of object ", EVENT_LINE);
    check_line(lines, " (operator), a fiber, waits in skua_event_wait of object ", OP_LINE);
    check_line(lines, " (chooser), a fiber, waits in skua_select of 2 at ", SELECT_LINE);
    check_line(lines, "  arm 1: skua_event_wait of object ", 0);
    check_line(lines, " (parker), a fiber, waits in skua_park at ", PARK_LINE);
    check_line(lines, " (stranger), a fiber, waits in skua_event_wait of object ", 0);
    CHECK_EQ(lines_with(lines, " (stranger), a fiber, waits in skua_event_wait of object 1 at "), 0);
    check_line(lines, " (deep), the future outer, waits in skua_event_wait of object ", INNER_LINE);
    check_line(lines, " (picky), the future selecting, waits in skua_select of 1 at ", FUTURE_SELECT_LINE);
    check_line(lines, " (parked), the future parking, waits in SKUA_PARK at ", FUTURE_PARK_LINE);
    check_line(lines, " (set), a fiber, waits in skua_race for 3 of 3 children at ", SET_LINE);
    check_line(lines, "  child 0: task ", 0);
    check_line(lines, "  child 1: the future outer, in skua_event_wait of object ", INNER_LINE);
    check_line(lines, "  child 2: the future selecting, in skua_select of 1 at ", FUTURE_SELECT_LINE);
    check_line(lines, " (member), a fiber, waits in skua_event_wait of object ", EVENT_LINE);
}

static void init_events(void)
{
    skua_event_init(&never, SKUA_EVENT_MANUAL);
    skua_event_init(&other, SKUA_EVENT_MANUAL);
}

TEST(a_simulation_reports_every_task)
{
    struct lines *lines = calloc(1, sizeof *lines);
    skua_runtime *rt;
    CHECK(lines != NULL);
    for (uint64_t seed = test_seed(); seed < test_seed() + 20; seed++) {
        memset(lines, 0, sizeof *lines);
        init_events();
        test_at_seed(seed);
        skua_config config = { .simulate = true, .sim_seed = seed, .ignore_environment = true, .log = keep,
                               .log_context = lines };
        CHECK_OK(skua_runtime_create(&rt, &config));
        CHECK_EQ(skua_block_on(rt, deadlocks, NULL), -EDEADLK);
        check_line(lines, ": every task waits and nothing can wake one", 0);
        check_line(lines, "deadlock: nothing can wake any of 11 tasks and 0 threads that wait", 0);
        check_report(lines);
        int reported = lines->deadlocks;
        skua_event_set(&never); /* from outside */
        CHECK_OK(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER));
        CHECK_EQ(lines->deadlocks, reported);
        CHECK_OK(skua_runtime_destroy(rt));
    }
    test_at_no_seed();
    free(lines);
}

/* ---- calls of other primitives ---------------------------------------------------------------------------------- */

static struct {
    skua_barrier barrier;
    skua_broadcast *broadcast;
    skua_broadcast_receiver receiver;
    skua_cancel_token token;
    skua_wait_group group;
    skua_watch *watch;
    skua_once once;
} of;

/* clang-format off: each wait and its number on one line */
static int in_barrier(void *arg) { (void)arg; return skua_barrier_wait(&of.barrier); }
enum { BARRIER_LINE = __LINE__ - 1 };
static int in_broadcast(void *arg) { int value; (void)arg; return skua_broadcast_receive(&of.receiver, &value); }
enum { BROADCAST_LINE = __LINE__ - 1 };
static int in_token(void *arg) { (void)arg; return skua_cancel_token_wait(&of.token); }
enum { TOKEN_LINE = __LINE__ - 1 };
static int in_wait_group(void *arg) { (void)arg; return skua_wait_group_wait(&of.group); }
enum { GROUP_LINE = __LINE__ - 1 };
static int in_watch(void *arg)
{
    uint64_t seen = skua_watch_version(of.watch);
    (void)arg;
    return skua_watch_changed(of.watch, &seen, NULL); }
enum { WATCH_LINE = __LINE__ - 1 };
static int in_once(void *arg) { (void)arg; return skua_once_run(&of.once, in_event, NULL); }
enum { ONCE_LINE = __LINE__ - 1 };
static int in_gather(void *arg)
{
    (void)arg;
    return (int)skua_gather((skua_call[]){ { .fn = in_event }, { .fn = in_event } }, 2, NULL); }
enum { GATHER_LINE = __LINE__ - 1 };
/* clang-format on */

static const struct {
    skua_fiber_fn *fn;
    const char *name, *line;
    int at;
} calls[] = {
    { in_event, "eventful", " (eventful), a fiber, waits in skua_event_wait of object ", EVENT_LINE },
    { in_barrier, "barred", " (barred), a fiber, waits in skua_barrier_wait of object ", BARRIER_LINE },
    { in_broadcast, "listener", " (listener), a fiber, waits in skua_broadcast_receive of object ", BROADCAST_LINE },
    { in_token, "token", " (token), a fiber, waits in skua_cancel_token_wait of object ", TOKEN_LINE },
    { in_wait_group, "grouped", " (grouped), a fiber, waits in skua_wait_group_wait of object ", GROUP_LINE },
    { in_watch, "watcher", " (watcher), a fiber, waits in skua_watch_changed of object ", WATCH_LINE },
    { in_gather, "gatherer", " (gatherer), a fiber, waits in ", GATHER_LINE },
};
enum { CALLS = sizeof calls / sizeof *calls };

static int calls_deadlock(void *arg)
{
    skua_task *tasks[CALLS + 2];
    (void)arg;
    skua_barrier_init(&of.barrier, 2);
    CHECK_OK(skua_broadcast_create(&of.broadcast, sizeof(int), 4));
    skua_broadcast_subscribe(of.broadcast, &of.receiver);
    skua_cancel_token_init(&of.token, NULL);
    skua_wait_group_init(&of.group, 1);
    CHECK_OK(skua_watch_create(&of.watch, sizeof(int), &(int){ 1 }));
    of.once = (skua_once)SKUA_ONCE_INIT;
    for (int i = 0; i < CALLS; i++)
        CHECK_OK(skua_spawn_with(&tasks[i], &(skua_spawn_attr){ .name = calls[i].name }, calls[i].fn, NULL));
    for (int i = 0; i < 2; i++) /* one runs it and waits there, the other one waits for that */
        CHECK_OK(skua_spawn_with(&tasks[CALLS + i], &(skua_spawn_attr){ .name = "once" }, in_once, NULL));
    SKUA_SHIELD();
    for (int i = 0; i < CALLS + 2; i++) {
        CHECK_OK(skua_join(tasks[i], NULL));
        for (int j = i + 1; i == 0 && j < CALLS + 2; j++)
            skua_cancel(tasks[j]);
    }
    skua_wait_group_done(&of.group);
    skua_broadcast_unsubscribe(&of.receiver);
    CHECK_OK(skua_broadcast_destroy(of.broadcast));
    CHECK_OK(skua_watch_destroy(of.watch));
    skua_cancel_token_fini(&of.token);
    return 0;
}

TEST(every_call_says_where_it_was_made)
{
    struct lines *lines = calloc(1, sizeof *lines);
    skua_runtime *rt;
    CHECK(lines != NULL);
    init_events();
    skua_config config = { .simulate = true, .sim_seed = test_seed(), .ignore_environment = true, .log = keep,
                           .log_context = lines };
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_EQ(skua_block_on(rt, calls_deadlock, NULL), -EDEADLK);
    for (int i = 0; i < CALLS; i++)
        check_line(lines, calls[i].line, calls[i].at);
    check_line(lines, " (once), a fiber, waits in skua_once", ONCE_LINE);
    skua_event_set(&never);
    CHECK_OK(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER));
    CHECK_OK(skua_runtime_destroy(rt));
    free(lines);
}

static int in_event_shielded(void *event)
{
    SKUA_SHIELD();
    return skua_event_wait(event);
}

/* A shutdown that would wait for ever says why, but not what was said already. */
TEST(a_simulated_shutdown_reports_once)
{
    struct lines *lines = calloc(1, sizeof *lines);
    skua_runtime *rt;
    CHECK(lines != NULL);
    init_events();
    skua_config config = { .simulate = true, .sim_seed = 5, .ignore_environment = true, .log = keep,
                           .log_context = lines };
    CHECK_OK(skua_runtime_create(&rt, &config));
    skua_spawn_attr there = { .runtime = rt };
    CHECK_OK(skua_spawn_with(NULL, &there, in_event_shielded, &never));
    CHECK_EQ(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER), -ETIMEDOUT);
    CHECK_EQ(lines_with(lines, "deadlock: nothing can wake any of 1 tasks"), 1 + 1); /* it has run to be cancelled */
    CHECK_OK(skua_runtime_destroy(rt));
    free(lines);
}

/* ---- real runs -------------------------------------------------------------------------------------------------- */

#if defined(SKUAI_DEBUG)
static bool can_be_seen(void) { return !test_under_tsan() && !test_under_valgrind() && !test_under_emulator(); }
#else
static bool can_be_seen(void) { return false; }
#endif

TEST(the_guard_reports_every_task_and_thread)
{
    if (!can_be_seen())
        TEST_SKIP("a debug build, without threads of others");
    struct lines *lines = calloc(1, sizeof *lines);
    skua_runtime *rt;
    CHECK(lines != NULL);
    init_events();
    lines->answer = &never;
    lines->answer_at = REPORT_LINES + 1; /* and this thread */
    skua_config config = { .workers = 2, .ignore_environment = true, .log = keep, .log_context = lines };
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_EQ(skua_block_on(rt, deadlocks, NULL), 0); enum { MAIN_LINE = __LINE__ };
    check_line(lines, "deadlock: nothing can wake any of 11 tasks and 1 threads that wait", 0);
    check_report(lines);
    check_line(lines, " waits in skua_join of task ", MAIN_LINE);
    CHECK_OK(skua_runtime_destroy(rt));
    free(lines);
}

static int waits_twice(void *arg)
{
    (void)arg;
    CHECK_OK(skua_event_wait(&never));
    return skua_event_wait(&other);
}

static void *waits_for_it(void *rt)
{
    CHECK_EQ(skua_block_on(rt, in_event, NULL), 0);
    return NULL;
}

static void drop(void *context, enum skua_log_level level, const char *text)
{
    (void)context;
    (void)level;
    (void)text;
}

/* Two runtimes whose tasks wait for each other, and a thread in each: whichever guard looks last. */
TEST(two_runtimes)
{
    if (!can_be_seen())
        TEST_SKIP("a debug build, without threads of others");
    struct lines *lines = calloc(1, sizeof *lines);
    pthread_t thread;
    skua_runtime *rt, *second;
    skua_op wait;
    CHECK(lines != NULL);
    init_events();
    lines->answer = &never;
    lines->answer_at = 1 + 1 + 2 + 1; /* a head, a task, two threads, an arm */
    skua_config config = { .workers = 2, .ignore_environment = true, .log = keep, .log_context = lines };
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_OK(skua_runtime_create(&second, &(skua_config){ .workers = 1, .ignore_environment = true, .log = drop }));
    CHECK_EQ(pthread_create(&thread, NULL, waits_for_it, second), 0);
    skua_spawn_attr there = { .runtime = rt };
    skua_task *task;
    CHECK_OK(skua_spawn_with(&task, &there, waits_twice, NULL));
    CHECK_EQ(SKUA_SELECT(skua_event_wait_prepare(&wait, &never)), 0);
    check_line(lines, "a fiber, waits in skua_event_wait of object 1 at ", 0);
    check_line(lines, " waits in skua_select of 1 at ", 0);
    skua_event_set(&other);
    CHECK_OK(skua_join(task, NULL));
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_OK(skua_runtime_destroy(second));
    CHECK_OK(skua_runtime_destroy(rt));
    free(lines);
}

static void *sets_late(void *arg)
{
    (void)arg;
    struct timespec long_enough = { .tv_sec = 3 };
    clock_nanosleep(CLOCK_MONOTONIC, 0, &long_enough, NULL);
    skua_event_set(&never);
    return NULL;
}

static int in_long_sleep(void *arg)
{
    (void)arg;
    CHECK_EQ(skua_event_wait_until(&never, skua_after(2 * SKUA_S)), -ETIMEDOUT);
    skua_event_set(&never);
    return 0;
}

/* Neither while a thread sleeps that Skua knows nothing of, nor while a timer is armed. */
TEST(no_report_while_somebody_may_come)
{
    struct lines *lines = calloc(1, sizeof *lines);
    pthread_t thread;
    skua_runtime *rt;
    CHECK(lines != NULL);
    skua_config config = { .workers = 2, .ignore_environment = true, .log = keep, .log_context = lines };
    for (int round = 0; round < 2; round++) {
        init_events();
        CHECK_OK(skua_runtime_create(&rt, &config));
        if (round == 0)
            CHECK_EQ(pthread_create(&thread, NULL, sets_late, NULL), 0);
        CHECK_EQ(skua_block_on(rt, round == 0 ? in_event : in_long_sleep, NULL), 0);
        if (round == 0)
            CHECK_EQ(pthread_join(thread, NULL), 0);
        CHECK_OK(skua_runtime_destroy(rt));
    }
    CHECK_EQ(lines->count, 0);
    free(lines);
}
