/* Counters: each has one writer, and anybody reads it. */
#ifndef SKUAI_COUNT_H
#define SKUAI_COUNT_H

#include <stddef.h>

#include "sched/atomic.h"

SKUAI_INLINE void skuai_count(skua_word64 *counter, uint64_t n)
{
    /* One writer, so no exchange is needed; relaxed: a reader wants a recent value, nothing behind it. */
    skuai_store_64(counter, skuai_load_64(counter, SKUAI_RELAXED) + n, SKUAI_RELAXED);
}

/* The greatest that there was. No model test needs the check or the step: for reports. */
SKUAI_INLINE void skuai_count_max(skua_word64 *counter, uint64_t n)
{
    if (n > skuai_load_64(counter, SKUAI_RELAXED)) /* a counter, as above */
        skuai_store_64(counter, n, SKUAI_RELAXED);
}

/* No model test runs this: for reports. */
SKUAI_INLINE uint64_t skuai_count_sum(const skua_word64 *counters, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += skuai_load_64(&counters[i], SKUAI_RELAXED); /* as above */
    return sum;
}

#endif
