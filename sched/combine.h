/* What the frame engine and cancellation know of sets. See combine.c. */
#ifndef SKUAI_COMBINE_H
#define SKUAI_COMBINE_H

#include "skua/combine.h"

enum skuai_child_flag {
    SKUAI_CHILD_READY = 1,    /* in its set's ready list */
    SKUAI_CHILD_CANCELED = 2, /* its set has cancelled it */
    SKUAI_CHILD_PARKED = 4,   /* inside SKUA_PARK or SKUA_YIELD: polled whenever its task is */
    SKUAI_CHILD_STARTED = 8,
    SKUAI_CHILD_ENDING = 16,  /* its future has ended, but fires are still under way to it */
    SKUAI_CHILD_LISTED = 32   /* in its set's list of those that have parked, and may not be parked any more */
};

/* What a set's frame is polled by: tells it from other frames. */
enum skua_poll skuai_set_poll(skua_frame *frame);

/* For reports: the call that made the set. */
const char *skuai_set_call(const skua_set *set);

/* fired.c. An op of the child has fired; any thread. */
void skuai_child_fire(skua_child *child);
/* Takes a task's list of fired children, oldest first, linked by `next`; its runner only. Each is then settled. */
skua_child *skuai_fired_take(skua_task *task);
void skuai_fired_settle(skua_child *child);

/* The child, being polled, waits for any wake of its task. */
void skuai_child_park(skua_child *child);

#endif
