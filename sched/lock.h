/* A short spin lock, for sections of a few dozen instructions that call nothing which can wait.
 *
 * One word, zero is valid and free. Test-and-test-and-set: waiters read a shared copy of the line until it looks free,
 * so the holder's release is not delayed by their attempts. More workers than cores is normal, so the holder may have
 * been preempted: after a bounded number of turns a waiter gives its time slice away instead of burning it.
 *
 * A simulated thread must not reach a switch point (env.h) while it holds one: the next virtual thread would spin for
 * ever on the one OS thread that they share.
 */
#ifndef SKUAI_LOCK_H
#define SKUAI_LOCK_H

#include <assert.h>

#include "sched/atomic.h"

struct skuai_lock {
    skua_word32 word; /* any thread: 1 while held */
};

enum { SKUAI_LOCK_SPINS = 100 }; /* untuned; some 4 µs of x86 pauses, less than half of a futex wake */

#if defined(SKUAI_MODEL)
/* No model test runs this: a step is a turn there, and nobody waits for so many. */
SKUAI_INLINE void skuai_lock_wait_hint(void) { skuai_pause(); }
#else
#include <sched.h>
SKUAI_INLINE void skuai_lock_wait_hint(void) { (void)sched_yield(); }
#endif

SKUAI_INLINE bool skuai_lock_try(struct skuai_lock *lock)
{
    /* Relaxed: a look that spares the exchange; no model test needs the check: that decides. Acquire: pairs with the
     * release in skuai_lock_release(), so that the section sees all that the sections before it wrote. */
    return skuai_load_32(&lock->word, SKUAI_RELAXED) == 0 && skuai_exchange_32(&lock->word, 1, SKUAI_ACQUIRE) == 0;
}

/* Out of line: the contended part. */
static __attribute__((noinline, unused)) void skuai_lock_acquire_slow(struct skuai_lock *lock)
{
    uint32_t spins = 0;
    do {
        if (++spins < SKUAI_LOCK_SPINS)
            skuai_pause();
        else
            skuai_lock_wait_hint(); /* no model test runs this: as above */
    } while (!skuai_lock_try(lock));
}

SKUAI_INLINE void skuai_lock_acquire(struct skuai_lock *lock)
{
    if (SKUAI_UNLIKELY(skuai_exchange_32(&lock->word, 1, SKUAI_ACQUIRE) != 0)) /* as in skuai_lock_try() */
        skuai_lock_acquire_slow(lock);
}

SKUAI_INLINE bool skuai_lock_is_held(const struct skuai_lock *lock)
{
    return skuai_load_32(&lock->word, SKUAI_RELAXED) != 0; /* for assertions: by whom is not known */
}

SKUAI_INLINE void skuai_lock_release(struct skuai_lock *lock)
{
    assert(skuai_lock_is_held(lock)); /* no model test needs the step: it finds misuse */
    skuai_store_32(&lock->word, 0, SKUAI_RELEASE); /* pairs with the acquire of the next holder's exchange */
}

/* Comes back when whoever held the lock at the call has left it, usually at once. For a fast path that has read,
 * without the lock, what a holder wrote, and that means the structure may go: the holder's last access is the release.
 * Acquire: pairs with it. */
SKUAI_INLINE void skuai_lock_pass(struct skuai_lock *lock)
{
    if (SKUAI_UNLIKELY(skuai_load_32(&lock->word, SKUAI_ACQUIRE) != 0)) {
        skuai_lock_acquire(lock);
        skuai_lock_release(lock);
    }
}

#endif
