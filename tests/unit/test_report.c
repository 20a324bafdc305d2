/* What a runtime says and to whom: log levels and the log function, lines that are too long, misuse and its handler,
 * error texts, the lines about tasks that a shutdown leaves, the text about an overflown stack.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/runtime.h"
#include "sched/overflow.h"
#include "sched/spawn.h"
#include "support/with_runtime.h"

enum { LINES_MAX = 8, LINE_ROOM = 600 };

struct lines {
    uint32_t count;
    enum skua_log_level levels[LINES_MAX];
    char texts[LINES_MAX][LINE_ROOM];
};

/* Called by one thread at a time in these tests. */
static void keep_line(void *context, enum skua_log_level level, const char *text)
{
    struct lines *lines = context;
    CHECK(lines->count < LINES_MAX);
    CHECK(strchr(text, '\n') == NULL);
    lines->levels[lines->count] = level;
    CHECK((size_t)snprintf(lines->texts[lines->count++], LINE_ROOM, "%s", text) < LINE_ROOM);
}

static void keep_misuse(void *context, const char *text) { keep_line(context, SKUA_LOG_ERROR, text); }

static skua_config noted_misuse(uint32_t workers, struct lines *lines)
{
    return (skua_config){
        .workers = workers, .ignore_environment = true, .on_misuse = keep_misuse, .misuse_context = lines
    };
}

/* ---- log lines ----------------------------------------------------------------------------------------------- */

TEST(the_log_function_gets_every_level)
{
    struct lines lines = { .count = 0 };
    struct skuai_scheduler sched = { .reporting = { .log = keep_line, .log_context = &lines } };
    skuai_log(&sched, SKUA_LOG_ERROR, "no %s", "way");
    skuai_log(&sched, SKUA_LOG_WARN, "%d of %d", 2, 3);
    skuai_log(&sched, SKUA_LOG_INFO, "just so");
    CHECK_EQ(lines.count, 3);
    CHECK(lines.levels[0] == SKUA_LOG_ERROR && lines.levels[1] == SKUA_LOG_WARN && lines.levels[2] == SKUA_LOG_INFO);
    CHECK_STR(lines.texts[0], "no way");
    CHECK_STR(lines.texts[1], "2 of 3");
    CHECK_STR(lines.texts[2], "just so");
}

TEST(a_long_line_is_cut)
{
    struct lines lines = { .count = 0 };
    struct skuai_scheduler sched = { .reporting = { .log = keep_line, .log_context = &lines } };
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    skuai_log(&sched, SKUA_LOG_INFO, "%s", text);
    CHECK_EQ(strlen(lines.texts[0]), 511);
    CHECK(memcmp(lines.texts[0], text, 511) == 0);
}

static void log_to_stderr(void *level)
{
    struct skuai_scheduler sched = { .reporting = { .log = NULL } };
    skuai_log(&sched, (enum skua_log_level)(uintptr_t)level, "a line");
    skuai_log(NULL, SKUA_LOG_ERROR, "level %d was logged", (int)(uintptr_t)level);
    abort();
}

TEST(without_a_log_function_errors_and_warnings_go_to_stderr)
{
    test_expect_abort(log_to_stderr, (void *)SKUA_LOG_ERROR, "skua: a line\nskua: level 0 was logged\n");
    test_expect_abort(log_to_stderr, (void *)SKUA_LOG_WARN, "skua: a line\nskua: level 1 was logged\n");
    test_expect_abort(log_to_stderr, (void *)SKUA_LOG_INFO, "skua: level 2 was logged\n");
}

TEST(what_creation_logs_goes_to_the_log_function)
{
    struct lines lines = { .count = 0 };
    skua_runtime *rt;
    skua_config config = { .workers = 2000, .log = keep_line, .log_context = &lines };
    CHECK_EQ(skua_runtime_create(&rt, &config), -EINVAL);
    CHECK_EQ(lines.count, 1);
    CHECK(lines.levels[0] == SKUA_LOG_ERROR && strstr(lines.texts[0], "skua_config.workers is 2000") != NULL);
    config = (skua_config){ .workers_per_poller = 1025, .log = keep_line, .log_context = &lines };
    CHECK_EQ(skua_runtime_create(&rt, &config), -EINVAL);
    CHECK_EQ(lines.count, 2);
    CHECK(strstr(lines.texts[1], "skua_config.workers_per_poller is 1025") != NULL);
}

TEST(wrong_variables_of_the_environment_are_named)
{
    test_allow_heap_growth(4096); /* what setenv() makes is libc's for good */
    static const char *const variables[][2] = { { "SKUA_WORKERS", "0" },   { "SKUA_STACK_SIZE", "1K" },
                                                { "SKUA_BIND", "2" },      { "SKUA_SIM_SEED", "-1" },
                                                { "SKUA_SIM_SEED", "7x" }, { "SKUA_STACK_SIZE", "17179869184G" },
                                                { "SKUA_WORKERS_PER_POLLER", "1025" },
                                                { "SKUA_DUMP_ON_SIGQUIT", "yes" },
                                                { "SKUA_WORKERS_PER_POLLER", "node" } };
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        struct lines lines = { .count = 0 };
        skua_runtime *rt;
        CHECK_EQ(setenv(variables[i][0], variables[i][1], 1), 0);
        CHECK_EQ(skua_runtime_create(&rt, &(skua_config){ .log = keep_line, .log_context = &lines }), -EINVAL);
        CHECK_EQ(lines.count, 1);
        CHECK(strstr(lines.texts[0], variables[i][0]) == lines.texts[0]);
        CHECK(strstr(lines.texts[0], variables[i][1]) != NULL);
        CHECK_EQ(unsetenv(variables[i][0]), 0);
    }
}

/* ---- misuse -------------------------------------------------------------------------------------------------- */

struct misused {
    SKUA_FRAME;
    struct {
        int what;
    } in;
    skua_sleep_op sleep;
};

SKUA_ASYNC(misused)
{
    SKUA_BEGIN(self);
    if (self->in.what == 0)
        SKUA_AWAIT(skua_sleep_start(&self->sleep, 0));
    if (self->in.what == 1)
        SKUA_YIELD();
    if (self->in.what == 2)
        SKUA_PARK();
    SKUA_END(0);
}

struct waits_wrongly {
    SKUA_FRAME;
    SKUA_NO_ARGS;
    struct misused inner;
    skua_task *task;
};

SKUA_ASYNC(waits_wrongly)
{
    SKUA_BEGIN(self);
    CHECK_EQ(skua_yield(), -EPERM);
    CHECK_EQ(skua_park(), -EPERM);
    CHECK_EQ(skua_await_future(SKUA_FUTURE(&self->inner, misused, .what = 3)), -EPERM);
    CHECK_EQ(skua_block_on(skua_runtime_self(), NULL, NULL), -EPERM);
    CHECK_EQ(skua_join(skua_self(), NULL), -EPERM);
    SKUA_END(7);
}

static int misuses(void *arg)
{
    struct lines *lines = arg;
    struct misused future;
    char id[40];
    CHECK_OK(skua_self_set_name("culprit"));
    snprintf(id, sizeof id, "(task %llu culprit): ", (unsigned long long)skuai_task_id(skua_self()));
    for (int what = 0; what < 3; what++) { /* polled by hand, by no task */
        skua_frame *frame = &SKUA_FUTURE(&future, misused, .what = what)->frame;
        CHECK_EQ(frame->poll(frame), SKUA_PENDING);
    }
    CHECK_EQ(lines->count, 3);
    static const char *const calls[] = { "misuse: SKUA_AWAIT ", "misuse: SKUA_YIELD ", "misuse: SKUA_PARK " };
    for (int what = 0; what < 3; what++) {
        CHECK(strncmp(lines->texts[what], calls[what], strlen(calls[what])) == 0);
        CHECK(strstr(lines->texts[what], "reached by a poll function that no task runs (task ") != NULL);
        CHECK(strstr(lines->texts[what], id) != NULL);
        CHECK(strstr(lines->texts[what], ": spawn the future") != NULL);
    }
    lines->count = 0;
    struct waits_wrongly wrong;
    CHECK_EQ(skua_await_future(SKUA_FUTURE(&wrong, waits_wrongly)), 7);
    CHECK_EQ(lines->count, 5);
    static const char *const instead[] = { "use SKUA_YIELD", "use SKUA_PARK", "inside a future use SKUA_AWAIT",
                                           "spawn the function and use SKUA_AWAIT with skua_join_start()",
                                           "use SKUA_AWAIT with skua_join_start()" };
    for (int i = 0; i < 5; i++)
        CHECK(strstr(lines->texts[i], instead[i]) != NULL);
    lines->count = 0;
    skua_scope outer, inner;
    skua_shield_enter(&outer);
    skua_shield_enter(&inner);
    skua_scope_leave(&outer); /* not the innermost: nothing is done */
    CHECK_EQ(lines->count, 1);
    skua_scope_leave(&inner);
    skua_scope_leave(&outer);
    CHECK_EQ(lines->count, 1);
    return 0;
}

TEST(misuse_goes_to_its_handler_and_fails_the_call)
{
    struct lines lines = { .count = 0 };
    skua_config config = noted_misuse(2, &lines);
    CHECK_EQ(run_in(config, misuses, &lines), 0);
}

static int leaves_a_shield(void *arg)
{
    static skua_scope scope; /* outlives the fiber, as it must */
    (void)arg;
    skua_shield_enter(&scope);
    return 3;
}

TEST(a_fiber_that_ends_in_a_shield)
{
    struct lines lines = { .count = 0 };
    skua_config config = noted_misuse(1, &lines);
    CHECK_EQ(run_in(config, leaves_a_shield, NULL), 3);
    CHECK_EQ(lines.count, 1);
    CHECK(strstr(lines.texts[0], "came inside a shield") != NULL);
}

struct enters_a_shield {
    SKUA_FRAME;
    SKUA_NO_ARGS;
    skua_scope scope;
};
SKUA_ASYNC(enters_a_shield)
{
    SKUA_BEGIN(self);
    skua_shield_enter(&self->scope);
    SKUA_END(0);
}

static int awaits_one_that_enters_a_shield(void *arg)
{
    struct enters_a_shield future;
    (void)arg;
    CHECK_EQ(skua_await_future(SKUA_FUTURE(&future, enters_a_shield)), 0);
    skua_cancel(skua_self());
    return skua_interrupted();
}

static int futures_end_in_shields(void *arg)
{
    struct lines *lines = arg;
    struct enters_a_shield future;
    skua_child child;
    skua_task *task;
    int64_t result = 0;
    CHECK_OK(SKUA_SPAWN(&task, enters_a_shield));
    CHECK_OK(skua_join(task, NULL));
    CHECK_EQ(lines->count, 1);
    skua_child_future(&child, SKUA_FUTURE(&future, enters_a_shield));
    CHECK_EQ(skua_join_all(&child, 1), 0);
    CHECK_EQ(lines->count, 2);
    CHECK_OK(skua_spawn(&task, awaits_one_that_enters_a_shield, NULL));
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED); /* nothing shields the fiber any more */
    CHECK_EQ(lines->count, 3);
    return 0;
}

TEST(a_future_that_ends_in_a_shield)
{
    struct lines lines = { .count = 0 };
    CHECK_EQ(run_in(noted_misuse(1, &lines), futures_end_in_shields, &lines), 0);
}

static bool withdraws(skua_op *op) { (void)op; return true; }

/* A wait that is refused leaves no op behind: here the timer would stay in a wheel, in memory that is gone. */
struct naps_wrongly {
    SKUA_FRAME;
    SKUA_NO_ARGS;
    skua_sleep_op sleep;
};
SKUA_ASYNC(naps_wrongly)
{
    SKUA_BEGIN(self);
    CHECK_EQ(skua_await(skua_sleep_start(&self->sleep, SKUA_S)), -EPERM);
    CHECK(skua_op_is_done(&self->sleep.op));
    SKUA_END(1);
}
static int spawns_wrong_waiter(void *arg)
{
    (void)arg;
    skua_task *task;
    int64_t result = 0;
    CHECK_OK(SKUA_SPAWN(&task, naps_wrongly));
    CHECK_OK(skua_join(task, &result));
    return (int)result;
}
TEST(a_refused_wait_leaves_no_op)
{
    struct lines lines = { .count = 0 };
    CHECK_EQ(run_in(noted_misuse(1, &lines), spawns_wrong_waiter, NULL), 1);
    CHECK_EQ(lines.count, 1);
}

/* Values are destroyed on the worker, in no task. */
static void waits_in_a_destructor(void *value)
{
    skua_join_op op = { .value = 0 };
    const struct skuai_op_kind kind = { .name = "some_wait", .withdraw = withdraws };
    skuai_op_arm(skuai_op_prepare(&op.op, &kind, NULL), 0);
    CHECK_EQ(skua_await(&op.op), -EPERM);
    CHECK_EQ(skua_await_frame(NULL), -EPERM);
    CHECK_EQ(skua_yield(), -EPERM);
    CHECK_EQ(skua_sleep(0), -EPERM);
    CHECK(skua_self() == NULL && skua_runtime_self() == NULL);
    ++*(int *)value;
}

static skua_local local = SKUA_LOCAL_INIT(waits_in_a_destructor);
static int sets_local(void *arg)
{
    CHECK_OK(skua_local_set(&local, &local));
    CHECK_OK(skua_local_set(&local, arg)); /* instead */
    return 0;
}

TEST(waiting_outside_of_any_task)
{
    struct lines lines = { .count = 0 };
    int destroyed = 0;
    skua_config config = noted_misuse(1, &lines);
    CHECK_EQ(run_in(config, sets_local, &destroyed), 0);
    CHECK_EQ(destroyed, 1);
    CHECK(lines.count >= 3);
    CHECK_STR(lines.texts[0], "misuse: some_wait was waited for in a callback on a worker, outside of any task: "
                              "spawn a task for it");
    CHECK(strstr(lines.texts[1], "misuse: skua_await_frame was called where nothing can be suspended: ") ==
          lines.texts[1]);
    CHECK_STR(lines.texts[2],
              "misuse: skua_sleep was called in a callback on a worker, outside of any task: spawn a task for it");
}

static int misuses_at_length(void *arg)
{
    char text[400];
    struct lines *lines = arg;
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    CHECK_EQ(skuai_misuse("call", text, text), -EPERM);
    CHECK_EQ(skuai_misuse(text, text, "lost"), -EPERM);
    CHECK_EQ(strlen(lines->texts[0]), 511);
    CHECK_EQ(strlen(lines->texts[1]), 511);
    return 0;
}

TEST(a_long_misuse_is_cut)
{
    struct lines lines = { .count = 0 };
    skua_config config = noted_misuse(1, &lines);
    CHECK_EQ(run_in(config, misuses_at_length, &lines), 0);
    CHECK_EQ(lines.count, 2);
}

static int misuses_once(void *arg)
{
    (void)arg;
    return skuai_misuse("some_call", "went wrong", "do better");
}

static void misuse_in_a_runtime(void *arg)
{
    run_on(1, misuses_once, arg);
}
static void misuse_in_a_thread(void *arg)
{
    (void)arg;
    skuai_misuse("some_call", "went wrong", "do better");
}

TEST(misuse_without_a_handler_aborts)
{
    test_expect_abort(misuse_in_a_runtime, NULL, "skua: misuse: some_call went wrong (task ");
    test_expect_abort(misuse_in_a_runtime, NULL, "): do better\n");
    test_expect_abort(misuse_in_a_thread, NULL, "skua: misuse: some_call went wrong: do better\n");
}

/* ---- texts --------------------------------------------------------------------------------------------------- */

TEST(errors_have_texts)
{
    CHECK_STR(skua_strerror(0), "success");
    CHECK_STR(skua_strerror(-ECANCELED), "the task was cancelled");
    CHECK_STR(skua_strerror(ECANCELED), "the task was cancelled");
    CHECK_STR(skua_strerror(-EDEADLK), "the wait could never end");
    CHECK_STR(skua_strerror(-EBUSY), "somebody else is using it");
    CHECK_STR(skua_strerror(-ENOENT), "No such file or directory");
    CHECK_STR(skua_strerror(-123456), "unknown error");
    static const int own[] = { ETIMEDOUT, ESHUTDOWN, EPERM, ENOTSUP };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        CHECK(strcmp(skua_strerror(-own[i]), strerror(own[i])) != 0);
}

static int returns(void *arg) { return (int)(intptr_t)arg; }
static int sleeps_for_ever(void *arg)
{
    (void)arg;
    return skua_sleep(SKUA_NEVER);
}

static void main_returns(void *result) { exit(skua_main(returns, result)); }
static void main_deadlocks(void *arg)
{
    CHECK_EQ(setenv("SKUA_SIM_SEED", "3", 1), 0);
    exit(skua_main(sleeps_for_ever, arg));
}
static void main_does_not_start(void *arg)
{
    CHECK_EQ(setenv("SKUA_WORKERS", "none", 1), 0);
    exit(skua_main(returns, arg));
}

TEST(the_main_function_says_why_it_failed)
{
    CHECK_EQ(skua_main(returns, (void *)0), 0);
    CHECK_EQ(skua_main(returns, (void *)255), 255);
    test_expect_abort(main_returns, (void *)256, "skua: main: ");
    test_expect_abort(main_returns, (void *)-ECANCELED, "skua: main: the task was cancelled (-125)\n");
    test_expect_abort(main_deadlocks, NULL, "skua: simulation, seed 3: every task waits and nothing can wake one\n"
                                            "skua: deadlock: nothing can wake any of 1 tasks and 0 threads that wait\n"
                                            "skua: deadlock: task 0, a fiber, waits in skua_sleep\n"
                                            "skua: main: the wait could never end (-35)\n");
    test_expect_abort(main_does_not_start, NULL, "skua: main: Invalid argument (-22)\n");
}

/* ---- what a shutdown leaves ---------------------------------------------------------------------------------- */

struct stubborn {
    skua_word32 started, told;
};

static int spins(void *arg)
{
    struct stubborn *stubborn = arg;
    CHECK_OK(skua_self_set_name("spinner"));
    skuai_store_32(&stubborn->started, 1, SKUAI_RELEASE);
    while (skuai_load_32(&stubborn->told, SKUAI_ACQUIRE) == 0)
        sched_yield();
    return 0;
}

static int leaves_a_spinner(void *arg)
{
    struct stubborn *stubborn = arg;
    CHECK_OK(skua_go(spins, arg));
    while (skuai_load_32(&stubborn->started, SKUAI_ACQUIRE) == 0)
        skua_yield();
    return 0;
}

static const char *line_with(const struct lines *lines, const char *part)
{
    for (uint32_t i = 0; i < lines->count; i++)
        if (strstr(lines->texts[i], part) != NULL)
            return lines->texts[i];
    return NULL;
}

TEST(a_shutdown_names_what_it_leaves)
{
    skua_runtime *rt;
    struct lines lines = { .count = 0 };
    struct stubborn stubborn = { .told = { 0 } };
    skua_config config = { .workers = 2, .ignore_environment = true, .log = keep_line, .log_context = &lines };
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_EQ(skua_block_on(rt, leaves_a_spinner, &stubborn), 0);
    CHECK_EQ(skua_runtime_shutdown(rt, 0, 0), -EBUSY);
    CHECK_STR(lines.texts[0], "shutdown: cancelling 1 tasks");
    CHECK_EQ(lines.levels[0], SKUA_LOG_INFO);
    const char *line = line_with(&lines, "left over");
    CHECK(line != NULL && strstr(line, "(spinner), running") != NULL);
    CHECK(line_with(&lines, "its worker cannot be stopped") != NULL);
    skuai_store_32(&stubborn.told, 1, SKUAI_RELEASE);
    CHECK_OK(skua_runtime_destroy(rt));
}

/* ---- stack overflow ------------------------------------------------------------------------------------------ */

static int describes_itself(void *arg)
{
    (void)arg;
    char text[256];
    skua_task *self = skua_self();
    const struct skuai_fiber *fiber = SKUAI_TASK_BODY(self);
    CHECK_OK(skua_self_set_name("greedy"));
    int length = skuai_overflow_describe((char *)fiber->stack.low - 1, text, sizeof text);
    CHECK(length > 0 && (size_t)length < sizeof text);
    text[length] = '\0';
    CHECK(strstr(text, "fiber \"greedy\" overflowed its stack of ") != NULL);
    CHECK_EQ(skuai_overflow_describe(text, text, sizeof text), 0); /* on the stack */
    CHECK_EQ(skuai_overflow_describe(NULL, text, sizeof text), 0); /* some other fault */
    return 0;
}

static int describe_own_stack(void)
{
    char text[256] = "";
    return skuai_overflow_describe(text, text, sizeof text);
}

struct describes {
    SKUA_FRAME;
    SKUA_NO_ARGS;
};
SKUA_ASYNC(describes)
{
    SKUA_BEGIN(self);
    SKUA_END(describe_own_stack()); /* a future has none that could be told from its worker's */
}

static int spawns_a_describer(void *arg)
{
    (void)arg;
    skua_task *task;
    int64_t result = -1;
    CHECK_OK(SKUA_SPAWN(&task, describes));
    CHECK_OK(skua_join(task, &result));
    return (int)result;
}

TEST(an_overflow_is_described_by_its_fiber)
{
    CHECK_EQ(describe_own_stack(), 0); /* no worker */
    run_everywhere(describes_itself, NULL);
    run_everywhere(spawns_a_describer, NULL);
}
