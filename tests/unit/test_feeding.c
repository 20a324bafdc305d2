/* Who is given jobs, and when: on simulated machines, whose time says what was decided (sched/parallel.c, worker.c). */
#include "sched/scheduler.h"
#include "support/with_runtime.h"

#if !defined(SKUAI_NO_HWLOC) /* machines that only hwloc can describe */

static void compute_each(void *us_each, size_t begin, size_t end)
{
    skua_sim_compute((end - begin) * *(uint64_t *)us_each * SKUA_US);
}

/* The loop's work, and what it took. */
struct spent {
    uint64_t work_ns, took_ns, wakes;
};

static uint64_t wakes_so_far(void)
{
    skua_stats stats;
    skua_runtime_stats(skua_runtime_self(), &stats);
    return stats.wakes;
}

static void loop(uint64_t us, struct spent *spent)
{
    uint64_t one = 1, wakes = wakes_so_far(), begin_ns = skua_now();
    CHECK_OK(skua_parallel_for(0, us, compute_each, &one));
    spent->took_ns += skua_now() - begin_ns;
    spent->work_ns += us * SKUA_US;
    spent->wakes += wakes_so_far() - wakes;
}

static int one_loop(void *spent)
{
    CHECK_OK(skua_sleep(SKUA_MS)); /* until all others sleep */
    loop(400, spent);
    return 0;
}

/* A sleeper is woken after 40 to 56 us, has work some 25 us later, and half of the rest is its. Whoever ends first
 * looks for the other's end, now and then. */
TEST(a_loop_wakes_a_sleeper_and_shares_with_it_at_once)
{
    struct spent spent = { .wakes = 0 };
    CHECK_EQ(run_on_machine("core:2 pu:1", test_seed(), one_loop, &spent), 0);
    CHECK_EQ(spent.wakes, 1);
    CHECK(spent.took_ns < (60 + 30 + 165 + 1) * SKUA_US);
}

static int loops_in_a_row(void *spent)
{
    CHECK_OK(skua_sleep(SKUA_MS));
    for (int i = 0; i < 5; i++)
        loop(100, &(struct spent){ .wakes = 0 });
    for (int i = 0; i < 100; i++)
        loop(60, spent);
    return 0;
}

/* Each is over before a sleeper could help, so what counts is that nobody falls asleep in between, and that from the
 * loops before it is known that one will be long enough to share from the start. */
TEST(loops_in_a_row_keep_their_workers_awake)
{
    struct spent spent = { .wakes = 0 };
    CHECK_EQ(run_on_machine("core:2 pu:1", test_seed(), loops_in_a_row, &spent), 0);
    CHECK_EQ(spent.wakes, 0);
    CHECK(spent.took_ns < spent.work_ns * 6 / 10);
}

static int bursts(void *spent)
{
    for (int i = 0; i < 100; i++) {
        CHECK_OK(skua_sleep(200 * SKUA_US));
        loop(20, spent);
    }
    return 0;
}

TEST(short_loops_with_pauses_wake_nobody)
{
    struct spent spent = { .wakes = 0 };
    CHECK_EQ(run_on_machine("core:2 pu:1", test_seed(), bursts, &spent), 0);
    CHECK_EQ(spent.wakes, 0);
    CHECK(spent.took_ns < spent.work_ns * 11 / 10);
}

enum { PIECES = 12 };
static int begun, begun_most;

SKUA_PARALLEL_VOID(piece, uint64_t, us)
{
    uint64_t one = 1;
    begun++;
    begun_most = begun > begun_most ? begun : begun_most;
    CHECK_OK(skua_parallel_for(0, us, compute_each, &one));
    begun--;
}

SKUA_PARALLEL_VOID(pieces, uint64_t, us)
{
    SKUA_FORKED(piece) forked[PIECES];
    for (int i = 0; i < PIECES; i++)
        SKUA_FORK_INTO(forked[i], piece, us);
    for (int i = PIECES; i-- > 0;)
        SKUA_JOIN(piece, forked[i]);
}

static int run_pieces(void *arg)
{
    (void)arg;
    begun_most = 0;
    SKUA_RUN(pieces, 2000);
    CHECK_EQ(begun, 0);
    return 0;
}

/* The token of the others lies in the deque of a worker that has taken a job, and is no task to step aside for. */
TEST(who_has_a_job_begins_no_other)
{
    CHECK_EQ(run_on_machine("core:2 pu:1", test_seed(), run_pieces, NULL), 0);
    CHECK_EQ(begun_most, 2);
    CHECK_EQ(run_on_machine("core:4 pu:1", test_seed(), run_pieces, NULL), 0);
    CHECK_EQ(begun_most, 4);
}

#else
TEST(machines) { TEST_SKIP("built without hwloc"); }
#endif
