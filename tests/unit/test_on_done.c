/* Completion callbacks: exactly once, with the result, where one has asked for it. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "support/with_runtime.h"

struct told {
    int calls;
    int64_t result;
    pthread_t thread;
    skua_runtime *rt;
    skua_event called;
};

static void tell(void *context, int64_t result)
{
    struct told *told = context;
    told->result = result;
    told->thread = pthread_self();
    told->rt = skua_runtime_self();
    __atomic_fetch_add(&told->calls, 1, __ATOMIC_RELEASE);
    skua_event_set(&told->called);
}

static struct told untold(void)
{
    struct told told = { .calls = 0 };
    skua_event_init(&told.called, SKUA_EVENT_MANUAL);
    return told;
}

static int returns(void *arg) { return (int)(intptr_t)arg; }

static int sleeps(void *arg)
{
    (void)arg;
    int rc = skua_sleep(SKUA_MS);
    return rc < 0 ? rc : 5;
}

static int waits(void *arg)
{
    (void)arg;
    return skua_sleep(SKUA_NEVER);
}

struct slow {
    SKUA_FRAME;
    struct { int64_t result; } in;
    skua_sleep_op nap;
};
SKUA_ASYNC(slow)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_sleep_start(&self->nap, SKUA_MS));
    SKUA_END(self->in.result);
}

/* ---- in one runtime ---------------------------------------------------------------------------------------------- */

static void check_told(struct told *told, int64_t result)
{
    CHECK_OK(skua_event_wait(&told->called));
    CHECK_EQ(__atomic_load_n(&told->calls, __ATOMIC_ACQUIRE), 1);
    CHECK_EQ(told->result, result);
    CHECK(told->rt == skua_runtime_self());
}

static int in_a_task(void *arg)
{
    (void)arg;
    skua_task *task;
    struct told told = untold();
    CHECK_OK(skua_spawn(&task, sleeps, NULL));
    CHECK_OK(skua_on_done(task, NULL, tell, &told));
    CHECK_EQ(told.calls, 0);
    check_told(&told, 5);

    told = untold();
    CHECK_OK(skua_spawn(&task, returns, (void *)7)); /* it has ended long ago */
    CHECK_OK(skua_sleep(SKUA_MS));
    CHECK_OK(skua_on_done(task, NULL, tell, &told));
    check_told(&told, 7);

    told = untold();
    CHECK_OK(SKUA_SPAWN(&task, slow, .result = INT64_C(1) << 40)); /* a future's, and more than an int */
    CHECK_OK(skua_on_done(task, skua_runtime_self(), tell, &told));
    check_told(&told, INT64_C(1) << 40);

    told = untold();
    CHECK_OK(skua_spawn(&task, waits, NULL)); /* cancelled by who has kept a waker */
    skua_waker waker = skua_task_waker(task);
    CHECK_OK(skua_on_done(task, NULL, tell, &told));
    skua_waker_cancel(waker);
    check_told(&told, -ECANCELED);

    told = untold();
    CHECK_OK(skua_spawn(&task, waits, NULL)); /* before it is asked for */
    skua_cancel(task);
    CHECK_OK(skua_on_done(task, NULL, tell, &told));
    check_told(&told, -ECANCELED);

    CHECK_OK(skua_spawn(&task, returns, (void *)3));
    CHECK_EQ(skua_on_done(task, NULL, NULL, &told), -EINVAL);
    int64_t result;
    CHECK_OK(skua_join(task, &result)); /* it was kept */
    CHECK_EQ(result, 3);
    return 0;
}
TEST(a_task_is_told_of) { run_everywhere(in_a_task, NULL); }

/* Whoever asks for it may be cancelled and gone. */
static int asks_and_goes(void *told)
{
    skua_task *task;
    CHECK_OK(skua_spawn(&task, sleeps, NULL));
    skua_cancel(skua_self());
    CHECK_OK(skua_on_done(task, NULL, tell, told));
    return 0;
}

static int of_a_task_that_goes(void *arg)
{
    (void)arg;
    struct told told = untold();
    CHECK_OK(skua_go(asks_and_goes, &told));
    check_told(&told, 5);
    return 0;
}
TEST(who_asks_may_go) { run_everywhere(of_a_task_that_goes, NULL); }

/* Many, that end while they are asked for. */
enum { MANY = 200 };

static int many(void *arg)
{
    (void)arg;
    static struct told told[MANY];
    for (int i = 0; i < MANY; i++) {
        skua_task *task;
        told[i] = untold();
        CHECK_OK(skua_spawn(&task, returns, (void *)(intptr_t)i));
        if (i % 3 == 0)
            skua_yield();
        CHECK_OK(skua_on_done(task, NULL, tell, &told[i]));
    }
    for (int i = 0; i < MANY; i++)
        check_told(&told[i], i);
    return 0;
}
TEST(many_are_told_of) { run_everywhere(many, NULL); }

/* A callback may spawn, and what it spawns has another. */
static void tell_again(void *context, int64_t result)
{
    skua_task *task;
    if (result == 0) {
        tell(context, 11);
        return;
    }
    CHECK_OK(skua_spawn(&task, returns, (void *)(intptr_t)(result - 1)));
    CHECK_OK(skua_on_done(task, NULL, tell_again, context));
}

static int chain(void *arg)
{
    (void)arg;
    struct told told = untold();
    tell_again(&told, 20);
    check_told(&told, 11);
    return 0;
}
TEST(callbacks_may_spawn) { run_everywhere(chain, NULL); }

/* ---- from outside, and elsewhere --------------------------------------------------------------------------------- */

static skua_runtime *create(skua_config config)
{
    skua_runtime *rt;
    config.ignore_environment = true;
    CHECK_OK(skua_runtime_create(&rt, &config));
    return rt;
}

TEST(a_plain_thread_asks)
{
    skua_runtime *rt = create((skua_config){ .workers = 2 });
    for (int i = 0; i < 100; i++) {
        struct told told = untold();
        skua_task *task;
        CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = rt }, i % 2 ? sleeps : returns, (void *)5));
        CHECK_OK(skua_on_done(task, NULL, tell, &told));
        CHECK_OK(skua_event_wait(&told.called));
        CHECK_EQ(told.result, 5);
        CHECK(told.rt == rt);
        CHECK(!pthread_equal(told.thread, pthread_self()));
    }
    CHECK_OK(skua_runtime_destroy(rt));
}

/* What is computed elsewhere is told to the loop, on its thread, in its turns. */
TEST(a_loop_is_told_of_what_others_compute)
{
    skua_runtime *rt = create((skua_config){ .workers = 2 }), *embedded = create((skua_config){ .embed = true });
    struct told told[20];
    for (int i = 0; i < 20; i++) {
        skua_task *task;
        told[i] = untold();
        CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = rt }, i % 2 ? sleeps : returns, (void *)5));
        CHECK_OK(skua_on_done(task, embedded, tell, &told[i]));
        CHECK_EQ(told[i].calls, 0);
    }
    struct pollfd watched = { .fd = skua_embed_fd(embedded), .events = POLLIN };
    for (int i = 0; i < 20; i++) {
        while (told[i].calls == 0) {
            CHECK_EQ(poll(&watched, 1, 20000), 1);
            CHECK(skua_turn(embedded, SKUA_MS) >= 0);
        }
        CHECK_EQ(told[i].calls, 1);
        CHECK_EQ(told[i].result, 5);
        CHECK(told[i].rt == embedded);
        CHECK(pthread_equal(told[i].thread, pthread_self()));
    }
    CHECK_OK(skua_runtime_destroy(rt));
    CHECK_OK(skua_runtime_destroy(embedded));
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

static void silent(void *context, enum skua_log_level level, const char *text)
{
    (void)context, (void)level, (void)text;
}

static int ignores_cancellation(void *arg)
{
    (void)arg;
    SKUA_SHIELD();
    return skua_sleep(SKUA_NEVER);
}

static skua_task *spawn_on(skua_runtime *rt, skua_fiber_fn *fn)
{
    skua_task *task;
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = rt }, fn, NULL));
    return task;
}

TEST(a_shutdown_waits_for_callbacks)
{
    for (int cancels = 0; cancels < 2; cancels++) {
        skua_runtime *rt = create((skua_config){ .workers = 2, .log = silent });
        struct told told = untold();
        CHECK_OK(skua_on_done(spawn_on(rt, cancels ? waits : sleeps), NULL, tell, &told));
        CHECK_OK(skua_runtime_shutdown(rt, cancels ? 0 : SKUA_NEVER, SKUA_NEVER));
        CHECK_EQ(told.calls, 1);
        CHECK_EQ(told.result, cancels ? -ECANCELED : 5);
        CHECK_OK(skua_runtime_destroy(rt));
    }
}

/* Of tasks that are left over, by whomever: told once, while their memory is still there. */
TEST(what_is_left_over)
{
    for (int i = 0; i < 20; i++) {
        skua_runtime *rt = create((skua_config){ .workers = 1, .log = silent });
        skua_runtime *other = create((skua_config){ .workers = 1, .log = silent });
        struct told same = untold(), elsewhere = untold(), stays = untold();
        CHECK_OK(skua_on_done(spawn_on(rt, ignores_cancellation), NULL, tell, &same));
        CHECK_OK(skua_on_done(spawn_on(rt, ignores_cancellation), other, tell, &elsewhere));
        skua_task *task = spawn_on(other, waits);
        skua_waker waker = skua_task_waker(task);
        CHECK_OK(skua_on_done(task, rt, tell, &stays)); /* the runtime goes that would call it */
        CHECK_EQ(skua_runtime_shutdown(rt, 0, SKUA_MS), -ETIMEDOUT);
        CHECK_EQ(same.calls, 1);
        CHECK_EQ(same.result, -ESHUTDOWN);
        CHECK(same.rt == NULL);
        CHECK_EQ(stays.calls, 1);
        CHECK_EQ(stays.result, -ESHUTDOWN);
        CHECK_OK(skua_event_wait(&elsewhere.called));
        CHECK_EQ(elsewhere.result, -ESHUTDOWN);
        CHECK(elsewhere.rt == other);
        CHECK_OK(skua_runtime_destroy(rt));
        skua_waker_cancel(waker);
        CHECK_OK(skua_runtime_shutdown(other, 0, SKUA_NEVER));
        CHECK_OK(skua_runtime_destroy(other));
        CHECK_EQ(elsewhere.calls, 1);
        CHECK_EQ(stays.calls, 1);
    }
}

TEST(a_runtime_that_has_ended_calls_nobody)
{
    skua_runtime *rt = create((skua_config){ .workers = 1 }), *gone = create((skua_config){ .workers = 1 });
    struct told told = untold();
    skua_task *task = spawn_on(rt, sleeps);
    int64_t result;
    CHECK_OK(skua_runtime_shutdown(gone, SKUA_NEVER, SKUA_NEVER));
    CHECK_EQ(skua_on_done(task, gone, tell, &told), -ESHUTDOWN);
    CHECK_OK(skua_join(task, &result)); /* it was kept */
    CHECK_EQ(result, 5);
    CHECK_EQ(told.calls, 0);
    CHECK_OK(skua_runtime_destroy(gone));
    CHECK_OK(skua_runtime_destroy(rt));
}

/* ---- misuse ------------------------------------------------------------------------------------------------------ */

static int misuses;
static void note_misuse(void *context, const char *text)
{
    (void)context;
    CHECK(strstr(text, "skua_sleep") != NULL || strstr(text, "skua_on_done") != NULL);
    __atomic_fetch_add(&misuses, 1, __ATOMIC_RELAXED);
}

static void waits_in_it(void *context, int64_t result)
{
    CHECK_EQ(skua_sleep(SKUA_MS), -EPERM);
    tell(context, result);
}

static int joins(void *task)
{
    int64_t result;
    return skua_join(task, &result);
}

TEST(misuse_is_reported)
{
    skua_runtime *rt = create((skua_config){ .workers = 1, .on_misuse = note_misuse });
    struct told told = untold();
    misuses = 0;
    CHECK_OK(skua_on_done(spawn_on(rt, sleeps), NULL, waits_in_it, &told));
    CHECK_OK(skua_event_wait(&told.called));
    CHECK_EQ(told.result, 5);
    CHECK_EQ(misuses, 1);

    told = untold();
    skua_task *task = spawn_on(rt, waits), *joiner;
    skua_waker waker = skua_task_waker(task);
    CHECK_OK(skua_spawn_with(&joiner, &(skua_spawn_attr){ .runtime = rt }, joins, task));
    nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
    CHECK_OK(skua_on_done(task, NULL, tell, &told)); /* a handle is used once */
    CHECK_OK(skua_event_wait(&told.called));
    CHECK_EQ(told.result, -EBUSY);
    CHECK_EQ(misuses, 2);
    skua_waker_cancel(waker);
    CHECK_OK(skua_join(joiner, NULL));
    CHECK_OK(skua_runtime_destroy(rt));
}
