/* yield_many, fiber_yield_many, fiber_yield_two. */
#include "bench/cases/work.h"

struct yielder {
    SKUA_FRAME;
    struct {
        struct count *count;
    } in;
    int i;
};
SKUA_ASYNC(yielder)
{
    SKUA_BEGIN(self);
    for (self->i = 0; self->i < YIELDS; self->i++)
        SKUA_YIELD();
    count_down(self->in.count);
    SKUA_END(0);
}

static int64_t yield_many(void)
{
    struct count *count = work_count(YIELDERS);
    for (int i = 0; i < YIELDERS; i++)
        work_must(SKUA_GO(yielder, .count = count));
    wait_for_zero(count);
    return (int64_t)YIELDERS * YIELDS;
}

struct crew {
    struct count *count;
    int yields;
};

static int yielder_fiber(void *arg)
{
    struct crew *crew = arg;
    struct count *count = crew->count; /* the crew is on the stack of who waits */
    int yields = crew->yields;
    for (int i = 0; i < yields; i++)
        work_must(skua_yield());
    count_down(count);
    return 0;
}

static int64_t fibers_yield(int fibers, int yields)
{
    struct crew crew = { .count = work_count(fibers), .yields = yields };
    for (int i = 0; i < fibers; i++)
        work_must(skua_go(yielder_fiber, &crew));
    wait_for_zero(crew.count);
    return (int64_t)fibers * yields;
}

static int64_t fiber_yield_many(void) { return fibers_yield(YIELDERS, YIELDS); }
static int64_t fiber_yield_two(void) { return fibers_yield(2, TURNS); }

const struct work work_of_yield[] = {
    { "yield_many", yield_many },
    { "fiber_yield_many", fiber_yield_many },
    { "fiber_yield_two", fiber_yield_two },
    { NULL, NULL },
};
