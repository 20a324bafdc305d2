/* Blocking calls: run on other threads, waited for, withdrawn while queued, their results exact. */
#include "skua/blocking.h"

#include <errno.h>
#include <pthread.h>

#include "support/with_runtime.h"

static int64_t doubles(void *arg) { return 2 * *(int *)arg; }

static int calls(void *arg)
{
    int n = *(int *)arg;
    return (int)skua_blocking(doubles, &n);
}

static int many(void *arg)
{
    (void)arg;
    skua_task *tasks[100];
    int n[100];
    int64_t result;
    for (int i = 0; i < 100; i++) {
        n[i] = i;
        CHECK_OK(skua_spawn(&tasks[i], calls, &n[i]));
    }
    for (int i = 0; i < 100; i++) {
        CHECK_OK(skua_join(tasks[i], &result));
        CHECK_EQ(result, 2 * i);
    }
    return 0;
}
TEST(many_calls) { run_everywhere(many, NULL); }

/* A call that waits for another: both run at once, while the one worker goes on. */
struct meeting {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    int here;
};
static int64_t meets(void *arg)
{
    struct meeting *m = arg;
    pthread_mutex_lock(&m->lock);
    m->here++;
    pthread_cond_broadcast(&m->cond);
    while (m->here < 8)
        pthread_cond_wait(&m->cond, &m->lock);
    pthread_mutex_unlock(&m->lock);
    return 1;
}
static int goes_to_meeting(void *arg) { return (int)skua_blocking(meets, arg); }
static int eight_meet(void *arg)
{
    (void)arg;
    struct meeting m = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };
    skua_task *tasks[8];
    int64_t result;
    for (int i = 0; i < 8; i++)
        CHECK_OK(skua_spawn(&tasks[i], goes_to_meeting, &m));
    for (int i = 0; i < 8; i++) {
        CHECK_OK(skua_join(tasks[i], &result));
        CHECK_EQ(result, 1);
    }
    pthread_mutex_destroy(&m.lock);
    pthread_cond_destroy(&m.cond);
    return 0;
}
TEST(calls_that_wait_for_each_other)
{
    CHECK_EQ(run_on(1, eight_meet, NULL), 0);
    CHECK_EQ(run_on(4, eight_meet, NULL), 0);
}

/* Exactly the calls that were not withdrawn have been made. */
static int64_t counts(void *arg)
{
    __atomic_fetch_add((int *)arg, 1, __ATOMIC_RELAXED);
    return 7;
}
static int counted_call(void *arg) { return (int)skua_blocking(counts, arg); }
static int withdrawn(void *arg)
{
    (void)arg;
    int called = 0, done = 0;
    for (int round = 0; round < 20; round++) {
        skua_task *tasks[20];
        int64_t result;
        for (int i = 0; i < 20; i++)
            CHECK_OK(skua_spawn(&tasks[i], counted_call, &called));
        if (round % 2)
            skua_yield();
        for (int i = 0; i < 20; i++)
            skua_cancel(tasks[i]);
        for (int i = 0; i < 20; i++) {
            CHECK_OK(skua_join(tasks[i], &result));
            CHECK(result == 7 || result == -ECANCELED);
            done += result == 7;
        }
    }
    CHECK_EQ(called, done);
    return 0;
}
TEST(cancelled_calls_were_not_made) { run_everywhere(withdrawn, NULL); }

struct calls_too {
    SKUA_FRAME;
    struct { int *n; } in;
    skua_blocking_op call;
    skua_sleep_op sleep;
};
SKUA_ASYNC(calls_too)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_blocking_start(&self->call, doubles, self->in.n));
    SKUA_END(self->call.result);
}
static int in_futures(void *arg)
{
    (void)arg;
    int n = 21, called = 0;
    skua_task *task;
    int64_t result;
    skua_blocking_op call;
    skua_sleep_op sleep;
    CHECK_OK(SKUA_SPAWN(&task, calls_too, .n = &n));
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, 42);
    for (int i = 0; i < 50; i++) {
        int before = called;
        int64_t arm = SKUA_SELECT(skua_blocking_prepare(&call, counts, &called), skua_sleep_prepare(&sleep, 10000));
        CHECK_EQ(called - before, arm == 0);
        CHECK(arm == 1 || call.result == 7);
    }
    return 0;
}
TEST(calls_in_futures_and_selects) { run_everywhere(in_futures, NULL); }

TEST(a_plain_thread_just_calls)
{
    int n = 4;
    CHECK_EQ(skua_blocking(doubles, &n), 8);
}
