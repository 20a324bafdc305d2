/* The task's state word: this file alone knows its bits.
 *
 *     63            32 31            11 10 9 8 7 6 5 4 3 2 1 0
 *     [ generation   ] [ born          ] [kind] [W M J H C E N R A]
 *
 *   A alive      0 in a slot that holds no task: every wake of such a slot does nothing
 *   R running    somebody has the task in hand: a worker that is inside it, a queue, who takes it from one to the
 *                other, or who looks at it while it waits (dump.c). Only a worker inside it and who looks take R away
 *   N notified   with R only: it has been woken again, so it must run again before it waits
 *   E ended      it has ended; its result stands
 *   C cancel     asked to end; never cleared
 *   H handle     a handle exists; whoever finds the other of {E, H} already settled frees the task
 *   J joiner     task->joiner is set: who takes R to E completes that op
 *   M member     task->member is set, from the start: who takes R to E tells its owner (member.h)
 *   W watched    in simulations only: each time it asks whether it is cancelled, the simulation is told (sim.h). Set
 *                when it begins to run, so that asking costs real runs nothing: they look for C and W in one go
 *   kind, born   set when it is spawned, for reports: a future, a fiber, a job on a fiber of its own; and about when,
 *                in units of 2^30 ns, which wrap after 26 days. Here because whoever has read the word then knows
 *                state, kind and age of one task at one moment, and to say so costs spawning some instructions and no
 *                store
 *
 * so that a living task that has not ended is one of
 *     waiting (-,-)   running or queued (R,-)   likewise, and notified (R,N)
 *
 * Each transition is at most one read-modify-write and returns a verdict that the caller must obey; to yield, and to
 * begin a run that nobody has asked for again, is none at all.
 * That a task is in at most one queue rests on this: who sets R alone gets SKUAI_TASK_ENQUEUE for it, and a task with R
 * is queued again by its runner only.
 *
 * A dead slot's word is its generation and nothing else: a wake that arrives late leaves it alone. If it arrives after
 * the next task's first store it is a wake too many, which every poll tolerates.
 * Model: tests/model/model_task_word.c.
 */
#ifndef SKUAI_TASK_WORD_H
#define SKUAI_TASK_WORD_H

#include "sched/atomic.h"

enum {
    SKUAI_TASK_ALIVE = 1,
    SKUAI_TASK_RUNNING = 2,
    SKUAI_TASK_NOTIFIED = 4,
    SKUAI_TASK_ENDED = 8,
    SKUAI_TASK_CANCEL = 16,
    SKUAI_TASK_HANDLE = 32,
    SKUAI_TASK_JOINER = 64,
    SKUAI_TASK_MEMBER = 128,
    SKUAI_TASK_WATCHED = 256,
    SKUAI_TASK_FUTURE = 0 << 9,
    SKUAI_TASK_FIBER = 1 << 9,
    SKUAI_TASK_JOB = 2 << 9,
    SKUAI_TASK_KIND = 3 << 9,
    SKUAI_TASK_BORN_SHIFT = 11,
    SKUAI_TASK_BORN_NS_SHIFT = 30,
    SKUAI_TASK_BORN_BITS = 21
};

enum skuai_task_verdict {
    SKUAI_TASK_NOTHING, /* somebody else has it in hand, or nothing is there */
    SKUAI_TASK_ENQUEUE, /* the caller must put the task into a queue, once */
    SKUAI_TASK_COMPLETE_JOINER,
    SKUAI_TASK_FREE     /* the caller is the last to know the task and frees it */
};

SKUAI_INLINE uint32_t skuai_task_generation(uint64_t word) { return (uint32_t)(word >> 32); }

/* The bits that say when, to be joined with those that say what kind. */
SKUAI_INLINE uint32_t skuai_task_born_at(uint64_t now_ns)
{
    return (uint32_t)(now_ns >> SKUAI_TASK_BORN_NS_SHIFT) << SKUAI_TASK_BORN_SHIFT;
}

/* How long ago that was, modulo 26 days. A clock that has not been read for a moment may say that it is yet to come. */
SKUAI_INLINE uint64_t skuai_task_age_ns(uint64_t word, uint64_t now_ns)
{
    uint32_t born = (uint32_t)word >> SKUAI_TASK_BORN_SHIFT << SKUAI_TASK_BORN_SHIFT;
    uint32_t age = (skuai_task_born_at(now_ns) - born) >> SKUAI_TASK_BORN_SHIFT;
    if (age >= (1u << SKUAI_TASK_BORN_BITS) - 4)
        age = 0;
    return (uint64_t)age << SKUAI_TASK_BORN_NS_SHIFT;
}

/* Spawn: a task that is queued from the start; `traits`: kind and birth. Relaxed: the queue publishes it. */
SKUAI_INLINE void skuai_task_word_begin(skua_word64 *word, uint32_t generation, uint32_t traits, bool with_handle)
{
    uint64_t flags = SKUAI_TASK_ALIVE | SKUAI_TASK_RUNNING | traits | (with_handle ? SKUAI_TASK_HANDLE : 0);
    skuai_store_64(word, (uint64_t)generation << 32 | flags, SKUAI_RELAXED);
}

SKUAI_INLINE void skuai_task_word_begin_member(skua_word64 *word, uint32_t generation, uint32_t traits,
                                               bool with_handle)
{
    uint64_t flags = SKUAI_TASK_ALIVE | SKUAI_TASK_RUNNING | SKUAI_TASK_MEMBER | traits |
                     (with_handle ? SKUAI_TASK_HANDLE : 0);
    skuai_store_64(word, (uint64_t)generation << 32 | flags, SKUAI_RELAXED); /* as above */
}

/* By its runner: M is fixed. */
SKUAI_INLINE bool skuai_task_word_is_member(const skua_word64 *word)
{
    return (skuai_load_64(word, SKUAI_RELAXED) & SKUAI_TASK_MEMBER) != 0;
}

SKUAI_INLINE bool skuai_task_word_lives(uint64_t word)
{
    return (word & (SKUAI_TASK_ALIVE | SKUAI_TASK_ENDED)) == SKUAI_TASK_ALIVE;
}

/* Whether somebody can hold a handle to it. Who is given one asks; of a slot that holds another handle's task by now
 * this says nothing. */
SKUAI_INLINE bool skuai_task_word_has_handle(uint64_t word)
{
    return (word & (SKUAI_TASK_ALIVE | SKUAI_TASK_HANDLE | SKUAI_TASK_MEMBER)) ==
           (SKUAI_TASK_ALIVE | SKUAI_TASK_HANDLE);
}

/* A wake of the task that `old` was read of, and a cancellation if `more` is C: R if it waits, else N. Returns false if
 * the word has changed, and what it is now. Release: what the waker did before is seen by the run that this leads to
 * (its acquire is in _run). An exchange even if it changes no bit: reading N and skipping would be the store-buffering
 * shape { my data; N } against { take N; read data } and lose the wake. Acquire: whoever enqueues must see the task's
 * header as it was left. */
SKUAI_INLINE bool skuai_task_word_try_wake(skua_word64 *word, uint64_t *old, uint64_t more)
{
    uint64_t mark = *old & SKUAI_TASK_RUNNING ? SKUAI_TASK_NOTIFIED : SKUAI_TASK_RUNNING;
    return skuai_cas_64(word, old, *old | mark | more, SKUAI_ACQ_REL);
}

SKUAI_INLINE enum skuai_task_verdict skuai_task_word_woken(uint64_t old)
{
    return old & SKUAI_TASK_RUNNING ? SKUAI_TASK_NOTHING : SKUAI_TASK_ENQUEUE;
}

SKUAI_INLINE enum skuai_task_verdict skuai_task_word_notify(skua_word64 *word, uint64_t more)
{
    uint64_t old = skuai_load_64(word, SKUAI_RELAXED); /* the exchange decides; a task that has died stays dead */
    do {
        if (!skuai_task_word_lives(old))
            return SKUAI_TASK_NOTHING;
    } while (!skuai_task_word_try_wake(word, &old, more));
    return skuai_task_word_woken(old);
}

SKUAI_INLINE enum skuai_task_verdict skuai_task_word_wake(skua_word64 *word)
{
    return skuai_task_word_notify(word, 0);
}

SKUAI_INLINE enum skuai_task_verdict skuai_task_word_cancel(skua_word64 *word)
{
    return skuai_task_word_notify(word, SKUAI_TASK_CANCEL);
}

/* Cancels whatever task the slot may hold, for who goes through all slots. True if there is one that has not ended;
 * *verdict as of _cancel. */
SKUAI_INLINE bool skuai_task_word_cancel_any(skua_word64 *word, enum skuai_task_verdict *verdict)
{
    uint64_t old = skuai_load_64(word, SKUAI_RELAXED); /* the exchange decides */
    do {
        if (!skuai_task_word_lives(old))
            return false;
    } while (!skuai_task_word_try_wake(word, &old, SKUAI_TASK_CANCEL));
    *verdict = skuai_task_word_woken(old);
    return true;
}

/* Wakes, and cancels if asked, only the task that a public waker was made for. */
SKUAI_INLINE enum skuai_task_verdict skuai_task_word_notify_exactly(skua_word64 *word, uint32_t generation,
                                                                    uint64_t more)
{
    uint64_t old = skuai_load_64(word, SKUAI_RELAXED); /* the exchange decides */
    do {
        if (skuai_task_generation(old) != generation || !skuai_task_word_lives(old))
            return SKUAI_TASK_NOTHING;
    } while (!skuai_task_word_try_wake(word, &old, more));
    return skuai_task_word_woken(old);
}

SKUAI_INLINE enum skuai_task_verdict skuai_task_word_wake_exactly(skua_word64 *word, uint32_t generation)
{
    return skuai_task_word_notify_exactly(word, generation, 0);
}

SKUAI_INLINE enum skuai_task_verdict skuai_task_word_cancel_exactly(skua_word64 *word, uint32_t generation)
{
    return skuai_task_word_notify_exactly(word, generation, SKUAI_TASK_CANCEL);
}

/* The worker that took the task from a queue begins to run it. Relaxed: what the waker that set R did came with the
 * task, by the queue. Acquire: pairs with the release of all wakes that set N, which this run answers; what others
 * released before stays visible through their exchanges, as through any. A wake after the load finds R, and its N is
 * found by _pause. Returns the word. */
SKUAI_INLINE uint64_t skuai_task_word_run(skua_word64 *word)
{
    uint64_t old = skuai_load_64(word, SKUAI_RELAXED);
    if (!(old & SKUAI_TASK_NOTIFIED))
        return old;
    return skuai_and_64(word, ~(uint64_t)SKUAI_TASK_NOTIFIED, SKUAI_ACQUIRE) & ~(uint64_t)SKUAI_TASK_NOTIFIED;
}

/* The run is over (or the look at it) and the task waits, unless it was notified meanwhile: then it is queued as it is.
 * For a fiber this is the post-switch step: only the next context may take it, when the fiber's registers lie in its
 * stack. Release: the next run, on another worker, sees all that this one did. */
SKUAI_INLINE enum skuai_task_verdict skuai_task_word_pause(skua_word64 *word)
{
    uint64_t old = skuai_load_64(word, SKUAI_RELAXED); /* the exchange decides; N stays until we run it again */
    do {
        if (old & SKUAI_TASK_NOTIFIED)
            return SKUAI_TASK_ENQUEUE;
    } while (!skuai_cas_64(word, &old, old & ~(uint64_t)SKUAI_TASK_RUNNING, SKUAI_RELEASE));
    return SKUAI_TASK_NOTHING;
}

/* For who looks at a task: if it waits, takes it in hand as a wake would, so that nobody runs it until _pause gives it
 * back; who wakes it meanwhile sets N, and _pause says that it is to be queued. False: it does not wait. *seen: what
 * the word was. Acquire: pairs with the release of the pause before: what the task has left. */
SKUAI_INLINE bool skuai_task_word_hold(skua_word64 *word, uint64_t *seen)
{
    /* Acquire: who learns that it does not wait reads on, and the word once more (dump.c, L3). No model test needs the
     * acquire: the exchange has its own. */
    *seen = skuai_load_64(word, SKUAI_ACQUIRE);
    do {
        if ((*seen & (SKUAI_TASK_ALIVE | SKUAI_TASK_RUNNING | SKUAI_TASK_ENDED)) != SKUAI_TASK_ALIVE)
            return false;
    } while (!skuai_cas_64(word, seen, *seen | SKUAI_TASK_RUNNING, SKUAI_ACQUIRE));
    return true;
}

/* The task has ended. Without H, which nobody can set again, nobody waits and nobody asks: wakes that come before the
 * slot is buried find R, as during the run. Acquire there: pairs with _release, as who frees must see what the other
 * did. With H: release: the joiner sees the result. Acquire: the joiner's op is seen by who completes it. */
SKUAI_INLINE enum skuai_task_verdict skuai_task_word_end(skua_word64 *word)
{
    if (!(skuai_load_64(word, SKUAI_ACQUIRE) & SKUAI_TASK_HANDLE))
        return SKUAI_TASK_FREE;
    uint64_t old = skuai_add_64(word, (uint64_t)SKUAI_TASK_ENDED - SKUAI_TASK_RUNNING, SKUAI_ACQ_REL);
    if (old & SKUAI_TASK_JOINER)
        return SKUAI_TASK_COMPLETE_JOINER;
    return old & SKUAI_TASK_HANDLE ? SKUAI_TASK_NOTHING : SKUAI_TASK_FREE;
}

/* It has ended, and its joiner, whose op is claimed, uses the handle up: who comes with it once more, before the slot
 * is buried, finds that there is none. Nobody else changes the word any more, so that two relaxed accesses do; the
 * joiner's DONE publishes them. No model test needs the step: it is for reports of misuse. */
SKUAI_INLINE void skuai_task_word_use_up(skua_word64 *word)
{
    skuai_store_64(word, skuai_load_64(word, SKUAI_RELAXED) & ~(uint64_t)SKUAI_TASK_HANDLE, SKUAI_RELAXED);
}

/* A joiner has set task->joiner. True: it waits, and the end will complete it. False: the task has ended already,
 * nobody touches the joiner's op, and the result can be read. Release: publishes the op. Acquire: the result. */
SKUAI_INLINE bool skuai_task_word_join(skua_word64 *word)
{
    return !(skuai_or_64(word, SKUAI_TASK_JOINER, SKUAI_ACQ_REL) & SKUAI_TASK_ENDED);
}

/* The joiner withdraws. True: nobody will touch its op. False: the end came first, or _abort did, and the op will be
 * DONE or LOST; the slot may even be another task's by now, which the generation tells. */
SKUAI_INLINE bool skuai_task_word_unjoin(skua_word64 *word, uint32_t generation)
{
    uint64_t old = skuai_load_64(word, SKUAI_RELAXED); /* the exchange below decides */
    do {
        if (skuai_task_generation(old) != generation ||
            (old & (SKUAI_TASK_ENDED | SKUAI_TASK_JOINER)) != SKUAI_TASK_JOINER)
            return false;
    } while (!skuai_cas_64(word, &old, old & ~(uint64_t)SKUAI_TASK_JOINER, SKUAI_RELEASE)); /* pairs with _abort's
        acquire, after which the task's memory goes; an op that was not withdrawn comes back by DONE or LOST */
    return true;
}

/* The runtime gives the task up, which no worker runs any more. True: there was a joiner, whose op is the caller's now.
 * Acquire: that op. Release: a joiner that comes later sees what the caller did before (its stage). */
SKUAI_INLINE bool skuai_task_word_abort(skua_word64 *word)
{
    uint64_t old = skuai_and_64(word, ~(uint64_t)SKUAI_TASK_JOINER, SKUAI_ACQ_REL);
    return (old & (SKUAI_TASK_ALIVE | SKUAI_TASK_ENDED | SKUAI_TASK_JOINER)) == (SKUAI_TASK_ALIVE | SKUAI_TASK_JOINER);
}

/* The handle is released. Acquire-release: whoever frees sees all that the other party did. */
SKUAI_INLINE enum skuai_task_verdict skuai_task_word_release(skua_word64 *word)
{
    uint64_t old = skuai_and_64(word, ~(uint64_t)SKUAI_TASK_HANDLE, SKUAI_ACQ_REL);
    return old & SKUAI_TASK_ENDED ? SKUAI_TASK_FREE : SKUAI_TASK_NOTHING;
}

/* The slot becomes a dead one; wakers of its generation do nothing from now on. Relaxed: who finds it dead looks no
 * further, and the slab publishes it to the next user. */
SKUAI_INLINE void skuai_task_word_bury(skua_word64 *word)
{
    uint64_t old = skuai_load_64(word, SKUAI_RELAXED); /* the generation is the freeing thread's alone */
    skuai_store_64(word, (uint64_t)(uint32_t)(skuai_task_generation(old) + 1) << 32, SKUAI_RELAXED);
}

#endif
