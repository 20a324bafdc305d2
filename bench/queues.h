/* The queues that inject.c compares, each behind the same four functions.
 *
 * Items are task headers, 64 bytes and aligned: the injection queue needs their `next`, other queues may keep 32 bytes
 * of their own at the beginning, and `result` is the benchmark's. An item goes through a queue once between two calls
 * of clear(), so a queue may use an item's memory until then, also after it was taken.
 */
#ifndef SKUA_BENCH_QUEUES_H
#define SKUA_BENCH_QUEUES_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/task.h"

struct bench_queue {
    const char *runtime;
    bool producers_spin;             /* for each other: not measured with more producers than processors */
    void *(*create)(void);           /* NULL: no memory */
    void (*destroy)(void *queue);
    void (*clear)(void *queue);      /* it is empty, and nobody uses it: as newly made */
    /* Pushes some of count adjacent items, from the first on; how many. 0: full at the moment. Any thread. */
    uint32_t (*push)(void *queue, skua_task *items, uint32_t count);
    /* Takes up to max; 0: nothing to be had at the moment. Any thread. */
    uint32_t (*take)(void *queue, skua_task **items, uint32_t max);
};

/* ck_queues.c; empty without concurrencykit. */
extern const struct bench_queue *const bench_ck_queues[];
extern const uint32_t bench_ck_queue_count;

#endif
