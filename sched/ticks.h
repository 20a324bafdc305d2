/* A clock for stretches of some microseconds: read in a few nanoseconds, in ticks of about the length that
 * SKUAI_TICKS_PER_US says. Only differences mean something; across threads they may be off, and their reader must cope.
 * In a simulation it is the virtual time, which stands still while a task computes (but for skua_sim_compute()).
 */
#ifndef SKUAI_TICKS_H
#define SKUAI_TICKS_H

#include "sched/env.h"

#if defined(__x86_64__) || defined(__i386__)

enum { SKUAI_TICKS_PER_US = 2048 }; /* the time stamp counters of this century run at 1 to 5 GHz */
SKUAI_INLINE uint64_t skuai_ticks_real(void) { return __builtin_ia32_rdtsc(); }

#elif defined(__aarch64__)

enum { SKUAI_TICKS_PER_US = 1000 };
SKUAI_INLINE uint64_t skuai_ticks_real(void)
{
    uint64_t ticks, per_second;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    __asm__("mrs %0, cntfrq_el0" : "=r"(per_second)); /* 24 MHz to 1 GHz */
    return ticks * (SKUA_S / (per_second != 0 ? per_second : SKUA_S));
}

#else

enum { SKUAI_TICKS_PER_US = 1000 };
SKUAI_INLINE uint64_t skuai_ticks_real(void) { return skuai_clock_now(); }

#endif

SKUAI_INLINE uint64_t skuai_ticks(struct skuai_env *env)
{
    return SKUAI_UNLIKELY(env->sim != NULL) ? skuai_sim_now(env->sim) * (SKUAI_TICKS_PER_US / 1000)
                                            : skuai_ticks_real();
}

#endif
