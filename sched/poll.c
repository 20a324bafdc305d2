/* See poll.h. */
#include "sched/poll.h"

#include "sched/lock.h"
#include "sched/parker.h"

bool skuai_poll_begin(struct skuai_poll *poll, struct skuai_poller *poller)
{
    void *none = NULL;
    /* SEQ_CST: K5's first half. Release is in it: pairs with skuai_poll_poller(). */
    return skuai_cas_ptr(&poll->poller, &none, poller, SKUAI_SEQ_CST);
}

static bool poll_take(struct skuai_poll *poll, enum skuai_poll_owner as, enum skuai_poll_owner *seen)
{
    uint32_t owner = SKUAI_POLL_FREE;
    /* Acquire: pairs with poll_give(): the looks before this one are over. */
    bool taken = skuai_cas_32(&poll->owner, &owner, (uint32_t)as, SKUAI_ACQUIRE);
    *seen = (enum skuai_poll_owner)owner;
    return taken;
}

static void poll_give(struct skuai_poll *poll)
{
    skuai_store_32(&poll->owner, SKUAI_POLL_FREE, SKUAI_RELEASE); /* pairs with poll_take() */
}

bool skuai_poll_look(struct skuai_poll *poll, struct skuai_poll_batch *batch, uint64_t now_ns)
{
    struct skuai_poller *poller = skuai_poll_poller(poll);
    enum skuai_poll_owner seen;
    /* Relaxed: a look that spares the exchange, which decides; so no model test needs the check. */
    if (skuai_load_32(&poll->owner, SKUAI_RELAXED) != SKUAI_POLL_FREE)
        return false;
    if (!poll_take(poll, SKUAI_POLL_LOOKING, &seen))
        return false;
    poller->hooks->wait(poller, batch, 0);
    /* A hint; no model test needs the step or sequence: it decides when the guard looks, and they count no time. */
    skuai_store_64(&poll->looked_ns, now_ns, SKUAI_RELAXED);
    poll_give(poll);
    return true;
}

/* What unparks the worker from now on kicks the poller. Written once: who unparked it before may still be reading. */
static void be_kicked(struct skuai_parker *parker, struct skuai_poller *poller)
{
    if (parker->kicked != NULL)
        return;
    SKUAI_WRITE(parker->kick, poller->hooks->kick);
    SKUAI_WRITE(parker->kicked, poller);
}

bool skuai_poll_sleep(struct skuai_poll *poll, struct skuai_poll_batch *batch, struct skuai_parker *parker,
                      uint64_t until_ns, bool *token)
{
    struct skuai_poller *poller = skuai_load_ptr(&poll->poller, SKUAI_SEQ_CST); /* K5, the sleeper's second half */
    enum skuai_poll_owner seen;
    batch->count = 0;
    if (poller == NULL)
        return false;
    while (!poll_take(poll, SKUAI_POLL_BLOCKED, &seen)) {
        if (seen == SKUAI_POLL_BLOCKED)
            return false;
        skuai_lock_wait_hint(); /* K3: a look */
    }
    be_kicked(parker, poller);
    *token = skuai_parker_begin(parker, SKUAI_PARKER_POLLING);
    if (!*token) {
        poller->hooks->wait(poller, batch, until_ns);
        *token = skuai_parker_end(parker);
    }
    poll_give(poll);
    return true;
}
