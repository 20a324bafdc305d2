/* The parker's transitions, without the sleeping. See parker_futex.c; the simulation and the model use them too. */
#ifndef SKUAI_PARKER_H
#define SKUAI_PARKER_H

#include "sched/env.h"

enum skuai_parker_state {
    SKUAI_PARKER_EMPTY,
    SKUAI_PARKER_TOKEN,
    SKUAI_PARKER_PARKED, /* sleeps on the word */
    SKUAI_PARKER_POLLING /* sleeps in a poller (poll.h, K2): this plus the poller's number */
};

/* About to sleep as PARKED or POLLING. True: there was a token, now taken, and there is nothing to sleep for. False:
 * sleep while the word says so. */
SKUAI_INLINE bool skuai_parker_begin(struct skuai_parker *parker, uint32_t as)
{
    uint32_t seen = SKUAI_PARKER_EMPTY;
    /* Release: for who reads POLLING: what to kick. */
    if (skuai_cas_32(&parker->token, &seen, as, SKUAI_RELEASE))
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

/* What the owner was doing: enum skuai_parker_state. PARKED, or POLLING and more: it sleeps or is about to, and needs a
 * kernel wake, or a kick. */
SKUAI_INLINE uint32_t skuai_parker_give(struct skuai_parker *parker)
{
    /* Release: as above. Acquire: what to kick. */
    return skuai_exchange_32(&parker->token, SKUAI_PARKER_TOKEN, SKUAI_ACQ_REL);
}

/* What an owner that was POLLING needs, by who gave the token and saw that. */
SKUAI_INLINE void skuai_parker_kick(const struct skuai_parker *parker, uint32_t seen)
{
    SKUAI_READ(parker->kick)(SKUAI_READ(parker->kicked), seen - SKUAI_PARKER_POLLING);
}

#endif
