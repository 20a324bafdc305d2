/* Looking into the kernel's poller: who does it, and when. What a poller is, io/ says; it gives these functions when
 * the first descriptor of a runtime is waited for. Until then there is none, and workers sleep on their parkers.
 *
 *   K1 own     whoever looks takes `owner` from FREE: to LOOKING for a look that does not wait, to BLOCKED for one that
 *              may. What was found is delivered after `owner` is FREE again, so the next one can look meanwhile.
 *   K2 block   a worker that goes to sleep (idle.h, P2; after the second look) sleeps in the poller if nobody does,
 *              else on its parker. Its parker's word is POLLING instead of PARKED, so whoever unparks it kicks the
 *              poller. A kick stays until a wait has seen it, so none is lost between the word and the kernel's wait.
 *   K3 look    workers look without waiting between tasks (worker.c) and before they search for work. A sleeper that
 *              meets a look waits for its end, and then takes the poller: a look is short, and somebody must block.
 *   K4 guard   so if the poller is FREE a worker is awake, which looks, or goes to sleep and blocks. If the workers
 *              that are awake all compute, the guard looks (guard.c).
 *   K5 begin   who makes the poller wakes one worker afterwards, so that one that sleeps on its parker comes to block
 *              in it. Litmus: store buffering, { poller; counts (idle.h, P1) } against a sleeper's { counts (P2);
 *              poller }, all seq_cst: whoever was relied on as searching finds the poller when it goes to sleep.
 * An event thus costs one kernel wake-up if a worker sleeps, and none if one looks.
 * Model: tests/model/model_poll.c.
 */
#ifndef SKUAI_POLL_H
#define SKUAI_POLL_H

#include "sched/atomic.h"
#include "sched/env.h"

enum { SKUAI_POLL_EVENTS = 64 }; /* of one look; more are left to the next, so that tasks get their turn */

struct skuai_poll_event {
    uint64_t token; /* the poller's name for what it came from */
    uint32_t ready;
};

struct skuai_poll_batch {
    uint32_t count;
    struct skuai_poll_event events[SKUAI_POLL_EVENTS];
};

struct skuai_poller;

struct skuai_poll_hooks {
    /* Waits for events until an instant (0: not at all), or a kick; fills the batch. One caller at a time. */
    void (*wait)(struct skuai_poller *poller, struct skuai_poll_batch *batch, uint64_t until_ns);
    /* Wakes whom the events are for. Any thread. */
    void (*deliver)(struct skuai_poller *poller, const struct skuai_poll_batch *batch);
    /* Ends the wait under way, or the next one. Any thread. */
    void (*kick)(void *poller);
    void (*destroy)(struct skuai_poller *poller);
};

/* What io/ makes begins with this. */
struct skuai_poller {
    const struct skuai_poll_hooks *hooks;
};

enum skuai_poll_owner { SKUAI_POLL_FREE, SKUAI_POLL_LOOKING, SKUAI_POLL_BLOCKED };

struct skuai_poll {
    skua_wordptr poller;   /* NULL until there is one; then constant */
    skua_word32 owner __attribute__((aligned(SKUAI_CACHE_LINE))); /* enum skuai_poll_owner */
    skua_word64 looked_ns; /* when the last look began; a hint */
};

SKUAI_INLINE struct skuai_poller *skuai_poll_poller(const struct skuai_poll *poll)
{
    return skuai_load_ptr(&poll->poller, SKUAI_ACQUIRE); /* pairs with skuai_poll_begin() */
}

/* K5, the first half. `poller` is made; false: somebody else's is there already. */
bool skuai_poll_begin(struct skuai_poll *poll, struct skuai_poller *poller);

/* K3, if there is a poller. True: the batch is filled, with 0 events or more, and to be delivered. False: somebody
 * looks or blocks already. */
bool skuai_poll_look(struct skuai_poll *poll, struct skuai_poll_batch *batch, uint64_t now_ns);

/* K2. False: not done, the caller parks on its parker. True: it has slept here; *token says whether it was unparked,
 * and the batch is to be delivered. */
bool skuai_poll_sleep(struct skuai_poll *poll, struct skuai_poll_batch *batch, struct skuai_parker *parker,
                      uint64_t until_ns, bool *token);

SKUAI_INLINE void skuai_poll_deliver(struct skuai_poll *poll, const struct skuai_poll_batch *batch)
{
    struct skuai_poller *poller;
    if (batch->count != 0) {
        poller = skuai_poll_poller(poll);
        poller->hooks->deliver(poller, batch);
    }
}

#endif
