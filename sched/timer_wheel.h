/* A hierarchical timer wheel: one per worker, any thread may arm, cancel and expire under its lock.
 *
 * Eleven levels of 64 slots; a slot of level L is 64^L nanoseconds wide, so the tick is one nanosecond and the levels
 * span all of 64 bits. The wheel has a position, a time up to which nothing is left in it. A timer lies at the level of
 * the highest base-64 digit in which its deadline differs from the position, in the slot of its own digit there:
 *
 *     position  ... 0 | 17 | 40 | 03        level 2: due when digit 2 turns to 19
 *     deadline  ... 0 | 19 | 05 | 22        (here: position < deadline, equal above digit 2)
 *
 * From that follow, without any sorting:
 *   W1  the earliest deadline is in the first used slot of the lowest used level (one bitmap per level);
 *   W2  equal deadlines always share a slot, and each slot keeps the order of arming.
 * So timers expire in the exact order of (deadline, arming), never early. A jump of time skips empty slots by the
 * bitmaps, whatever its length.
 *
 * A fine tick is cheap because a slot is only *opened* (its timers distributed to lower levels) when it has come up and
 * holds more than a few timers; a few are compared where they are. Most timers thus move as often as in a wheel with a
 * tick that suits their density. Opening goes in bounded steps, so that a million timers in one slot do not keep the
 * lock for long:
 *   W3  while a slot is being opened its range is closed: what is armed into it joins its end (which keeps W2), and
 *       nothing expires until it is done.
 *
 * A deadline that has passed counts as one at the wheel's position: it expires at the next chance. UINT64_MAX is never.
 * Time does not go backwards: the wheel goes by the latest time that it was ever given.
 */
#ifndef SKUAI_TIMER_WHEEL_H
#define SKUAI_TIMER_WHEEL_H

#include "sched/lock.h"

enum {
    SKUAI_WHEEL_LEVELS = 11,       /* 6 bits each */
    SKUAI_WHEEL_SLOTS = 64,
    SKUAI_WHEEL_COMPARE_MAX = 8,   /* untuned: timers in a slot that is not worth opening */
    SKUAI_WHEEL_SEARCH_MAX = 64,   /* a wake too many costs 11 µs, a look at a cold timer about 0.1 µs */
    SKUAI_WHEEL_OPEN_MAX = 1024    /* timers moved per call: some 50 µs with the lock held */
};

struct skuai_wheel;

/* In the owner's memory, 40 bytes; zero is valid and unarmed. All but `wheel` is guarded by the wheel's lock; `wheel`
 * is written by arming only, so the owner may read it to find the lock. May lie over what else its owner has in its
 * place (timers.h). */
struct __attribute__((may_alias)) skuai_timer {
    struct skuai_wheel *wheel;
    struct skuai_timer *next, *prev; /* a ring through the slot; in a list of expired ones `next` alone */
    uint64_t deadline_ns;
    uint32_t place;     /* slot + 1; 0: in no wheel */
    uint32_t op_offset; /* timers.c: how far behind its op's beginning it lies */
};

struct skuai_timer_list {
    struct skuai_timer *first, *last; /* by `next`, which is NULL in the last */
};

struct skuai_wheel {
    /* stored under the lock, read by anybody: no deadline is earlier */
    skua_word64 next_ns __attribute__((aligned(SKUAI_CACHE_LINE)));
    /* any thread: guards all that follows */
    struct skuai_lock lock;
    uint32_t used_levels;   /* bit per level */
    bool next_is_stale;     /* a cancel may have left next_ns too low */
    uint64_t position_ns;   /* no timer's deadline is before it, but for those that were past when armed */
    uint64_t seen_ns;       /* the latest time given; not before the position */
    uint32_t opening;       /* slot + 1 of the one being opened, which is not in used_slots; 0: none */
    uint32_t opening_shift; /* log2 of its width; its start is the position */
    const struct skuai_timer *fetched; /* of the slot being opened: from there on they are in the cache; or NULL */
    uint64_t armed;         /* how many timers */
    uint64_t used_slots[SKUAI_WHEEL_LEVELS];
    struct skuai_timer *slots[SKUAI_WHEEL_LEVELS * SKUAI_WHEEL_SLOTS]; /* the earliest armed of each */
};

void skuai_wheel_init(struct skuai_wheel *wheel, uint64_t now_ns);

/* O(1), no allocation. The timer must not be armed. True: it is the earliest now; a poller that sleeps until a later
 * time must be kicked. */
bool skuai_wheel_arm_locked(struct skuai_wheel *wheel, struct skuai_timer *timer, uint64_t deadline_ns);

/* O(1). True: it was armed and will not expire. False: it has expired or was never armed. */
bool skuai_wheel_cancel_locked(struct skuai_timer *timer);

/* Cancel, if armed, and arm anew in the same wheel: last among equal deadlines. Returns as arm does. */
bool skuai_wheel_rearm_locked(struct skuai_wheel *wheel, struct skuai_timer *timer, uint64_t deadline_ns);

/* Appends up to `max` timers whose deadline is at or before now_ns to `list`, in the order of (deadline, arming), and
 * returns how many. They are out of the wheel and their owners' again, who learn of it through whatever the caller does
 * with the list before it releases the lock or after.
 * Fewer than `max` does not mean that no more are due: one call does a bounded amount of work. Done for now is when
 * skuai_wheel_next_ns() is later than now_ns. */
uint32_t skuai_wheel_expire_locked(struct skuai_wheel *wheel, uint64_t now_ns, struct skuai_timer_list *list,
                                   uint32_t max);

/* When to call expire next; UINT64_MAX: never. The earliest deadline exactly, unless more than SKUAI_WHEEL_SEARCH_MAX
 * timers lie in the slot that comes first: then that slot's start, and the call of expire at that time brings the next
 * answer closer (at most ten times). */
uint64_t skuai_wheel_next_ns_locked(struct skuai_wheel *wheel);

/* The same without the lock, for any thread. After the cancel of the earliest timer it may be too early until the next
 * expire or skuai_wheel_next_ns_locked(), never too late. SEQ_CST: the poller's half of the store-buffering shape
 * { next_ns lowered; look for a blocked poller } against { say that it blocks; read next_ns }. */
SKUAI_INLINE uint64_t skuai_wheel_next_ns(const struct skuai_wheel *wheel)
{
    return skuai_load_64(&wheel->next_ns, SKUAI_SEQ_CST);
}

SKUAI_INLINE bool skuai_timer_is_armed_locked(const struct skuai_timer *timer) { return timer->place != 0; }

#endif
