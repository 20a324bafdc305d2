/* spawn_many, spawn_many_cold, fiber_spawn, spawn_await, chained_spawn. */
#include "bench/cases/work.h"

struct tick {
    SKUA_FRAME;
    struct {
        struct count *count;
    } in;
};
SKUA_ASYNC(tick)
{
    SKUA_BEGIN(self);
    count_down(self->in.count);
    SKUA_END(0);
}

int64_t work_spawn_counted(int64_t n)
{
    struct count *count = work_count(n);
    for (int64_t i = 0; i < n; i++)
        work_must(SKUA_GO(tick, .count = count));
    wait_for_zero(count);
    return n;
}

static int64_t spawn_many(void) { return work_spawn_counted(SPAWNS); }

static int tick_fiber(void *arg)
{
    count_down(arg);
    return 0;
}

static int64_t fiber_spawn(void)
{
    struct count *count = work_count(FIBERS);
    for (int i = 0; i < FIBERS; i++)
        work_must(skua_go(tick_fiber, count));
    wait_for_zero(count);
    return FIBERS;
}

struct parity {
    SKUA_FRAME;
    struct {
        int64_t of;
    } in;
};
SKUA_ASYNC(parity)
{
    SKUA_BEGIN(self);
    SKUA_END(self->in.of & 1);
}

static int64_t spawn_await(void)
{
    int64_t sum = 0;
    for (int i = 0; i < AWAITS; i++) {
        skua_task *task;
        int64_t result = 0;
        work_must(SKUA_SPAWN(&task, parity, .of = i));
        work_must(skua_join(task, &result));
        sum += result;
    }
    work_check("results", sum, AWAITS / 2);
    return AWAITS;
}

struct chain_link {
    SKUA_FRAME;
    struct {
        struct count *count;
        int left;
    } in;
};
SKUA_ASYNC(chain_link)
{
    SKUA_BEGIN(self);
    if (self->in.left == 1)
        count_down(self->in.count);
    else
        work_must(SKUA_GO(chain_link, .count = self->in.count, .left = self->in.left - 1));
    SKUA_END(0);
}

static int64_t chained_spawn(void)
{
    struct count *count = work_count(1);
    work_must(SKUA_GO(chain_link, .count = count, .left = LINKS));
    wait_for_zero(count);
    return LINKS;
}

const struct work work_of_spawn[] = {
    { "spawn_many", spawn_many },
    { "spawn_many_cold", spawn_many },
    { "fiber_spawn", fiber_spawn },
    { "spawn_await", spawn_await },
    { "chained_spawn", chained_spawn },
    { NULL, NULL },
};
