/* See deque.h. */
#include "sched/deque.h"

#include <assert.h>

#define SLOT(deque, index) (&(deque)->slots[(index) & (SKUAI_DEQUE_CAPACITY - 1u)])

SKUAI_HOT bool skuai_deque_push(struct skuai_deque *deque, void *item, enum skuai_order order)
{
    uint64_t bottom = skuai_load_64(&deque->bottom, SKUAI_RELAXED); /* own word */
    if (SKUAI_UNLIKELY(bottom - deque->seen_top >= SKUAI_DEQUE_CAPACITY)) {
        /* Acquire: pairs with the release of a take's claim: that taker's reads of the slot come before our write. No
         * model test needs the acquire: the checker's loads never see what is stored later. */
        deque->seen_top = skuai_load_64(&deque->top, SKUAI_ACQUIRE);
        if (bottom - deque->seen_top >= SKUAI_DEQUE_CAPACITY)
            return false;
    }
    skuai_store_ptr(SLOT(deque, bottom), item, SKUAI_RELAXED); /* published by bottom */
    /* At least release: pairs with the acquire of bottom in take; a taker would read an old slot otherwise. */
    if (order == SKUAI_SEQ_CST)
        skuai_store_64(&deque->bottom, bottom + 1, SKUAI_SEQ_CST); /* SB with idle.c: { bottom; look for sleepers } */
    else
        skuai_store_64(&deque->bottom, bottom + 1, SKUAI_RELEASE);
    return true;
}

void skuai_deque_push_many(struct skuai_deque *deque, void *const *items, uint32_t count)
{
    uint64_t bottom = skuai_load_64(&deque->bottom, SKUAI_RELAXED); /* own word */
    /* As in push; and as there no model test needs the acquire: the same. */
    deque->seen_top = skuai_load_64(&deque->top, SKUAI_ACQUIRE);
    assert(bottom + count - deque->seen_top <= SKUAI_DEQUE_CAPACITY);
    for (uint32_t i = 0; i < count; i++)
        skuai_store_ptr(SLOT(deque, bottom + i), items[i], SKUAI_RELAXED);
    skuai_store_64(&deque->bottom, bottom + count, SKUAI_SEQ_CST); /* at least release, and SB, as in push */
}

uint32_t skuai_deque_shed(struct skuai_deque *deque, skuai_deque_visit *visit, void *arg)
{
    const uint64_t half = SKUAI_DEQUE_CAPACITY / 2;
    uint64_t bottom = skuai_load_64(&deque->bottom, SKUAI_RELAXED); /* own word */
    uint64_t top = skuai_load_64(&deque->top, SKUAI_RELAXED);       /* the exchange below decides */
    /* Acquire: the takers' reads of their slots come before our writes; no model test needs the acquire: as in push.
     * Release: keeps the chain of tops (take). */
    while (!skuai_cas_64(&deque->top, &top, bottom, SKUAI_ACQ_REL))
        ;
    uint64_t count = bottom - top, keep = count < half ? count : half;
    for (uint64_t i = bottom; i-- > top + keep;)
        visit(skuai_load_ptr(SLOT(deque, i), SKUAI_RELAXED), arg); /* our own stores */
    for (uint64_t i = 0; i < keep && count != SKUAI_DEQUE_CAPACITY; i++) /* else they lie there already */
        skuai_store_ptr(SLOT(deque, bottom + i), skuai_load_ptr(SLOT(deque, top + i), SKUAI_RELAXED), SKUAI_RELAXED);
    deque->seen_top = bottom;
    skuai_store_64(&deque->bottom, bottom + keep, SKUAI_SEQ_CST); /* as in push_many */
    return (uint32_t)(count - keep);
}

SKUAI_HOT int skuai_deque_take(struct skuai_deque *deque, void **items, uint32_t max, uint32_t share)
{
    /* Acquire: the claim that made this value of top had seen a bottom at least as great, so that bottom is not read
     * older than top. */
    uint64_t top = skuai_load_64(&deque->top, SKUAI_ACQUIRE);
    /* pairs with push's release: slots below are full */
    uint64_t bottom = skuai_load_64(&deque->bottom, SKUAI_ACQUIRE);
    uint64_t count = bottom - top;
    if (count == 0)
        return 0;
    count = (count + share - 1) / share;
    if (count > max)
        count = max;
    for (uint64_t i = 0; i < count; i++)
        /* may be newer if top has moved: then we lose */
        items[i] = skuai_load_ptr(SLOT(deque, top + i), SKUAI_RELAXED);
    /* Release: our reads of the slots come before the owner's reuse of them (push's acquire of top), and what we have
     * seen of bottom is in the chain of tops. It is the top that we have acquired above, or the claim fails. */
    if (!skuai_cas_64(&deque->top, &top, top + count, SKUAI_RELEASE))
        return -1;
    return (int)count;
}
