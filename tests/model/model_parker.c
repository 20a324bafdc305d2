/* Parking (sched/parker.h) with the checker's futex: a token that was given is never lost, and whoever takes it sees
 * what its giver did before. Sleeps that end by themselves are included: the real ones have deadlines and stray
 * wake-ups.
 */
#include <string.h>

#include "model/mc.h"
#include "sched/parker.h"

enum { GIVERS = 2 };

static struct skuai_parker parker;
static skua_word32 posted[GIVERS]; /* what the givers do before they give */
static int message;                /* plain: the only giver's */
static unsigned wakes, tokens;

/* As parker_futex.c, with and without a deadline. */
static bool park(void)
{
    if (skuai_parker_begin(&parker, SKUAI_PARKER_PARKED))
        return true;
    mc_futex_wait(&parker.token, SKUAI_PARKER_PARKED);
    return skuai_parker_end(&parker);
}
static bool park_timed(void)
{
    if (skuai_parker_begin(&parker, SKUAI_PARKER_PARKED))
        return true;
    mc_futex_wait_timed(&parker.token, SKUAI_PARKER_PARKED);
    return skuai_parker_end(&parker);
}
static void unpark(void)
{
    if (skuai_parker_give(&parker) == SKUAI_PARKER_PARKED) {
        wakes++;
        mc_futex_wake(&parker.token, 1);
    }
}

static bool all_posted(void)
{
    for (int i = 0; i < GIVERS; i++)
        if (skuai_load_32(&posted[i], SKUAI_RELAXED) == 0)
            return false;
    return true;
}

static void owner(void *arg)
{
    (void)arg;
    while (!all_posted())
        tokens += park();
}
/* Some of its sleeps end early: the loop goes on, and nothing is lost by it. */
static void hasty_owner(void *arg)
{
    (void)arg;
    for (int early = 0; !all_posted();) {
        if (early < 2 && mc_choose(2) == 1) {
            early++;
            tokens += park_timed();
        } else {
            tokens += park();
        }
    }
}
static void giver(void *arg)
{
    skuai_store_32(&posted[(uintptr_t)arg], 1, SKUAI_RELAXED);
    unpark();
}
static void twice_giver(void *arg)
{
    (void)arg;
    for (int i = 0; i < GIVERS; i++) {
        skuai_store_32(&posted[i], 1, SKUAI_RELAXED);
        unpark();
    }
}

static void reset(void)
{
    memset(&parker, 0, sizeof parker);
    memset(posted, 0, sizeof posted);
    message = 0;
    wakes = tokens = 0;
    mc_name(&parker.token, "token");
    mc_name(&posted[0], "posted 0");
    mc_name(&posted[1], "posted 1");
}

static void finish(void)
{
    uint32_t left = skuai_load_32(&parker.token, SKUAI_RELAXED);
    mc_assert(left != SKUAI_PARKER_PARKED, "an owner that is awake is not parked");
    mc_assert(tokens + (left == SKUAI_PARKER_TOKEN) <= GIVERS, "more tokens than were given");
    mc_assert(wakes <= GIVERS, "more wakes than tokens");
}

static void two_givers(void (*who)(void *))
{
    reset();
    mc_thread_named("owner", who, NULL);
    mc_thread(giver, (void *)0);
    mc_thread(giver, (void *)1);
}
static void givers_setup(void) { two_givers(owner); }
static void hasty_setup(void) { two_givers(hasty_owner); }
static void in_a_row_setup(void) { reset(); mc_thread(owner, NULL); mc_thread(twice_giver, NULL); }
static void hasty_in_a_row_setup(void) { reset(); mc_thread(hasty_owner, NULL); mc_thread(twice_giver, NULL); }
MC_TEST(givers, .setup = givers_setup, .finish = finish, .bound = 4);
MC_TEST(hasty, .setup = hasty_setup, .finish = finish);
MC_TEST(in_a_row, .setup = in_a_row_setup, .finish = finish, .bound = MC_UNBOUNDED);
MC_TEST(hasty_in_a_row, .setup = hasty_in_a_row_setup, .finish = finish, .bound = 4);

/* A token is a message by itself, however it was taken: before the sleep, in begin's two ways, or after it. */
static void taker(void *arg)
{
    (void)arg;
    while (!(mc_choose(2) ? park_timed() : park()))
        skuai_pause();
    mc_assert(SKUAI_READ(message) == 7, "the token came without what was done before it");
}
static void sender(void *arg) { (void)arg; SKUAI_WRITE(message, 7); unpark(); }
static void message_setup(void) { reset(); mc_thread(taker, NULL); mc_thread(sender, NULL); }
MC_TEST(message, .setup = message_setup, .bound = MC_UNBOUNDED);

/* Known wrong: begin takes the token with a store, and one given since its look goes unseen. */
static bool storing_park(void)
{
    uint32_t seen = SKUAI_PARKER_EMPTY;
    if (skuai_cas_32(&parker.token, &seen, SKUAI_PARKER_PARKED, SKUAI_ACQUIRE)) {
        mc_futex_wait(&parker.token, SKUAI_PARKER_PARKED);
        return skuai_parker_end(&parker);
    }
    skuai_store_32(&parker.token, SKUAI_PARKER_EMPTY, SKUAI_RELAXED);
    return true;
}
static void storing_owner(void *arg)
{
    (void)arg;
    while (!all_posted())
        storing_park();
}
static void storing_setup(void) { two_givers(storing_owner); }
MC_TEST_MUST_FAIL(storing, "a wake-up was lost", .setup = storing_setup);
