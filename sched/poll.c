/* See poll.h. */
#include "sched/poll.h"

#include "sched/lock.h"
#include "sched/parker.h"

bool skuai_poll_begin(struct skuai_poll *poll, const struct skuai_poll_hooks *hooks, struct skuai_poller *poller)
{
    void *none = NULL;
    /* All who come here bring the same hooks. */
    poll->hooks = hooks;
    return skuai_cas_ptr(&poll->poller, &none, poller, SKUAI_RELEASE); /* pairs with skuai_poll_poller() */
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
    if (poller == NULL || skuai_load_32(&poll->owner, SKUAI_RELAXED) != SKUAI_POLL_FREE || /* spares the exchange */
        !poll_take(poll, SKUAI_POLL_LOOKING, &seen))
        return false;
    poll->hooks->wait(poller, batch, 0);
    skuai_store_64(&poll->looked_ns, now_ns, SKUAI_RELAXED); /* a hint */
    poll_give(poll);
    return true;
}

bool skuai_poll_sleep(struct skuai_poll *poll, struct skuai_poll_batch *batch, struct skuai_parker *parker,
                      uint64_t until_ns, bool *token)
{
    struct skuai_poller *poller = skuai_poll_poller(poll);
    enum skuai_poll_owner seen;
    batch->count = 0;
    if (poller == NULL)
        return false;
    while (!poll_take(poll, SKUAI_POLL_BLOCKED, &seen)) {
        if (seen == SKUAI_POLL_BLOCKED)
            return false;
        skuai_lock_wait_hint(); /* K3: a look */
    }
    parker->kick = poll->hooks->kick;
    parker->kicked = poller;
    *token = skuai_parker_begin(parker, SKUAI_PARKER_POLLING);
    if (!*token) {
        poll->hooks->wait(poller, batch, until_ns);
        *token = skuai_parker_end(parker);
    }
    poll_give(poll);
    return true;
}
