/* Who looks into the pollers and when (sched/poll.c, K1 … K6, with parker.h and idle.c): at most one is in each at a
 * time; no event is left unseen while all sleep; then there is one of the sleepers in each; a token is never lost,
 * wherever its owner sleeps; pollers that are made while workers go to sleep are slept in; and if all workers that are
 * at home with one compute the guard looks. First by bare sleepers, then by worker.c and guard.c, with one poller and
 * with two.
 */
/* model-sources: sched/poll.c sched/idle.c sched/worker.c sched/schedule.c sched/deque.c sched/inject.c sched/guard.c*/
/* model-sources: sched/crowd.c */
/* model-defines: SKUAI_DEQUE_CAPACITY=4u NDEBUG=1 */
#include "model/world.h"
#include "model/world_guard.h"

enum { EVENT = 1, KICK = 0x100 };

/* ---- a kernel --------------------------------------------------------------------------------------------------- */

static struct poller {
    struct skuai_poller base;
    int waits;          /* plain: whoever waits, one at a time */
    unsigned inside;
    skua_word32 kernel; /* events that nobody has seen, and KICK: also what is slept on */
} pollers[WORLD_POLLERS];
static unsigned sent, delivered, kicks;
static void (*when_delivered)(unsigned event);

static struct poller *poller_of(struct skuai_poller *base)
{
    struct poller *poller = (struct poller *)(void *)base;
    mc_assert(poller == &pollers[0] || poller == &pollers[1], "no poller");
    return poller;
}

static void wait_for_events(struct skuai_poller *of, struct skuai_poll_batch *batch, uint64_t until_ns)
{
    struct poller *poller = poller_of(of);
    uint32_t seen;
    mc_assert(poller->inside++ == 0, "two are in the poller at once");
    SKUAI_WRITE(poller->waits, SKUAI_READ(poller->waits) + 1);
    while ((seen = skuai_exchange_32(&poller->kernel, 0, SKUAI_ACQ_REL)) == 0 && until_ns != 0) {
        if (until_ns == SKUA_NEVER) {
            mc_futex_wait(&poller->kernel, 0);
        } else if (!mc_futex_wait_timed(&poller->kernel, 0)) {
            world_now = until_ns > world_now ? until_ns : world_now;
            break;
        }
    }
    batch->count = 0;
    for (uint32_t i = 0; i < seen % KICK; i++)
        batch->events[batch->count++] = (struct skuai_poll_event){ .token = i, .ready = 1 };
    poller->inside--;
}

static void deliver(struct skuai_poller *of, const struct skuai_poll_batch *batch)
{
    mc_assert(of == &pollers[0].base && batch->count != 0, "nothing to deliver");
    for (uint32_t i = 0; i < batch->count; i++) {
        unsigned event = delivered++;
        mc_assert(event < sent, "an event was delivered twice");
        if (when_delivered != NULL)
            when_delivered(event);
    }
}

static void kick(struct skuai_poller *of)
{
    struct poller *poller = poller_of(of);
    kicks++;
    skuai_or_32(&poller->kernel, KICK, SKUAI_ACQ_REL);
    mc_futex_wake(&poller->kernel, 1);
}

static const struct skuai_poll_hooks hooks = { .wait = wait_for_events, .deliver = deliver, .kick = kick };

/* The outside. */
static void send_to(struct poller *poller)
{
    sent++;
    skuai_add_32(&poller->kernel, EVENT, SKUAI_ACQ_REL);
    mc_futex_wake(&poller->kernel, 1);
}
static void sender(void *arg) { (void)arg; send_to(&pollers[0]); }
static void sender_to_second(void *arg) { (void)arg; send_to(&pollers[1]); }

/* As driver.c's make_driver(). */
static void beginner(void *arg)
{
    (void)arg;
    mc_assert(skuai_poll_begin(&sched.polls, &pollers[0].base), "nobody else makes one");
    if (sched.polls.count == 1)
        skuai_schedule_wake_one(&sched);
    else
        skuai_schedule_wake_all(&sched);
}

/* ---- the rest of the world -------------------------------------------------------------------------------------- */

static skua_task tasks[WORLD_TASKS];
static unsigned runs[WORLD_TASKS];
static skua_word32 computing; /* 1: the hogs have what they compute for */

void skuai_timers_run(struct skuai_scheduler *of, uint64_t now_ns)
{
    if (skuai_exchange_64(&of->timer_next, SKUA_NEVER, SKUAI_ACQ_REL) <= now_ns)
        runs[0]++;
}

/* The last `npollers` workers are at home with one each, the others with the first. */
static void reset_with(uint32_t nworkers, bool has_poller, uint32_t npollers)
{
    world_reset(nworkers);
    memset(pollers, 0, sizeof pollers);
    memset(tasks, 0, sizeof tasks);
    memset(runs, 0, sizeof runs);
    computing.raw = 0;
    sent = delivered = kicks = 0;
    when_delivered = NULL;
    sched.polls.count = npollers;
    for (uint32_t i = 0; i < npollers; i++) {
        pollers[i].base.hooks = &hooks;
        pollers[i].base.next = i + 1 < npollers ? &pollers[i + 1].base : NULL;
        world_pointers[nworkers - npollers + i]->home = &world_polls[i];
        mc_name(&world_polls[i].owner, "owner%u", i);
        mc_name(&world_polls[i].poller, "poller%u", i);
        mc_name(&pollers[i].kernel, "kernel%u", i);
    }
    if (has_poller)
        (void)skuai_poll_begin(&sched.polls, &pollers[0].base);
    mc_name(&sched.polls.seats, "seats");
}
static void reset(uint32_t nworkers, bool has_poller) { reset_with(nworkers, has_poller, 1); }

static void all_is_seen(void)
{
    mc_assert(delivered == sent, "all sleep, and an event was left unseen");
    for (uint32_t i = 0; i < sched.polls.count; i++) {
        mc_assert(pollers[i].kernel.raw % KICK == 0, "all sleep, and an event was left unseen");
        mc_assert(skuai_load_32(&world_polls[i].owner, SKUAI_RELAXED) == SKUAI_POLL_BLOCKED,
                  "all sleep, nobody in the poller");
        mc_assert(pollers[i].inside == 1, "all sleep, and not one in the poller");
    }
}
static bool are_free(void)
{
    for (uint32_t i = 0; i < sched.polls.count; i++)
        if (skuai_load_32(&world_polls[i].owner, SKUAI_RELAXED) != SKUAI_POLL_FREE || pollers[i].inside != 0)
            return false;
    return sched.polls.count == 1 || skuai_load_32(&sched.polls.seats, SKUAI_RELAXED) == sched.polls.count;
}

#define SEARCH .stale = 1, .max_executions = 100000, .random = 10000
#define FEWER .stale = 1, .max_executions = 30000, .random = 5000

/* ---- bare sleepers ---------------------------------------------------------------------------------------------- */

static struct skuai_deque *const work = &world_workers[0].worker.deque;

/* Where a sleeper sleeps, and known-wrong ways of it. */
typedef bool sleep_fn(struct skuai_worker *worker);
static bool sleep_rightly(struct skuai_worker *worker)
{
    bool token;
    if (!skuai_poll_sleep(&sched.polls, worker->home, &worker->polled, &worker->parker, SKUA_NEVER, &token))
        token = skuai_env_park(&sched.env, &worker->parker, SKUA_NEVER);
    return token;
}
static sleep_fn *how;

static void look(struct skuai_poll_batch *batch)
{
    if (skuai_poll_poller(world_polls) != NULL && skuai_poll_look(world_polls, batch, world_now))
        skuai_poll_deliver(&sched.polls, batch);
}

/* P6, K8: how many the one that settles leaves awake; and a known-wrong way of it, how many were before. */
typedef uint32_t left_fn(uint32_t awake, uint32_t were_awake);
static uint32_t left_rightly(uint32_t awake, uint32_t were_awake) { (void)were_awake; return awake; }
static left_fn *left;

/* As find(): looks, takes, settles, sleeps, delivers. One that finds work computes for ever, if that is long. */
static bool is_long;
static void sleeper(void *arg)
{
    uint32_t self = (uint32_t)(uintptr_t)arg;
    struct skuai_worker *worker = world_pointers[self];
    void *item;
    world_self[mc.current] = worker;
    for (bool searching = true;;) {
        if (skuai_deque_take(work, &item, 1, 1) == 1) {
            runs[(skua_task *)item - tasks]++;
            if (searching) {
                skuai_idle_found(&sched.idle);
                skuai_schedule_wake_one(&sched);
            }
            searching = false;
            if (is_long)
                return;
        }
        uint32_t were_awake = sched.nworkers - skuai_idle_sleeping(&sched.idle) - 1;
        uint32_t awake = skuai_idle_settle(&sched.idle, self, searching, &sched.timer_next);
        if (skuai_crowd_is_enough(&sched.crowd, left(awake, were_awake)))
            (void)skuai_env_park(&sched.env, &worker->parker, SKUA_NEVER);
        else if (skuai_deque_count(work) == 0)
            how(worker);
        searching = !skuai_idle_leave(&sched.idle, self);
        skuai_poll_deliver(&sched.polls, &worker->polled);
        worker->polled.count = 0;
        searching = searching || skuai_idle_search(&sched.idle);
    }
}
/* As an awake worker between its tasks, or as the guard. */
static struct skuai_poll_batch looked;
static void looker(void *arg)
{
    (void)arg;
    look(&looked);
}
static void producer(void *arg)
{
    unsigned count = (unsigned)(uintptr_t)arg;
    for (unsigned i = 0; i < count; i++) {
        skuai_deque_push(work, &tasks[i], SKUAI_SEQ_CST);
        skuai_schedule_wake_one(&sched);
    }
}

static void sleepers_with(uint32_t count, bool has_poller, uint32_t npollers)
{
    reset_with(count, has_poller, npollers);
    how = sleep_rightly;
    left = left_rightly;
    is_long = npollers == 1; /* who computes does not sleep in the other */
    for (uint32_t i = 0; i < count; i++) {
        skuai_add_64(&sched.idle.counts, UINT64_C(1) << 32, SKUAI_RELAXED); /* each searches */
        mc_allow_blocked(mc_thread(sleeper, (void *)(uintptr_t)i));
    }
}
static void sleepers(uint32_t count, bool has_poller) { sleepers_with(count, has_poller, 1); }

static void events_setup(void)
{
    sleepers(2, true);
    mc_thread(sender, NULL);
    mc_thread(sender, NULL);
}
MC_TEST(events, .setup = events_setup, .finish = all_is_seen, SEARCH);

/* K8: it becomes crowded, and is no longer, at any time. */
static void crowder(void *arg)
{
    (void)arg;
    skuai_store_32(&sched.crowd.limit, 1, SKUAI_RELAXED);
    skuai_store_32(&sched.crowd.limit, 0, SKUAI_RELAXED);
}
static void crowded_by(left_fn *leaves, uint32_t nsleepers)
{
    sleepers(nsleepers, true);
    left = leaves;
    sched.crowd.limit.raw = 1;
    mc_thread(sender, NULL);
}
static void crowded_setup(void)
{
    crowded_by(left_rightly, 2);
    mc_thread(sender, NULL);
}
MC_TEST(crowded, .setup = crowded_setup, .finish = all_is_seen, SEARCH);
static void crowded_three_setup(void) { crowded_by(left_rightly, 3); }
MC_TEST(crowded_three, .setup = crowded_three_setup, .finish = all_is_seen, FEWER);
static void two_are_enough_setup(void)
{
    crowded_three_setup();
    sched.crowd.limit.raw = 2;
}
MC_TEST(two_are_enough, .setup = two_are_enough_setup, .finish = all_is_seen, FEWER);
static void crowd_comes_setup(void)
{
    sleepers(2, true);
    mc_thread(crowder, NULL);
    mc_thread(sender, NULL);
}
MC_TEST(crowd_comes_and_goes, .setup = crowd_comes_setup, .finish = all_is_seen, SEARCH);

static void one_sleeper_setup(void)
{
    sleepers(1, true);
    mc_thread(sender, NULL);
    mc_thread(sender, NULL);
}
MC_TEST(one_sleeper, .setup = one_sleeper_setup, .finish = all_is_seen, .bound = 4, .max_executions = 100000);

/* K3: whoever meets a look waits for its end, and sleeps in the poller. */
static void looks_setup(void)
{
    sleepers(1, true);
    mc_thread(looker, NULL);
    mc_thread(sender, NULL);
}
MC_TEST(looks, .setup = looks_setup, .finish = all_is_seen, .bound = 3, .max_executions = 100000);

/* Work for one who may be in the poller or not, with an event in between. */
static void work_finish(void)
{
    mc_assert(runs[0] == 1, "all sleep, and what lies in the deque is left");
    mc_assert(skuai_load_64(&sched.idle.counts, SKUAI_RELAXED) == 1, "the other sleeps");
    all_is_seen();
}
static void work_setup(void)
{
    sleepers(2, true);
    mc_thread(producer, (void *)1);
    mc_thread(sender, NULL);
}
MC_TEST(works, .setup = work_setup, .finish = work_finish, SEARCH);

static void alone_finish(void) { mc_assert(runs[0] == 1, "all sleep, and what lies in the deque is left"); }
static void alone_setup(void)
{
    sleepers(1, true);
    mc_thread(producer, (void *)1);
    mc_thread(sender, NULL);
}
MC_TEST(alone, .setup = alone_setup, .finish = alone_finish, .bound = 4, .max_executions = 100000);

/* K5. Who makes the poller goes away. */
static void begin_setup(void)
{
    sleepers(1, false);
    mc_thread(beginner, NULL);
}
MC_TEST(begins, .setup = begin_setup, .finish = all_is_seen, .bound = 4, .max_executions = 100000);
static void begin_two_setup(void)
{
    sleepers(2, false);
    mc_thread(beginner, NULL);
    mc_thread(sender, NULL);
}
MC_TEST(begins_for_two, .setup = begin_two_setup, .finish = all_is_seen, SEARCH);

/* ---- two pollers: bare sleepers --------------------------------------------------------------------------------- */

static void two_setup(void)
{
    sleepers_with(2, true, 2);
    mc_thread(sender, NULL);
    mc_thread(sender_to_second, NULL);
}
MC_TEST(two, .setup = two_setup, .finish = all_is_seen, SEARCH);

/* Both are at home with the first. */
static void one_home_setup(void)
{
    two_setup();
    world_pointers[1]->home = world_polls;
}
MC_TEST(two_with_one_home, .setup = one_home_setup, .finish = all_is_seen, SEARCH);

static void two_looks_setup(void)
{
    sleepers_with(2, true, 2);
    mc_thread(looker, NULL);
    mc_thread(sender, NULL);
}
MC_TEST(two_looks, .setup = two_looks_setup, .finish = all_is_seen, SEARCH);

/* K6. The third sleeps where the others are at home, wakes, and goes home while the others look where to sleep. How it
 * came to sleep there: one of the others slept in its home, while the other was awake. */
static void mover(void *arg)
{
    struct skuai_worker *worker = arg;
    worker->home = &world_polls[0];
    for (;;) {
        how(worker);
        worker->home = &world_polls[1];
        skuai_poll_deliver(&sched.polls, &worker->polled);
        worker->polled.count = 0;
    }
}
static void stayer(void *arg)
{
    struct skuai_worker *worker = arg;
    for (;;) {
        how(worker);
        skuai_poll_deliver(&sched.polls, &worker->polled);
        worker->polled.count = 0;
    }
}
static void moves_by(sleep_fn *sleeps)
{
    reset_with(3, true, 2);
    how = sleeps;
    for (uint32_t i = 0; i < 2; i++) {
        world_pointers[i]->home = world_polls;
        mc_allow_blocked(mc_thread(stayer, world_pointers[i]));
    }
    mc_allow_blocked(mc_thread(mover, world_pointers[2]));
    mc_thread(sender, NULL);
}
static void moves_setup(void) { moves_by(sleep_rightly); }
MC_TEST(moves, .setup = moves_setup, .finish = all_is_seen, SEARCH);

/* Work for one of three who may be anywhere. */
static void two_work_finish(void)
{
    mc_assert(runs[0] == 1, "all sleep, and what lies in the deque is left");
    all_is_seen();
}
static void two_work_setup(void)
{
    sleepers_with(3, true, 2);
    mc_thread(producer, (void *)1);
    mc_thread(sender_to_second, NULL);
}
MC_TEST(two_works, .setup = two_work_setup, .finish = two_work_finish, FEWER);

/* K5: as many come as there are pollers. */
static void two_begin_setup(void)
{
    sleepers_with(2, false, 2);
    mc_thread(beginner, NULL);
}
MC_TEST(two_begin, .setup = two_begin_setup, .finish = all_is_seen, .bound = 3, .stale = 2, .max_executions = 100000,
        .random = 10000);
static void two_begin_three_setup(void)
{
    sleepers_with(3, false, 2);
    mc_thread(beginner, NULL);
    mc_thread(sender_to_second, NULL);
}
MC_TEST(two_begin_for_three, .setup = two_begin_three_setup, .finish = all_is_seen, FEWER);

/* Of two who make them one does. */
static void begin_both(void *arg)
{
    unsigned *begun = arg;
    *begun += skuai_poll_begin(&sched.polls, &pollers[0].base);
    mc_assert(skuai_poll_poller(world_polls) == &pollers[0].base, "there is one");
}
static unsigned begun;
static void both_setup(void)
{
    reset_with(2, false, 2);
    begun = 0;
    mc_thread(begin_both, &begun);
    mc_thread(begin_both, &begun);
}
static void both_finish(void) { mc_assert(begun == 1 && are_free(), "one has made them, once"); }
MC_TEST(both_begin, .setup = both_setup, .finish = both_finish, .bound = MC_UNBOUNDED);

/* ---- tokens ----------------------------------------------------------------------------------------------------- */

/* One that sleeps until both givers have posted: in the poller each time, or on its parker if another is in there. */
static skua_word32 posted[2];
static void token_owner(void *arg)
{
    struct skuai_worker *worker = arg;
    while (skuai_load_32(&posted[0], SKUAI_RELAXED) == 0 || skuai_load_32(&posted[1], SKUAI_RELAXED) == 0) {
        how(worker);
        skuai_poll_deliver(&sched.polls, &worker->polled);
        worker->polled.count = 0;
        if (sched.polls.count > 1) /* the other, as if somebody were in this one */
            worker->home = worker->home == world_polls ? &world_polls[1] : world_polls;
    }
}
static void giver(void *arg)
{
    skuai_store_32(&posted[(uintptr_t)arg], 1, SKUAI_RELAXED);
    skuai_env_unpark(&sched.env, &world_pointers[0]->parker);
}
static void give_to_with(sleep_fn *sleeps, uint32_t npollers)
{
    reset_with(npollers, true, npollers);
    posted[0].raw = posted[1].raw = 0;
    how = sleeps;
    mc_thread(token_owner, world_pointers[0]);
    mc_thread(giver, (void *)0);
    mc_thread(giver, (void *)1);
}
static void give_to(sleep_fn *sleeps) { give_to_with(sleeps, 1); }
static void tokens_setup(void) { give_to(sleep_rightly); }
static void tokens_finish(void)
{
    mc_assert(kicks <= 2, "more kicks than tokens");
    mc_assert(are_free(), "who is awake is not in the poller");
    mc_assert(world_polls[0].looked_ns.raw == 0, "nobody looked");
}
MC_TEST(tokens, .setup = tokens_setup, .finish = tokens_finish, .bound = 4, .max_executions = 100000);

/* An event comes in between: the owner sleeps again while a giver is about to kick. */
static void tokens_and_event_setup(void)
{
    tokens_setup();
    mc_thread(sender, NULL);
}
MC_TEST(tokens_and_an_event, .setup = tokens_and_event_setup, .finish = tokens_finish, SEARCH);

/* It sleeps in one and then in the other: who read where it was kicks that one, perhaps late. */
static void tokens_of_two_setup(void) { give_to_with(sleep_rightly, 2); }
MC_TEST(tokens_in_two, .setup = tokens_of_two_setup, .finish = tokens_finish, .bound = 4, .max_executions = 100000);
static void tokens_of_two_event_setup(void)
{
    tokens_of_two_setup();
    mc_thread(sender, NULL);
}
static void tokens_of_two_event_finish(void)
{
    mc_assert(kicks <= 2, "more kicks than tokens");
    mc_assert(are_free(), "who is awake is not in a poller");
}
MC_TEST(tokens_in_two_and_an_event, .setup = tokens_of_two_event_setup, .finish = tokens_of_two_event_finish, SEARCH);

/* The token is a message, also in the poller. */
static int message;
static void taker(void *arg)
{
    struct skuai_worker *worker = arg;
    mc_assert(sleep_rightly(worker), "it was woken, and there is no token");
    mc_assert(SKUAI_READ(message) == 7, "the token came without what was done before it");
}
static void teller(void *arg)
{
    (void)arg;
    SKUAI_WRITE(message, 7);
    skuai_env_unpark(&sched.env, &world_pointers[0]->parker);
}
static void message_setup(void)
{
    reset(1, true);
    message = 0;
    mc_thread(taker, world_pointers[0]);
    mc_thread(teller, NULL);
}
MC_TEST(message_in_the_poller, .setup = message_setup, .bound = MC_UNBOUNDED);

/* The time comes to who sleeps in the poller. */
static void timed(void *arg)
{
    struct skuai_worker *worker = arg;
    bool token = true;
    while (!skuai_poll_sleep(&sched.polls, worker->home, &worker->polled, &worker->parker, world_now + 10, &token))
        skuai_pause();
    mc_assert(!token && worker->polled.count == 0 && world_now >= 1010, "neither a token nor an event, nor the time");
}
static void timed_setup(void)
{
    reset(1, true);
    mc_thread(timed, world_pointers[0]);
}
MC_TEST(time_out, .setup = timed_setup, .bound = MC_UNBOUNDED);

/* ---- known wrong ------------------------------------------------------------------------------------------------ */

static bool take(struct skuai_poll *poll, enum skuai_poll_owner as, uint32_t *seen)
{
    *seen = SKUAI_POLL_FREE;
    return skuai_cas_32(&poll->owner, seen, (uint32_t)as, SKUAI_ACQUIRE);
}
static void give(struct skuai_poll *poll) { skuai_store_32(&poll->owner, SKUAI_POLL_FREE, SKUAI_RELEASE); }

/* K3 left out: who meets a look parks. */
static bool sleep_beside_a_look(struct skuai_worker *worker)
{
    uint32_t seen;
    if (!take(worker->home, SKUAI_POLL_BLOCKED, &seen))
        return skuai_env_park(&sched.env, &worker->parker, SKUA_NEVER);
    give(worker->home);
    return sleep_rightly(worker);
}
static void beside_setup(void) { looks_setup(); how = sleep_beside_a_look; }
MC_TEST_MUST_FAIL(beside_a_look, "all sleep", .setup = beside_setup, .finish = all_is_seen);

/* K8 by a hint: both see the other awake. */
static uint32_t left_by_hint(uint32_t awake, uint32_t were_awake) { (void)awake; return were_awake; }
static void by_hint_setup(void) { crowded_by(left_by_hint, 2); }
MC_TEST_MUST_FAIL(aside_by_a_hint, "all sleep", .setup = by_hint_setup, .finish = all_is_seen);

/* K2 left out: the word says PARKED, so it is woken where it does not sleep. */
static bool sleep_in(struct skuai_worker *worker, uint32_t which, uint32_t as)
{
    bool token = skuai_parker_begin(&worker->parker, as);
    if (!token) {
        hooks.wait(&pollers[which].base, &worker->polled, SKUA_NEVER);
        token = skuai_parker_end(&worker->parker);
    }
    give(&world_polls[which]);
    return token;
}
static bool sleep_as_parked(struct skuai_worker *worker)
{
    uint32_t seen;
    if (!take(worker->home, SKUAI_POLL_BLOCKED, &seen))
        return skuai_env_park(&sched.env, &worker->parker, SKUA_NEVER);
    return sleep_in(worker, 0, SKUAI_PARKER_PARKED);
}
static void as_parked_setup(void) { give_to(sleep_as_parked); }
MC_TEST_MUST_FAIL(as_parked, "a wake-up was lost", .setup = as_parked_setup);

/* What to kick is written before each sleep: whoever gave the last token may be reading it. */
static void wrong_kick(void *kicked, uint32_t which) { (void)kicked; (void)which; kick(&pollers[0].base); }
static bool sleep_writing(struct skuai_worker *worker)
{
    SKUAI_WRITE(worker->parker.kick, wrong_kick);
    SKUAI_WRITE(worker->parker.kicked, &pollers[0]);
    return sleep_rightly(worker);
}
static void writing_setup(void) { tokens_and_event_setup(); how = sleep_writing; }
MC_TEST_MUST_FAIL(writing_each_time, "race", .setup = writing_setup);

/* K5 left out. */
static void begins_only(void *arg)
{
    (void)arg;
    (void)skuai_poll_begin(&sched.polls, &pollers[0].base);
}
static void begins_only_setup(void)
{
    sleepers(1, false);
    mc_thread(begins_only, NULL);
    mc_thread(sender, NULL);
}
MC_TEST_MUST_FAIL(nobody_woken, "all sleep", .setup = begins_only_setup, .finish = all_is_seen);
/* As many are picked as there are pollers, perhaps one twice. */
static void begins_for_picked(void *arg)
{
    begins_only(arg);
    skuai_schedule_wake_one(&sched);
    skuai_schedule_wake_one(&sched);
}
static void begins_for_picked_setup(void)
{
    sleepers_with(2, false, 2);
    mc_thread(begins_for_picked, NULL);
}
MC_TEST_MUST_FAIL(two_picked, "all sleep", .setup = begins_for_picked_setup, .finish = all_is_seen);

/* K2: what the word says is where it sleeps. */
static bool sleep_in_two_as_one(struct skuai_worker *worker)
{
    worker->parker.kick = wrong_kick;
    worker->parker.kicked = &pollers[0];
    return sleep_rightly(worker);
}
static void as_one_setup(void) { give_to_with(sleep_in_two_as_one, 2); }
MC_TEST_MUST_FAIL(kicks_the_first, "a wake-up was lost", .setup = as_one_setup);

/* K6 left out: who finds a sleeper in one poller after the other parks. */
static bool sleep_without_seats(struct skuai_worker *worker)
{
    uint32_t seen, which = (uint32_t)(worker->home - world_polls);
    for (uint32_t i = 0; i < 2; i++, which = 1 - which)
        if (take(&world_polls[which], SKUAI_POLL_BLOCKED, &seen))
            return sleep_in(worker, which, SKUAI_PARKER_POLLING + which);
    return skuai_env_park(&sched.env, &worker->parker, SKUA_NEVER);
}
static void without_seats_setup(void) { moves_by(sleep_without_seats); }
MC_TEST_MUST_FAIL(without_seats, "nobody in the poller", .setup = without_seats_setup, .finish = all_is_seen,
                  .bound = 3, .random = 100000);

/* ---- workers ---------------------------------------------------------------------------------------------------- */

static enum skuai_run run_plain(struct skuai_worker *worker, skua_task *task)
{
    (void)worker;
    mc_assert(runs[task - tasks]++ == 0, "a task ran twice");
    return SKUAI_RUN_SETTLED;
}
static void wake_a_task(unsigned event)
{
    tasks[event].run = run_plain;
    skuai_schedule_woken(&tasks[event]);
}
static void tasks_finish(void)
{
    for (unsigned i = 0; i < sent; i++)
        mc_assert(runs[i] == 1, "all sleep, and a task was left lying");
    world_check_asleep();
    all_is_seen();
}
static void workers_setup(void)
{
    reset(2, true);
    when_delivered = wake_a_task;
    world_start_workers();
    mc_thread(sender, NULL);
    mc_thread(sender, NULL);
}
MC_TEST(workers, .setup = workers_setup, .finish = tasks_finish, FEWER);

static void workers_begin_setup(void)
{
    reset(2, false);
    when_delivered = wake_a_task;
    world_start_workers();
    mc_thread(beginner, NULL);
    mc_thread(sender, NULL);
}
MC_TEST(workers_begin, .setup = workers_begin_setup, .finish = tasks_finish, FEWER);

/* A task from outside, and one of an event. */
static void spawner(void *arg)
{
    (void)arg;
    tasks[3].run = run_plain;
    skuai_schedule_spawned(&sched, NULL, &tasks[3]);
}
static void spawned_finish(void)
{
    mc_assert(runs[3] == 1, "all sleep, and a task was left lying");
    tasks_finish();
}
static void spawned_setup(void)
{
    reset(2, true);
    when_delivered = wake_a_task;
    world_start_workers();
    mc_thread(spawner, NULL);
    mc_thread(sender, NULL);
}
MC_TEST(spawned, .setup = spawned_setup, .finish = spawned_finish, FEWER);

/* P6, K8: the same while it is crowded, or becomes so. */
static void crowded_workers_setup(void)
{
    workers_setup();
    sched.crowd.limit.raw = 1;
}
MC_TEST(crowded_workers, .setup = crowded_workers_setup, .finish = tasks_finish, FEWER);
static void crowd_of_workers_comes_setup(void)
{
    reset(2, true);
    when_delivered = wake_a_task;
    world_start_workers();
    mc_thread(crowder, NULL);
    mc_thread(sender, NULL);
}
MC_TEST(crowd_of_workers_comes, .setup = crowd_of_workers_comes_setup, .finish = tasks_finish, FEWER);
static void crowded_begin_setup(void)
{
    workers_begin_setup();
    sched.crowd.limit.raw = 1;
}
MC_TEST(crowded_begin, .setup = crowded_begin_setup, .finish = tasks_finish, FEWER);
static void crowded_spawned_setup(void)
{
    spawned_setup();
    sched.crowd.limit.raw = 1;
}
MC_TEST(crowded_spawned, .setup = crowded_spawned_setup, .finish = spawned_finish, FEWER);

/* A timer that has been armed, and workers that sleep in the poller and beside it. */
static void timer_setup(void)
{
    reset(2, true);
    skuai_store_64(&sched.timer_next, world_now + 500, SKUAI_RELAXED);
    world_start_workers();
}
static void timer_finish(void)
{
    mc_assert(runs[0] == 1, "all sleep, and a timer was forgotten");
    world_check_asleep();
    all_is_seen();
}
MC_TEST(timer, .setup = timer_setup, .finish = timer_finish, FEWER);

/* As runtime/shutdown.c. */
static void stopper(void *arg)
{
    (void)arg;
    skuai_store_32(&sched.stage, SKUAI_STAGE_STOP, SKUAI_RELAXED);
    for (uint32_t i = 0; i < sched.nworkers; i++)
        skuai_env_unpark(&sched.env, &sched.workers[i]->parker);
}
static void stop_setup(void)
{
    reset(2, true);
    for (uint32_t i = 0; i < sched.nworkers; i++)
        mc_thread_named("worker", skuai_worker_main, world_pointers[i]);
    mc_thread(stopper, NULL);
    mc_thread(sender, NULL);
}
static void stop_finish(void)
{
    mc_assert(skuai_load_32(&sched.stopped, SKUAI_RELAXED) == 2, "both have ended");
    mc_assert(are_free(), "nobody is in a poller");
}
MC_TEST(stop, .setup = stop_setup, .finish = stop_finish, FEWER);

/* ---- two pollers: workers --------------------------------------------------------------------------------------- */

static void two_workers_setup(void)
{
    reset_with(2, true, 2);
    when_delivered = wake_a_task;
    world_start_workers();
    mc_thread(sender, NULL);
    mc_thread(sender_to_second, NULL);
}
MC_TEST(two_workers, .setup = two_workers_setup, .finish = tasks_finish, FEWER);

static void two_workers_begin_setup(void)
{
    reset_with(2, false, 2);
    when_delivered = wake_a_task;
    world_start_workers();
    mc_thread(beginner, NULL);
    mc_thread(sender_to_second, NULL);
}
MC_TEST(two_workers_begin, .setup = two_workers_begin_setup, .finish = tasks_finish, FEWER);

/* Whoever keeps the time, in whichever of the two. */
static void wake_second(unsigned event)
{
    tasks[event + 1].run = run_plain;
    skuai_schedule_woken(&tasks[event + 1]);
}
static void two_timer_setup(void)
{
    reset_with(2, true, 2);
    when_delivered = wake_second;
    skuai_store_64(&sched.timer_next, world_now + 500, SKUAI_RELAXED);
    world_start_workers();
    mc_thread(sender_to_second, NULL);
}
static void two_timer_finish(void)
{
    mc_assert(runs[0] == 1, "all sleep, and a timer was forgotten");
    mc_assert(runs[1] == 1, "all sleep, and a task was left lying");
    world_check_asleep();
    all_is_seen();
}
MC_TEST(two_timer, .setup = two_timer_setup, .finish = two_timer_finish, FEWER);

static void two_stop_setup(void)
{
    reset_with(2, true, 2);
    for (uint32_t i = 0; i < sched.nworkers; i++)
        mc_thread_named("worker", skuai_worker_main, world_pointers[i]);
    mc_thread(stopper, NULL);
    mc_thread(sender_to_second, NULL);
}
MC_TEST(two_stop, .setup = two_stop_setup, .finish = stop_finish, FEWER);

/* K3: who has nothing to do finds what lies where nobody else looks. The second worker computes. */
static void neglected_setup(void)
{
    reset_with(2, true, 2);
    world_now = 1000000;
    when_delivered = wake_a_task;
    pollers[1].kernel.raw = sent = 1;
    world_threads[0] = mc_thread_named("worker", skuai_worker_main, world_pointers[0]);
    mc_allow_blocked(world_threads[0]);
}
static void neglected_finish(void) { mc_assert(runs[0] == 1 && delivered == 1, "nobody looked"); }
MC_TEST(neglected, .setup = neglected_setup, .finish = neglected_finish, FEWER);

/* ---- the guard -------------------------------------------------------------------------------------------------- */

static void computed(unsigned event)
{
    (void)event;
    skuai_store_32(&computing, 1, SKUAI_RELEASE);
    mc_futex_wake(&computing, 1);
}
/* A worker that computes until the event has been delivered. */
static void hog(void *arg)
{
    (void)arg;
    while (skuai_load_32(&computing, SKUAI_ACQUIRE) == 0)
        mc_futex_wait(&computing, 0);
}
static void guard_setup(void)
{
    reset(1, true);
    world_naps = 9;
    when_delivered = computed;
    mc_thread(hog, NULL);
    mc_thread(sender, NULL);
    (void)skuai_guard_start(&sched);
}
static void guard_finish(void) { mc_assert(delivered == sent, "the guard did not look"); }
MC_TEST(guard, .setup = guard_setup, .finish = guard_finish, .stale = 1, .max_executions = 100000, .random = 5000);

/* The other worker computes, and what lies in its deque is not looked at by who goes aside. */
static void lagging_setup(void)
{
    reset(2, true);
    world_naps = 9;
    when_delivered = computed;
    sched.crowd.limit.raw = 1;
    tasks[0].run = run_plain;
    (void)skuai_deque_push(&world_pointers[0]->deque, &tasks[0], SKUAI_SEQ_CST);
    mc_thread(hog, NULL);
    mc_allow_blocked(mc_thread_named("worker", skuai_worker_main, world_pointers[1]));
    mc_thread(sender, NULL);
    (void)skuai_guard_start(&sched);
}
static void lagging_finish(void)
{
    mc_assert(runs[0] == 1, "the guard did not see that it lags");
    guard_finish();
}
MC_TEST(lagging, .setup = lagging_setup, .finish = lagging_finish, .stale = 1, .max_executions = 30000, .random = 5000);

/* One worker sleeps in its home, or on its way there, and the one that is at home where the event comes computes. */
static void guard_of_two_setup(void)
{
    reset_with(2, true, 2);
    world_naps = 9;
    when_delivered = computed;
    mc_thread(hog, NULL);
    mc_allow_blocked(mc_thread_named("worker", skuai_worker_main, world_pointers[0]));
    mc_thread(sender_to_second, NULL);
    (void)skuai_guard_start(&sched);
}
MC_TEST(guard_of_two, .setup = guard_of_two_setup, .finish = guard_finish, .stale = 1, .max_executions = 30000,
        .random = 5000);
