/* See timer_wheel.h. */
#include "sched/timer_wheel.h"

#include <string.h>

enum {
    DIGIT_BITS = 6,
    DIGIT_MASK = SKUAI_WHEEL_SLOTS - 1
};

_Static_assert(sizeof(struct skuai_timer) <= 40, "a sleeping task's memory depends on it");
_Static_assert(DIGIT_BITS * (SKUAI_WHEEL_LEVELS - 1) < 64 && DIGIT_BITS * SKUAI_WHEEL_LEVELS >= 64, "all of 64 bits");

static uint64_t later(uint64_t a, uint64_t b) { return a > b ? a : b; }

void skuai_wheel_init(struct skuai_wheel *wheel, uint64_t now_ns)
{
    memset(wheel, 0, sizeof *wheel);
    wheel->position_ns = now_ns;
    wheel->seen_ns = now_ns;
    /* Published with the wheel itself. No model test needs the step: a bound that is too low only costs a look. */
    skuai_store_64(&wheel->next_ns, UINT64_MAX, SKUAI_RELAXED);
}

/* Where a deadline belongs (W1, W2, W3). */
static uint32_t slot_of(const struct skuai_wheel *wheel, uint64_t deadline_ns)
{
    uint64_t differs = later(deadline_ns, wheel->position_ns) ^ wheel->position_ns;
    if (wheel->opening != 0 && differs >> wheel->opening_shift == 0)
        return wheel->opening - 1;
    uint32_t level = differs == 0 ? 0 : (uint32_t)(63 - __builtin_clzll(differs)) / DIGIT_BITS;
    uint64_t digits = (wheel->position_ns ^ differs) >> (level * DIGIT_BITS);
    return level * SKUAI_WHEEL_SLOTS + (uint32_t)(digits & DIGIT_MASK);
}

static void mark_used(struct skuai_wheel *wheel, uint32_t slot)
{
    wheel->used_slots[slot / SKUAI_WHEEL_SLOTS] |= UINT64_C(1) << (slot % SKUAI_WHEEL_SLOTS);
    wheel->used_levels |= 1u << (slot / SKUAI_WHEEL_SLOTS);
}

static void mark_empty(struct skuai_wheel *wheel, uint32_t slot)
{
    uint32_t level = slot / SKUAI_WHEEL_SLOTS;
    wheel->used_slots[level] &= ~(UINT64_C(1) << (slot % SKUAI_WHEEL_SLOTS));
    if (wheel->used_slots[level] == 0)
        wheel->used_levels &= ~(1u << level);
}

/* At the end of the slot's ring: the order of arming. */
static void link_last(struct skuai_wheel *wheel, struct skuai_timer *timer, uint32_t slot)
{
    struct skuai_timer *first = wheel->slots[slot];
    timer->place = slot + 1;
    if (first == NULL) {
        timer->next = timer->prev = timer;
        wheel->slots[slot] = timer;
        mark_used(wheel, slot);
        return;
    }
    timer->next = first;
    timer->prev = first->prev;
    first->prev->next = timer;
    first->prev = timer;
}

static void unlink_timer(struct skuai_wheel *wheel, struct skuai_timer *timer)
{
    if (wheel->fetched == timer) /* no model test needs the check: it opens no slot of so many */
        wheel->fetched = NULL;
    uint32_t slot = timer->place - 1;
    if (timer->next == timer) {
        wheel->slots[slot] = NULL;
        mark_empty(wheel, slot);
        if (wheel->opening == timer->place)
            wheel->opening = 0;
    } else {
        if (wheel->slots[slot] == timer)
            wheel->slots[slot] = timer->next;
        timer->next->prev = timer->prev;
        timer->prev->next = timer->next;
    }
    timer->place = 0;
}

bool skuai_wheel_arm_locked(struct skuai_wheel *wheel, struct skuai_timer *timer, uint64_t deadline_ns)
{
    assert(timer->place == 0);
    timer->wheel = wheel;
    timer->deadline_ns = deadline_ns;
    wheel->armed++;
    link_last(wheel, timer, slot_of(wheel, deadline_ns));
    if (deadline_ns >= skuai_load_64(&wheel->next_ns, SKUAI_RELAXED)) /* stored under the lock that we hold */
        return false;
    skuai_store_64(&wheel->next_ns, deadline_ns, SKUAI_SEQ_CST); /* the armer's half of skuai_wheel_next_ns()'s shape */
    return true;
}

bool skuai_wheel_cancel_locked(struct skuai_timer *timer)
{
    if (timer->place == 0)
        return false;
    struct skuai_wheel *wheel = timer->wheel;
    unlink_timer(wheel, timer);
    wheel->armed--;
    wheel->next_is_stale = true; /* the true value costs a search: left to who asks for it */
    return true;
}

/* No model test runs this: it is the two before it, under one lock. */
bool skuai_wheel_rearm_locked(struct skuai_wheel *wheel, struct skuai_timer *timer, uint64_t deadline_ns)
{
    assert(timer->place == 0 || timer->wheel == wheel);
    (void)skuai_wheel_cancel_locked(timer);
    return skuai_wheel_arm_locked(wheel, timer, deadline_ns);
}

/* W1. The slot's start; the wheel has at least one used slot. */
static uint64_t first_slot(const struct skuai_wheel *wheel, uint32_t *slot)
{
    uint32_t level = (uint32_t)__builtin_ctz(wheel->used_levels);
    uint32_t digit = (uint32_t)__builtin_ctzll(wheel->used_slots[level]);
    uint32_t shift = level * DIGIT_BITS;
    *slot = level * SKUAI_WHEEL_SLOTS + digit;
    return (wheel->position_ns >> shift >> DIGIT_BITS << DIGIT_BITS | digit) << shift;
}

/* The first of a slot's timers in the order of (deadline, arming); NULL if there are more than `max`. */
static struct skuai_timer *earliest_of(struct skuai_timer *first, uint32_t max)
{
    struct skuai_timer *best = first;
    for (struct skuai_timer *timer = first->next; timer != first; timer = timer->next) {
        if (--max == 0)
            return NULL;
        if (timer->deadline_ns < best->deadline_ns)
            best = timer;
    }
    return best;
}

/* The slot comes first and its start has come: the position may enter it. */
static void begin_opening(struct skuai_wheel *wheel, uint32_t slot, uint64_t start_ns)
{
    mark_empty(wheel, slot);
    wheel->position_ns = start_ns;
    wheel->opening = slot + 1;
    wheel->fetched = wheel->slots[slot]->prev;
    wheel->opening_shift = slot / SKUAI_WHEEL_SLOTS * DIGIT_BITS;
}

/* Timers that have lain for long are in no cache, and to follow a list is to wait for one after the other. So while
 * they are moved from the front of the slot's ring they are fetched from its end: two at a time. No model test needs
 * it: this is about time only. */
static void fetch_another(struct skuai_wheel *wheel)
{
    if (wheel->fetched == NULL)
        return;
    wheel->fetched = wheel->fetched->prev;
    __builtin_prefetch(wheel->fetched, 1);
}

/* Distributes what is in the slot being opened, in order (W2). Returns what is left of the budget; 0 may mean that the
 * slot is still open. */
static uint32_t go_on_opening(struct skuai_wheel *wheel, uint32_t budget)
{
    uint32_t opening = wheel->opening;
    while (budget != 0 && wheel->opening != 0) {
        struct skuai_timer *timer = wheel->slots[opening - 1];
        fetch_another(wheel);
        unlink_timer(wheel, timer);
        wheel->opening = 0; /* to see past the closed range */
        link_last(wheel, timer, slot_of(wheel, timer->deadline_ns));
        wheel->opening = wheel->slots[opening - 1] != NULL ? opening : 0;
        budget--;
    }
    return budget;
}

/* Goes on until it knows the earliest timer, or there is none until now_ns, or the budget is spent: NULL then. */
static struct skuai_timer *find_due(struct skuai_wheel *wheel, uint64_t now_ns, uint32_t *budget)
{
    for (;;) {
        *budget = go_on_opening(wheel, *budget);
        if (wheel->opening != 0)
            return NULL;
        if (wheel->used_levels == 0) {
            wheel->position_ns = now_ns;
            return NULL;
        }
        uint32_t slot;
        uint64_t start_ns = first_slot(wheel, &slot);
        if (start_ns > now_ns) {
            wheel->position_ns = now_ns; /* enters no used slot: all others start later still */
            return NULL;
        }
        if (slot < SKUAI_WHEEL_SLOTS)
            return wheel->slots[slot]; /* level 0: one deadline per slot, and it is now */
        struct skuai_timer *earliest = earliest_of(wheel->slots[slot], SKUAI_WHEEL_COMPARE_MAX);
        if (earliest != NULL)
            return earliest->deadline_ns <= now_ns ? earliest : NULL;
        begin_opening(wheel, slot, start_ns);
    }
}

static uint64_t find_next(const struct skuai_wheel *wheel)
{
    if (wheel->opening != 0)
        return wheel->position_ns;
    if (wheel->used_levels == 0)
        return UINT64_MAX;
    uint32_t slot;
    uint64_t start_ns = first_slot(wheel, &slot);
    if (slot < SKUAI_WHEEL_SLOTS)
        return start_ns;
    const struct skuai_timer *earliest = earliest_of(wheel->slots[slot], SKUAI_WHEEL_SEARCH_MAX);
    return earliest != NULL ? earliest->deadline_ns : start_ns;
}

static uint64_t publish_next(struct skuai_wheel *wheel)
{
    uint64_t next_ns = find_next(wheel);
    wheel->next_is_stale = false;
    /* Relaxed: it only rises here, and who reads the lower value comes too early. */
    skuai_store_64(&wheel->next_ns, next_ns, SKUAI_RELAXED);
    return next_ns;
}

static void append(struct skuai_timer_list *list, struct skuai_timer *timer)
{
    timer->next = NULL;
    if (list->first == NULL)
        list->first = timer;
    else
        list->last->next = timer;
    list->last = timer;
}

uint32_t skuai_wheel_expire_locked(struct skuai_wheel *wheel, uint64_t now_ns, struct skuai_timer_list *list,
                                   uint32_t max)
{
    now_ns = later(now_ns, wheel->seen_ns);
    if (now_ns == UINT64_MAX)
        now_ns--; /* never */
    wheel->seen_ns = now_ns;
    uint32_t count = 0, budget = SKUAI_WHEEL_OPEN_MAX;
    struct skuai_timer *timer;
    while (count < max && (timer = find_due(wheel, now_ns, &budget)) != NULL) {
        unlink_timer(wheel, timer);
        append(list, timer);
        count++;
    }
    wheel->armed -= count;
    (void)publish_next(wheel);
    return count;
}

uint64_t skuai_wheel_next_ns_locked(struct skuai_wheel *wheel)
{
    if (wheel->next_is_stale)
        return publish_next(wheel);
    return skuai_load_64(&wheel->next_ns, SKUAI_RELAXED); /* stored under the lock that we hold */
}
