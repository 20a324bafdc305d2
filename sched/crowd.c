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
    ASLEEP_NS = 200000000,   /* the guard did not look for so long: what it knows is old */
    NEGLECTED = 4,           /* looks; at one or two the gain was gone */
    IN_VAIN = 3,             /* periods in a row; in the first one the limit is new */
    HOLD_MIN_NS = 50000000,
    HOLD_MAX_NS = 1600000000 /* so that looking whether it is over, one PERIOD, is less than a hundredth */
};

struct usage {
    uint64_t ran_ns, waited_ns, polls, events;
    bool has_long; /* somebody has not begun a run in the whole period, and does not sleep */
};

static void count(struct usage *usage, struct skuai_worker *worker)
{
    struct skuai_crowd_share *share = &worker->crowd_share;
    uint64_t polls = skuai_load_64(&worker->counters.polls, SKUAI_RELAXED); /* counters, all */
    usage->polls += polls - share->polls;
    usage->has_long |= polls == share->polls && skuai_load_32(&worker->asleep, SKUAI_RELAXED) == 0; /* a hint */
    usage->events += skuai_load_64(&worker->counters.events_looked, SKUAI_RELAXED) +
                     skuai_load_64(&worker->counters.events_slept, SKUAI_RELAXED);
    share->has_run = polls != share->polls;
    share->polls = polls;
}

/* Of one that has run something: for how long, and for how long it could not, since the last time. */
static void add_times(struct usage *usage, struct skuai_worker *worker)
{
    struct skuai_crowd_share *share = &worker->crowd_share;
    uint32_t number = skuai_load_32(&worker->thread.number, SKUAI_RELAXED); /* a name, no more */
    uint64_t ran, waited;
    bool is_known = share->has_run && number != 0 && skuai_crowd_read((long)number, &ran, &waited);
    if (is_known && share->is_known) {
        usage->ran_ns += ran - share->ran_ns;
        usage->waited_ns += waited - share->waited_ns;
    }
    share->is_known = is_known;
    if (is_known) {
        share->ran_ns = ran;
        share->waited_ns = waited;
    }
}

/* The accounts are read only if there are many events: 5 µs each. */
static struct usage use(struct skuai_scheduler *sched, uint64_t for_ns)
{
    struct skuai_crowd *crowd = &sched->crowd;
    struct usage usage = { .events = 0 };
    for (uint32_t i = 0; i < sched->nworkers; i++)
        count(&usage, sched->workers[i]);
    uint64_t events = usage.events;
    usage.events -= crowd->events;
    crowd->events = events;
    bool are_many = usage.events * 1000000 >= for_ns * EVENTS_PER_MS && usage.events >= usage.polls / 4;
    for (uint32_t i = 0; i < sched->nworkers; i++) {
        if (are_many)
            add_times(&usage, sched->workers[i]);
        else
            sched->workers[i]->crowd_share.is_known = false;
    }
    usage.has_long |= usage.ran_ns > usage.polls * SHORT_RUN_NS;
    return usage;
}

static bool is_crowded(const struct usage *usage)
{
    return usage->waited_ns * CROWDED_PART > usage->ran_ns + usage->waited_ns;
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

/* As many as had a processor on average. If more were too many, for longer than before. */
static void lower(struct skuai_scheduler *sched, uint64_t ran_ns, uint64_t for_ns, uint64_t now_ns)
{
    struct skuai_crowd *crowd = &sched->crowd;
    uint64_t limit = (2 * ran_ns + for_ns) / (2 * for_ns);
    bool is_first = skuai_load_32(&crowd->limit, SKUAI_RELAXED) == 0; /* its own */
    if (limit >= sched->nworkers)
        return;
    if (is_recent(crowd->raised_ns, now_ns))
        hold_longer(crowd);
    else if (is_first && !is_recent(crowd->paused_ns, now_ns))
        crowd->hold_ns = HOLD_MIN_NS;
    crowd->raised_ns = 0;
    crowd->in_vain = crowd->neglected = 0;
    skuai_store_64(&crowd->until_ns, now_ns + crowd->hold_ns, SKUAI_RELAXED); /* its own */
    if (is_first)
        skuai_count(&crowd->begun, 1);
    set_limit(crowd, limit > 0 ? (uint32_t)limit : 1);
}

/* Is it still crowded? Twice as many will tell. */
static void raise_limit(struct skuai_scheduler *sched, uint64_t now_ns)
{
    struct skuai_crowd *crowd = &sched->crowd;
    uint32_t limit = 2 * skuai_load_32(&crowd->limit, SKUAI_RELAXED); /* its own */
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

/* Events that the guard had to see to at several looks in a row: those that are awake do not come to them, since they
 * are in long runs or blocked. (Now and then it does for one that has lost its processor.) */
static bool is_neglected(struct skuai_scheduler *sched)
{
    struct skuai_crowd *crowd = &sched->crowd;
    uint64_t by_guard = skuai_load_64(&sched->guard.events, SKUAI_RELAXED); /* the guard's own */
    crowd->neglected = by_guard != crowd->by_guard ? crowd->neglected + 1 : 0;
    crowd->by_guard = by_guard;
    return crowd->neglected >= NEGLECTED;
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
    if (is_neglected(sched) && is)
        give_up(crowd, now_ns);
    else if (is && has_jobs)
        set_limit(crowd, 0);
    if (for_ns < PERIOD_NS)
        return;
    struct usage usage = use(sched, for_ns);
    is = skuai_load_32(&crowd->limit, SKUAI_RELAXED) != 0;
    crowd->seen_ns = now_ns;
    if (has_jobs || usage.has_long || for_ns >= ASLEEP_NS) {
        set_limit(crowd, 0);
    } else if (!is_crowded(&usage)) {
        crowd->in_vain = 0;
        if (is && now_ns >= skuai_load_64(&crowd->until_ns, SKUAI_RELAXED)) /* its own */
            raise_limit(sched, now_ns);
    } else if (is_recent(crowd->raised_ns, now_ns) || (!is && now_ns >= crowd->paused_ns)) {
        lower(sched, usage.ran_ns, for_ns, now_ns);
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
