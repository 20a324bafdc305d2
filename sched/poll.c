/* See poll.h. */
#include "sched/poll.h"

#include "sched/lock.h"
#include "sched/parker.h"

bool skuai_poll_begin(struct skuai_polls *polls, struct skuai_poller *first)
{
    void *none = NULL;
    /* SEQ_CST: K5's first half, of one. Release is in it: pairs with skuai_poll_poller(). */
    if (!skuai_cas_ptr(&polls->of->poller, &none, first, SKUAI_SEQ_CST))
        return false;
    struct skuai_poller *poller = first->next;
    for (uint32_t i = 1; i < polls->count; i++, poller = poller->next)
        skuai_store_ptr(&polls->of[i].poller, poller, SKUAI_RELEASE); /* likewise */
    if (polls->count > 1)
        skuai_add_32(&polls->seats, polls->count, SKUAI_RELEASE); /* pairs with poll_take_seat() */
    return true;
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

SKUAI_HOT bool skuai_poll_look(struct skuai_poll *poll, struct skuai_poll_batch *batch, uint64_t now_ns)
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

static void poll_kick(void *polls, uint32_t which)
{
    struct skuai_poller *poller = skuai_poll_poller(&((struct skuai_polls *)polls)->of[which]);
    poller->hooks->kick(poller);
}

/* What unparks the worker from now on kicks the poller that it sleeps in. Written once: who unparked it before may
 * still be reading. */
static void be_kicked(struct skuai_parker *parker, struct skuai_polls *polls)
{
    if (parker->kicked != NULL)
        return;
    SKUAI_WRITE(parker->kick, poll_kick);
    SKUAI_WRITE(parker->kicked, polls);
}

/* K2, K3. False: somebody sleeps there. */
static bool poll_block(struct skuai_poll *poll)
{
    enum skuai_poll_owner seen;
    while (!poll_take(poll, SKUAI_POLL_BLOCKED, &seen)) {
        if (seen == SKUAI_POLL_BLOCKED)
            return false;
        skuai_lock_wait_hint(); /* K3: a look */
    }
    return true;
}

/* K6. False: there is none, or there are no pollers yet. */
static bool poll_take_seat(struct skuai_polls *polls)
{
    /* Relaxed: the exchange decides; and about a 0 that is old see K6, or there is a token to come (K5). */
    uint32_t seats = skuai_load_32(&polls->seats, SKUAI_RELAXED);
    while (seats != 0)
        /* Acquire: pairs with skuai_poll_begin(): there are pollers. */
        if (skuai_cas_32(&polls->seats, &seats, seats - 1, SKUAI_ACQUIRE))
            return true;
    return false;
}

/* Of several: blocks the home, or another. NULL: all are slept in, or there is none. Rare, so out of line. */
static __attribute__((noinline)) struct skuai_poll *poll_block_any(struct skuai_polls *polls, struct skuai_poll *home)
{
    if (!poll_take_seat(polls))
        return NULL;
    struct skuai_poll *poll = home;
    while (!poll_block(poll)) {
        poll = poll + 1 == polls->of + polls->count ? polls->of : poll + 1;
        if (poll == home) /* once around: others move as fast */
            skuai_lock_wait_hint(); /* no model test needs the step: it spares the processor */
    }
    return poll;
}

static struct skuai_poll *poll_block_one(struct skuai_polls *polls, struct skuai_poll *home)
{
    if (SKUAI_UNLIKELY(polls->count > 1))
        return poll_block_any(polls, home);
    /* SEQ_CST: K5, the sleeper's second half. */
    return skuai_load_ptr(&home->poller, SKUAI_SEQ_CST) != NULL && poll_block(home) ? home : NULL;
}

/* No model test needs the sequence: who gets the seat too soon goes round until the poller is left. */
static void poll_leave(struct skuai_polls *polls, struct skuai_poll *poll)
{
    poll_give(poll);
    if (SKUAI_UNLIKELY(polls->count > 1))
        skuai_add_32(&polls->seats, 1, SKUAI_RELAXED); /* K6: says no more than that */
}

SKUAI_HOT bool skuai_poll_sleep(struct skuai_polls *polls, struct skuai_poll *home, struct skuai_poll_batch *batch,
                                struct skuai_parker *parker, uint64_t until_ns, bool *token)
{
    batch->count = 0;
    struct skuai_poll *poll = poll_block_one(polls, home);
    if (poll == NULL)
        return false;
    struct skuai_poller *poller = skuai_poll_poller(poll);
    be_kicked(parker, polls);
    *token = skuai_parker_begin(parker, SKUAI_PARKER_POLLING + (uint32_t)(poll - polls->of));
    if (!*token) {
        poller->hooks->wait(poller, batch, until_ns);
        *token = skuai_parker_end(parker);
    }
    poll_leave(polls, poll);
    return true;
}

bool skuai_poll_go_away(struct skuai_polls *polls, struct skuai_parker *parker, uint64_t until_ns)
{
    struct skuai_poll *poll = polls->of;
    struct skuai_poller *poller = skuai_poll_poller(poll);
    (void)poll_block(poll); /* nobody else sleeps or looks there, ever */
    be_kicked(parker, polls);
    if (skuai_parker_begin(parker, SKUAI_PARKER_POLLING)) {
        poll_leave(polls, poll);
        return false;
    }
    poller->hooks->deadline(poller, until_ns);
    return true;
}

void skuai_poll_return(struct skuai_polls *polls, struct skuai_poll_batch *batch, struct skuai_parker *parker,
                       uint64_t until_ns)
{
    struct skuai_poller *poller = skuai_poll_poller(polls->of);
    poller->hooks->wait(poller, batch, until_ns);
    (void)skuai_parker_end(parker); /* whether there was a token is nothing to an owner that looks anyhow */
    poll_leave(polls, polls->of);
}
