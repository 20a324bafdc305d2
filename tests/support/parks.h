/* Futures that park until a condition holds, and who makes it hold. */
#ifndef TEST_PARKS_H
#define TEST_PARKS_H

#include <skua.h>

#include "sched/atomic.h"

enum { RESULT = 5 };

struct stage {
    skua_word32 ready, go; /* how many have come to their first park; the condition */
    skua_waker waker;
};

struct parks {
    SKUA_FRAME;
    struct {
        struct stage *stage;
    } in;
};

SKUA_ASYNC(parks)
{
    SKUA_BEGIN(self);
    self->in.stage->waker = skua_waker_self();
    skuai_add_32(&self->in.stage->ready, 1, SKUAI_RELEASE);
    while (skuai_load_32(&self->in.stage->go, SKUAI_ACQUIRE) == 0 && skua_interrupted() == 0)
        SKUA_PARK();
    SKUA_END(skua_interrupted() < 0 ? skua_interrupted() : RESULT);
}

static inline void wait_until_ready(struct stage *stage, uint32_t count)
{
    while (skuai_load_32(&stage->ready, SKUAI_ACQUIRE) != count)
        skua_yield();
}

static inline void go(struct stage *stage)
{
    skua_wake(stage->waker); /* too early: the condition is tested again */
    skuai_store_32(&stage->go, 1, SKUAI_RELEASE);
    skua_wake(stage->waker);
}

#endif
