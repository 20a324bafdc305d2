/* Parking on Linux futexes.
 *
 * The token word:
 *     EMPTY --unpark--> TOKEN            PARKED --unpark--> TOKEN, and a kernel wake
 *     EMPTY --park----> PARKED, sleep    TOKEN  --park----> EMPTY, no sleep
 * A thread that sleeps in a poller is POLLING, or more, instead of PARKED, and the poller is kicked (poll.h).
 * One thread parks, any may unpark. Tokens do not add up. Model: tests/model/model_parker.c (the transitions are in
 * parker.h, which knows no system call).
 */
#define _GNU_SOURCE
#include "sched/env.h"
#include "sched/parker.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The deadline is absolute, so that an interrupted wait need not be recomputed. The clock is CLOCK_MONOTONIC's. */
static void futex_wait_until(skua_word32 *word, uint32_t value, uint64_t deadline_ns)
{
    struct timespec until, *timeout = NULL;
    if (deadline_ns != SKUA_NEVER) {
        until.tv_sec = (time_t)(deadline_ns / SKUA_S);
        until.tv_nsec = (long)(deadline_ns % SKUA_S);
        timeout = &until;
    }
    syscall(SYS_futex, &word->raw, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, value, timeout, NULL,
            FUTEX_BITSET_MATCH_ANY);
}

static void futex_wake_one(skua_word32 *word)
{
    /* The kernel takes the word as a key and does not read it: the memory may be gone by now. */
    syscall(SYS_futex, &word->raw, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
}

bool skuai_park_real(struct skuai_parker *parker, uint64_t deadline_ns)
{
    if (skuai_parker_begin(parker, SKUAI_PARKER_PARKED))
        return true;
    futex_wait_until(&parker->token, SKUAI_PARKER_PARKED, deadline_ns);
    return skuai_parker_end(parker);
}

bool skuai_unpark_real(struct skuai_parker *parker)
{
    uint32_t seen = skuai_parker_give(parker);
    if (seen < SKUAI_PARKER_PARKED)
        return false;
    if (seen == SKUAI_PARKER_PARKED)
        futex_wake_one(&parker->token);
    else
        skuai_parker_kick(parker, seen);
    return true;
}

void skuai_word_wait_real(skua_word32 *word, uint32_t value, uint64_t deadline_ns)
{
    futex_wait_until(word, value, deadline_ns);
}

void skuai_word_wake_real(skua_word32 *word) { futex_wake_one(word); }
