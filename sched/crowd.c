/* See crowd.h. */
#include "sched/crowd.h"

#include "sched/scheduler.h"

enum {
    PERIOD_NS = 10000000,    /* two to three time slices of the kernel's */
    EVENTS_PER_MS = 5,       /* fewer cost too little to care; untuned */
    SHORT_RUN_NS = 50000,    /* longer ones are worth a wake, which costs both 60 µs */
    CROWDED_PART = 8,        /* of the time: two workers beside a generator on two processors wait a quarter to a third
                                of it, one beside it a fiftieth */
    SEEDED_NS = 4000000,
    RECENT_NS = 40000000,    /* until a limit that was raised has shown what it does */
    IN_VAIN = 3,             /* periods in a row; in the first one the limit is new */
    HOLD_MIN_NS = 50000000,
    HOLD_MAX_NS = 1600000000 /* so that looking whether it is over, one PERIOD, is less than a hundredth */
};

struct usage {
    uint64_t ran_ns, waited_ns, polls, events;
};

/* What a worker has used since the last time. */
static void add_usage(struct usage *usage, struct skuai_worker *worker)
{
    struct skuai_crowd_share *share = &worker->crowd_share;
    uint64_t polls = skuai_load_64(&worker->counters.polls, SKUAI_RELAXED), ran, waited; /* counters, all */
    uint64_t events = skuai_load_64(&worker->counters.events_looked, SKUAI_RELAXED) +
                      skuai_load_64(&worker->counters.events_slept, SKUAI_RELAXED);
    uint32_t number = skuai_load_32(&worker->thread.number, SKUAI_RELAXED); /* a name, no more */
    usage->polls += polls - share->polls;
    usage->events += events;
    bool is_known = polls != share->polls && number != 0 && skuai_crowd_read((long)number, &ran, &waited);
    if (is_known && share->is_known) {
        usage->ran_ns += ran - share->ran_ns;
        usage->waited_ns += waited - share->waited_ns;
    }
    share->polls = polls;
    share->is_known = is_known;
    if (is_known) {
        share->ran_ns = ran;
        share->waited_ns = waited;
    }
}

static bool is_crowded(const struct usage *usage, uint64_t for_ns)
{
    return usage->events * 1000000 >= for_ns * EVENTS_PER_MS && usage->events >= usage->polls / 4 &&
           usage->waited_ns * CROWDED_PART > usage->ran_ns + usage->waited_ns;
}

static void set_limit(struct skuai_crowd *crowd, uint32_t limit)
{
    skuai_store_32(&crowd->limit, limit, SKUAI_RELAXED); /* a hint */
}

static void hold_longer(struct skuai_crowd *crowd)
{
    crowd->hold_ns = 2 * crowd->hold_ns < HOLD_MAX_NS ? 2 * crowd->hold_ns : HOLD_MAX_NS;
}

static bool is_recent(uint64_t instant_ns, uint64_t now_ns)
{
    return instant_ns != 0 && now_ns - instant_ns < RECENT_NS;
}

/* As many as had a processor on average. If one more was too many, for longer than before. */
static void lower(struct skuai_crowd *crowd, uint64_t ran_ns, uint64_t for_ns, uint64_t now_ns)
{
    uint64_t limit = (2 * ran_ns + for_ns) / (2 * for_ns);
    bool is_first = skuai_load_32(&crowd->limit, SKUAI_RELAXED) == 0; /* its own */
    if (is_recent(crowd->raised_ns, now_ns))
        hold_longer(crowd);
    else if (is_first && !is_recent(crowd->paused_ns, now_ns))
        crowd->hold_ns = HOLD_MIN_NS;
    crowd->raised_ns = 0;
    crowd->in_vain = 0;
    skuai_store_64(&crowd->until_ns, now_ns + crowd->hold_ns, SKUAI_RELAXED); /* its own */
    if (is_first)
        skuai_count(&crowd->begun, 1);
    set_limit(crowd, limit > 0 ? (uint32_t)limit : 1);
}

/* Is it still crowded? One more of eight, or of fewer, will tell. */
static void raise_limit(struct skuai_scheduler *sched, uint64_t now_ns)
{
    struct skuai_crowd *crowd = &sched->crowd;
    uint32_t limit = skuai_load_32(&crowd->limit, SKUAI_RELAXED); /* its own */
    limit += 1 + limit / 8;
    set_limit(crowd, limit < sched->nworkers ? limit : 0);
    crowd->raised_ns = now_ns;
    skuai_store_64(&crowd->until_ns, now_ns + RECENT_NS, SKUAI_RELAXED);
}

/* Those that are enough wait as well: it is others who crowd, and less of us will not change it. */
static void give_up(struct skuai_crowd *crowd, uint64_t now_ns)
{
    set_limit(crowd, 0);
    crowd->paused_ns = now_ns + crowd->hold_ns;
    hold_longer(crowd);
}

void skuai_crowd_watch(struct skuai_scheduler *sched, uint64_t now_ns)
{
    struct skuai_crowd *crowd = &sched->crowd;
    uint64_t for_ns = now_ns - crowd->seen_ns;
    if (sched->env.is_seeded) /* now and then, so that programs meet both */
        set_limit(crowd, (uint32_t)(now_ns / SEEDED_NS % 3));
    if (sched->nworkers == 1 || sched->polls.count > 1 || sched->env.sim != NULL ||
        skuai_poll_poller(sched->polls.of) == NULL)
        return;
    bool is = skuai_load_32(&crowd->limit, SKUAI_RELAXED) != 0, has_jobs = skuai_parallel_is_running(sched);
    if (is && has_jobs)
        set_limit(crowd, 0);
    if (for_ns < PERIOD_NS)
        return;
    struct usage usage = { .events = 0 };
    for (uint32_t i = 0; i < sched->nworkers; i++)
        add_usage(&usage, sched->workers[i]);
    uint64_t events = usage.events;
    usage.events -= crowd->events;
    crowd->events = events;
    crowd->seen_ns = now_ns;
    bool has_long = usage.ran_ns > usage.polls * SHORT_RUN_NS;
    if (has_jobs || has_long) {
        set_limit(crowd, 0);
    } else if (!is_crowded(&usage, for_ns)) {
        crowd->in_vain = 0;
        if (is && now_ns >= skuai_load_64(&crowd->until_ns, SKUAI_RELAXED)) /* its own */
            raise_limit(sched, now_ns);
    } else if (is_recent(crowd->raised_ns, now_ns) || (!is && now_ns >= crowd->paused_ns)) {
        lower(crowd, usage.ran_ns, for_ns, now_ns);
    } else if (is && ++crowd->in_vain == IN_VAIN) {
        give_up(crowd, now_ns);
    }
}

bool skuai_crowd_lags(struct skuai_scheduler *sched)
{
    bool lags = false;
    for (uint32_t i = 0; i < skuai_workers_all(sched); i++) {
        struct skuai_worker *worker = sched->workers[i];
        struct skuai_crowd_share *share = &worker->crowd_share;
        uint64_t polls = skuai_load_64(&worker->counters.polls, SKUAI_RELAXED); /* a counter */
        lags |= polls - share->lag_polls < share->lag_waiting;
        share->lag_polls = polls;
        share->lag_waiting = skuai_deque_count(&worker->deque) + skuai_deque_count(&worker->inbox) +
                             (skuai_load_ptr(&worker->next, SKUAI_RELAXED) != NULL); /* a look */
    }
    return lags;
}
