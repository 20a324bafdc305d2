/* The parker's transitions, without the sleeping. See parker_futex.c; the simulation and the model use them too. */
#ifndef SKUAI_PARKER_H
#define SKUAI_PARKER_H

#include "sched/env.h"

enum { SKUAI_PARKER_EMPTY, SKUAI_PARKER_TOKEN, SKUAI_PARKER_PARKED };

/* About to sleep. True: there was a token, now taken, and there is nothing to sleep for. False: sleep while the word
 * is PARKED. */
SKUAI_INLINE bool skuai_parker_begin(struct skuai_parker *parker)
{
    uint32_t seen = SKUAI_PARKER_EMPTY;
    if (skuai_cas_32(&parker->token, &seen, SKUAI_PARKER_PARKED, SKUAI_RELAXED)) /* takes nothing */
        return false;
    /* Acquire: pairs with give's release: what the waker did before is visible to who takes its token. An exchange:
     * with a store, a token given since the look above would go unseen, and with it what its giver did. */
    skuai_exchange_32(&parker->token, SKUAI_PARKER_EMPTY, SKUAI_ACQUIRE);
    return true;
}

/* Awake again, for whatever reason. True: there was a token, now taken. */
SKUAI_INLINE bool skuai_parker_end(struct skuai_parker *parker)
{
    return skuai_exchange_32(&parker->token, SKUAI_PARKER_EMPTY, SKUAI_ACQUIRE) == SKUAI_PARKER_TOKEN; /* as above */
}

/* True: the owner sleeps or is about to, and needs a kernel wake. */
SKUAI_INLINE bool skuai_parker_give(struct skuai_parker *parker)
{
    return skuai_exchange_32(&parker->token, SKUAI_PARKER_TOKEN, SKUAI_RELEASE) == SKUAI_PARKER_PARKED; /* as above */
}

#endif
