/* Failures that nobody is told of are counted: tasks without a handle that end with an error. */
#include <errno.h>
#include <stdint.h>

#include "skua/future.h"
#include "skua/group.h"
#include "support/with_runtime.h"

static int returns(void *arg) { return (int)(intptr_t)arg; }
static void *result(int value) { return (void *)(intptr_t)value; }

struct fails {
    skua_frame frame;
    struct {
        int64_t result;
    } in;
};
SKUA_ASYNC(fails)
{
    SKUA_BEGIN(self);
    SKUA_YIELD();
    SKUA_END(self->in.result);
}

static uint64_t failed_since(uint64_t before)
{
    skua_stats stats;
    for (int i = 0; i < 3; i++)
        skua_yield(); /* on one worker, so that those that were started have ended */
    skua_runtime_stats(skua_runtime_self(), &stats);
    return stats.failed - before;
}

static int by_detached_tasks(void *arg)
{
    (void)arg;
    CHECK_OK(skua_go(returns, result(0)));
    CHECK_OK(skua_go(returns, result(7)));
    CHECK_OK(skua_go(returns, result(-ECANCELED))); /* was asked to */
    CHECK_OK(SKUA_GO(fails, .result = -ECANCELED));
    CHECK_OK(SKUA_GO(fails, .result = 0));
    CHECK_EQ(failed_since(0), 0);
    CHECK_OK(skua_go(returns, result(-EIO)));
    CHECK_EQ(failed_since(0), 1);
    CHECK_OK(SKUA_GO(fails, .result = INT64_MIN));
    CHECK_EQ(failed_since(1), 1);
    return 0;
}
TEST(of_detached_tasks) { CHECK_EQ(run_on(1, by_detached_tasks, NULL), 0); }

static int with_handles(void *arg)
{
    int64_t value = 0;
    skua_task *task;
    (void)arg;
    CHECK_OK(skua_spawn(&task, returns, result(-EIO)));
    CHECK_EQ(failed_since(0), 0); /* it has ended, and somebody may ask */
    CHECK_OK(skua_join(task, &value));
    CHECK_EQ(value, -EIO);
    CHECK_OK(SKUA_SPAWN(&task, fails, .result = -EIO));
    CHECK_OK(skua_join(task, &value)); /* which waits for it */
    CHECK_EQ(failed_since(0), 0);
    CHECK_OK(skua_spawn(&task, returns, result(-EIO)));
    skua_detach(task);
    CHECK_EQ(failed_since(0), 1);
    CHECK_OK(skua_spawn(&task, returns, result(-EIO)));
    CHECK_EQ(failed_since(1), 0);
    skua_detach(task); /* nobody will ask any more */
    CHECK_EQ(failed_since(1), 1);
    CHECK_OK(skua_spawn(&task, returns, result(-ECANCELED)));
    CHECK_EQ(failed_since(2), 0);
    skua_detach(task);
    CHECK_EQ(failed_since(2), 0);
    return 0;
}
TEST(of_tasks_whose_handles_are_given_up) { CHECK_EQ(run_on(1, with_handles, NULL), 0); }

static int in_a_group(void *arg)
{
    (void)arg;
    SKUA_GROUP(group);
    CHECK_OK(skua_group_go(&group, returns, result(-EIO)));
    CHECK_EQ(skua_group_wait(&group), -EIO); /* who waits is told */
    CHECK_EQ(failed_since(0), 0);
    return 0;
}
TEST(not_of_members) { CHECK_EQ(run_on(1, in_a_group, NULL), 0); }
