/* Looking into the kernel's pollers: who does it, and when. What a poller is, io/ says; it gives these functions when
 * the first descriptor of a runtime is waited for. Until then there is none, and workers sleep on their parkers.
 *
 * A runtime has one poller, or several, never more than workers (skua_config.workers_per_poller). Each descriptor
 * belongs to one of them, and each worker is at *home* with one, which at least one worker is (homes.h).
 *
 *   K1 own     whoever looks takes the poller's `owner` from FREE: to LOOKING for a look that does not wait, to BLOCKED
 *              for one that may. What was found is delivered after `owner` is FREE again, so the next one can look
 *              meanwhile.
 *   K2 block   a worker that goes to sleep (idle.h, P2; after the second look) sleeps in its home poller if nobody
 *              does, else in the next one in which nobody does, else on its parker. Its parker's word is POLLING plus
 *              the poller's number instead of PARKED, so whoever unparks it kicks that poller. A kick stays until a
 *              wait has seen it, so none is lost between the word and the kernel's wait. One that comes late wakes who
 *              sleeps there by then, who sleeps on.
 *   K3 look    workers look into their home poller without waiting between tasks (worker.c), unless their deque lasts
 *              until they come by again, and before they search for work; then into others, too, if nobody has
 *              lately. A sleeper that meets a look waits for its end, and then takes the poller: a look is short, and
 *              somebody must block.
 *   K4 guard   so if a poller is FREE a worker is awake, which goes to sleep some time and blocks (K6). Until then
 *              those look that are at home there. If these compute, or sleep elsewhere, the guard looks (guard.c).
 *   K5 begin   who makes the poller wakes one worker afterwards, so that one that sleeps on its parker comes to block
 *              in it. Litmus: store buffering, { poller; counts (idle.h, P1) } against a sleeper's { counts (P2);
 *              poller }, all seq_cst: whoever was relied on as searching finds the poller when it goes to sleep.
 *              Who makes several gives each worker a token: it brings that there are seats (K6), and one that is about
 *              to park comes by once more. (To pick as many sleepers as there are pollers would not do: the first may
 *              be asleep again, and be picked once more.)
 *   K6 seats   one after the other several owners' words do not tell that all pollers are slept in: who was seen in one
 *              may have moved to the next before that was looked at, and who believes it sleeps on its parker while a
 *              poller is FREE and nobody awake. So there are as many `seats` as pollers. Who gets one has a poller to
 *              find, since all others' holders are in one each at most, and gives it back after the poller. Who gets
 *              none sleeps on its parker: just then as many workers as there are pollers had seats, and each comes by
 *              here again when it has given up its own. Seats held and workers awake are together never fewer than
 *              pollers; so if nobody is awake all pollers are slept in. It is one word that decides, so old values of
 *              it do no harm: who gives a seat back does not read one from before that. A poller that is alone needs no
 *              seat: its owner's word is one.
 *   K7 away    the worker of an embedded runtime (turn.h) sleeps in its poller while somebody else waits for the
 *              poller's descriptor: all as in K2, but that between taking the poller and leaving it the thread does
 *              other things, and that the wait at its end waits for nothing more.
 *   K8 aside   while the processors are crowded (crowd.h), who goes to sleep and leaves enough others awake, one at
 *              least (idle.h, P6), sleeps on its parker, though nobody may be in the poller: who is awake comes by
 *              here when it settles, and the last to do so is not aside. Until then K3 and K4 see to it that events
 *              are noticed. With one poller only.
 * An event thus costs one kernel wake-up if a worker sleeps in its poller, and none if one looks.
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
    void (*kick)(struct skuai_poller *poller);
    /* Of all pollers of a runtime, by its first. */
    void (*destroy)(struct skuai_poller *poller);
    /* Of one whose descriptor somebody else waits for (K7): from this instant on a wait finds something, at least once;
     * not the instant that was set before. By its waiter. */
    void (*deadline)(struct skuai_poller *poller, uint64_t until_ns);
};

/* What io/ makes begins with this. */
struct skuai_poller {
    const struct skuai_poll_hooks *hooks;
    struct skuai_poller *next; /* of the same runtime, or NULL */
};

enum skuai_poll_owner { SKUAI_POLL_FREE, SKUAI_POLL_LOOKING, SKUAI_POLL_BLOCKED };

/* A poller's place in a scheduler. */
struct skuai_poll {
    skua_wordptr poller;   /* NULL until there is one; then constant */
    skua_word32 owner __attribute__((aligned(SKUAI_CACHE_LINE))); /* enum skuai_poll_owner */
    skua_word64 looked_ns; /* when the last look began; a hint */
};

struct skuai_polls {
    struct skuai_poll *of; /* fixed; the caller's memory */
    uint32_t count;        /* fixed, at least 1 */
    skua_word32 seats __attribute__((aligned(SKUAI_CACHE_LINE))); /* K6, if there are several: 0 until they are made */
};

SKUAI_INLINE struct skuai_poller *skuai_poll_poller(const struct skuai_poll *poll)
{
    return skuai_load_ptr(&poll->poller, SKUAI_ACQUIRE); /* pairs with skuai_poll_begin() */
}

/* K3, K4: nobody has looked for so long, if there is a poller. A hint: somebody may be in it. No model test needs the
 * check: whoever looks too often finds nothing, and they count no time. */
SKUAI_INLINE bool skuai_poll_is_neglected(const struct skuai_poll *poll, uint64_t now_ns, uint64_t for_ns)
{
    uint64_t looked = skuai_load_64(&poll->looked_ns, SKUAI_RELAXED); /* a hint */
    return skuai_poll_poller(poll) != NULL && (looked > now_ns || now_ns - looked >= for_ns);
}

/* K5, the first half. `first` and those behind it, polls->count of them, are made; false: somebody else's are there
 * already. */
bool skuai_poll_begin(struct skuai_polls *polls, struct skuai_poller *first);

/* K3, if there is a poller. True: the batch is filled, with 0 events or more, and to be delivered. False: somebody
 * looks or blocks already. */
bool skuai_poll_look(struct skuai_poll *poll, struct skuai_poll_batch *batch, uint64_t now_ns);

/* K2, of a worker that is at home with `home`. False: not done, the caller parks on its parker. True: it has slept
 * here; *token says whether it was unparked, and the batch is to be delivered. */
bool skuai_poll_sleep(struct skuai_polls *polls, struct skuai_poll *home, struct skuai_poll_batch *batch,
                      struct skuai_parker *parker, uint64_t until_ns, bool *token);

/* K7, of a poller that is alone. False: there was a token, now taken, and nothing to sleep for. True: the worker counts
 * as sleeping in the poller, which has something to say at the instant at the latest, until it returns. */
bool skuai_poll_go_away(struct skuai_polls *polls, struct skuai_parker *parker, uint64_t until_ns);
/* And is back; it may wait there until an instant (0: not at all). The batch is to be delivered. */
void skuai_poll_return(struct skuai_polls *polls, struct skuai_poll_batch *batch, struct skuai_parker *parker,
                       uint64_t until_ns);

/* Of whichever poller: it is one io/ that has made them all. */
SKUAI_INLINE void skuai_poll_deliver(const struct skuai_polls *polls, const struct skuai_poll_batch *batch)
{
    struct skuai_poller *poller;
    if (batch->count != 0) {
        poller = skuai_poll_poller(polls->of);
        poller->hooks->deliver(poller, batch);
    }
}

#endif
