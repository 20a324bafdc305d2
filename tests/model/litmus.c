/* The checker checked: outcomes that C11 allows must be reached, outcomes that it forbids must not, and each kind of
 * bug must be found. Names of shapes: Maranget et al., "A Tutorial Introduction to the ARM and POWER Relaxed Memory
 * Models"; SB store buffering, MP message passing, IRIW independent reads of independent writes.
 */
#include "model/mc.h"

enum { LOCALS = 6 };

static skua_word32 x, y, z;
static uint32_t plain, got[LOCALS];

static void reset(void)
{
    x = y = z = (skua_word32){0};
    plain = 0;
    for (int i = 0; i < LOCALS; i++)
        got[i] = 99;
    mc_name(&x, "x");
    mc_name(&y, "y");
    mc_name(&z, "z");
    mc_name(&plain, "plain");
}

#define THREAD(name) static void name(void *unused __attribute__((unused)))
/* Setup: these threads. */
#define THREADS_OF(test, ...)                                                                 \
    static void test##_setup(void)                                                            \
    {                                                                                         \
        static void (*const fns[])(void *) = {__VA_ARGS__};                                   \
        reset();                                                                              \
        for (size_t i = 0; i < sizeof fns / sizeof fns[0]; i++)                               \
            mc_thread_named("thread", fns[i], NULL);                                          \
    }
#define WEAK_IF(test, outcome) \
    static void test##_finish(void) { mc_assert(!(outcome), "the outcome"); }
#define FORBIDDEN(test) MC_TEST(test, .setup = test##_setup, .finish = test##_finish, .bound = MC_UNBOUNDED)
#define REACHABLE(test) \
    MC_TEST_MUST_FAIL(test, "the outcome", .setup = test##_setup, .finish = test##_finish, .random = -1)

/* ---- SB ---- */

#define SB(test, store_order, between, load_order)              \
    THREAD(test##_1)                                            \
    {                                                           \
        skuai_store_32(&x, 1, store_order);                     \
        between;                                                \
        got[0] = skuai_load_32(&y, load_order);                 \
    }                                                           \
    THREAD(test##_2)                                            \
    {                                                           \
        skuai_store_32(&y, 1, store_order);                     \
        between;                                                \
        got[1] = skuai_load_32(&x, load_order);                 \
    }                                                           \
    THREADS_OF(test, test##_1, test##_2)                        \
    WEAK_IF(test, got[0] == 0 && got[1] == 0)

SB(sb_relaxed, SKUAI_RELAXED, , SKUAI_RELAXED)
REACHABLE(sb_relaxed);
SB(sb_release_acquire, SKUAI_RELEASE, , SKUAI_ACQUIRE)
REACHABLE(sb_release_acquire);
SB(sb_seq_cst, SKUAI_SEQ_CST, , SKUAI_SEQ_CST)
FORBIDDEN(sb_seq_cst);
SB(sb_fences, SKUAI_RELAXED, skuai_fence(SKUAI_SEQ_CST), SKUAI_RELAXED)
FORBIDDEN(sb_fences);
SB(sb_weak_fences, SKUAI_RELAXED, skuai_fence(SKUAI_ACQ_REL), SKUAI_RELAXED)
REACHABLE(sb_weak_fences);
SB(sb_store_not_seq_cst, SKUAI_RELEASE, , SKUAI_SEQ_CST)
REACHABLE(sb_store_not_seq_cst);
SB(sb_load_not_seq_cst, SKUAI_SEQ_CST, , SKUAI_ACQUIRE)
REACHABLE(sb_load_not_seq_cst);

#define SB_RMW(test, order, load_order)                                          \
    THREAD(test##_1)                                                             \
    {                                                                            \
        skuai_exchange_32(&x, 1, order);                                         \
        got[0] = skuai_load_32(&y, load_order);                                  \
    }                                                                            \
    THREAD(test##_2)                                                             \
    {                                                                            \
        skuai_add_32(&y, 1, order);                                              \
        got[1] = skuai_load_32(&x, load_order);                                  \
    }                                                                            \
    THREADS_OF(test, test##_1, test##_2)                                         \
    WEAK_IF(test, got[0] == 0 && got[1] == 0)

SB_RMW(sb_rmw_seq_cst, SKUAI_SEQ_CST, SKUAI_SEQ_CST)
FORBIDDEN(sb_rmw_seq_cst);
SB_RMW(sb_rmw_acq_rel, SKUAI_ACQ_REL, SKUAI_SEQ_CST)
REACHABLE(sb_rmw_acq_rel);
SB_RMW(sb_rmw_then_relaxed, SKUAI_SEQ_CST, SKUAI_RELAXED) /* a seq_cst RMW is not a fence */
REACHABLE(sb_rmw_then_relaxed);

/* One side does without: the other has a fence for both. */
#define SB_ONE_SIDED(test, barrier)                                                    \
    THREAD(test##_1)                                                                   \
    {                                                                                  \
        skuai_store_32(&x, 1, SKUAI_RELAXED);                                          \
        got[0] = skuai_load_32(&y, SKUAI_RELAXED);                                     \
    }                                                                                  \
    THREAD(test##_2)                                                                   \
    {                                                                                  \
        skuai_store_32(&y, 1, SKUAI_RELAXED);                                          \
        barrier;                                                                       \
        got[1] = skuai_load_32(&x, SKUAI_RELAXED);                                     \
    }                                                                                  \
    THREADS_OF(test, test##_1, test##_2)                                               \
    WEAK_IF(test, got[0] == 0 && got[1] == 0)

SB_ONE_SIDED(sb_barrier_everywhere, mc_barrier_everywhere())
FORBIDDEN(sb_barrier_everywhere);
SB_ONE_SIDED(sb_one_fence, skuai_fence(SKUAI_SEQ_CST))
REACHABLE(sb_one_fence);

/* One side a fence, the other seq_cst accesses. */
THREAD(sb_mixed_1)
{
    skuai_store_32(&x, 1, SKUAI_RELAXED);
    skuai_fence(SKUAI_SEQ_CST);
    got[0] = skuai_load_32(&y, SKUAI_RELAXED);
}
THREAD(sb_mixed_2)
{
    skuai_store_32(&y, 1, SKUAI_SEQ_CST);
    got[1] = skuai_load_32(&x, SKUAI_SEQ_CST);
}
THREADS_OF(sb_mixed, sb_mixed_1, sb_mixed_2)
WEAK_IF(sb_mixed, got[0] == 0 && got[1] == 0)
FORBIDDEN(sb_mixed);

/* Both sides RMWs of one word and a release sequence: "the second exchange sees the first" needs no seq_cst. */
THREAD(sb_one_word_1)
{
    skuai_store_32(&x, 1, SKUAI_RELAXED);
    skuai_add_32(&z, 1, SKUAI_ACQ_REL);
    got[0] = skuai_load_32(&y, SKUAI_RELAXED);
}
THREAD(sb_one_word_2)
{
    skuai_store_32(&y, 1, SKUAI_RELAXED);
    skuai_add_32(&z, 1, SKUAI_ACQ_REL);
    got[1] = skuai_load_32(&x, SKUAI_RELAXED);
}
THREADS_OF(sb_one_word, sb_one_word_1, sb_one_word_2)
WEAK_IF(sb_one_word, got[0] == 0 && got[1] == 0)
FORBIDDEN(sb_one_word);

/* ---- MP ---- */

#define MP(test, before_store, store_order, load_order, after_load) \
    THREAD(test##_1)                                                \
    {                                                               \
        SKUAI_WRITE(plain, 7);                                      \
        before_store;                                               \
        skuai_store_32(&x, 1, store_order);                         \
    }                                                               \
    THREAD(test##_2)                                                \
    {                                                               \
        if (skuai_load_32(&x, load_order) != 1)                     \
            return;                                                 \
        after_load;                                                 \
        mc_assert(SKUAI_READ(plain) == 7, "the message");           \
    }                                                               \
    THREADS_OF(test, test##_1, test##_2)

MP(mp_release_acquire, , SKUAI_RELEASE, SKUAI_ACQUIRE, )
MC_TEST(mp_release_acquire, .setup = mp_release_acquire_setup, .bound = MC_UNBOUNDED);
MP(mp_relaxed_store, , SKUAI_RELAXED, SKUAI_ACQUIRE, )
MC_TEST_MUST_FAIL(mp_relaxed_store, "race", .setup = mp_relaxed_store_setup);
MP(mp_relaxed_load, , SKUAI_RELEASE, SKUAI_RELAXED, )
MC_TEST_MUST_FAIL(mp_relaxed_load, "race", .setup = mp_relaxed_load_setup);
MP(mp_fences, skuai_fence(SKUAI_RELEASE), SKUAI_RELAXED, SKUAI_RELAXED, skuai_fence(SKUAI_ACQUIRE))
MC_TEST(mp_fences, .setup = mp_fences_setup, .bound = MC_UNBOUNDED);
MP(mp_no_acquire_fence, skuai_fence(SKUAI_RELEASE), SKUAI_RELAXED, SKUAI_RELAXED, skuai_fence(SKUAI_RELEASE))
MC_TEST_MUST_FAIL(mp_no_acquire_fence, "race", .setup = mp_no_acquire_fence_setup);

/* A stale atomic, not plain data. */
THREAD(mp_atomic_1)
{
    skuai_store_32(&y, 1, SKUAI_RELAXED);
    skuai_store_32(&x, 1, SKUAI_RELAXED);
}
THREAD(mp_atomic_2)
{
    got[0] = skuai_load_32(&x, SKUAI_ACQUIRE);
    got[1] = skuai_load_32(&y, SKUAI_RELAXED);
}
THREADS_OF(mp_atomic, mp_atomic_1, mp_atomic_2)
WEAK_IF(mp_atomic, got[0] == 1 && got[1] == 0)
REACHABLE(mp_atomic);

/* Through a third thread. */
THREAD(wrc_1) { skuai_store_32(&y, 1, SKUAI_RELAXED); }
THREAD(wrc_2)
{
    if (skuai_load_32(&y, SKUAI_RELAXED) == 1)
        skuai_store_32(&x, 1, SKUAI_RELEASE);
}
THREADS_OF(wrc, wrc_1, wrc_2, mp_atomic_2)
WEAK_IF(wrc, got[0] == 1 && got[1] == 0)
FORBIDDEN(wrc);

/* ---- IRIW ---- */

#define IRIW(test, store_order, load_order, between)                                   \
    THREAD(test##_1) { skuai_store_32(&x, 1, store_order); }                           \
    THREAD(test##_2) { skuai_store_32(&y, 1, store_order); }                           \
    THREAD(test##_3)                                                                   \
    {                                                                                  \
        got[0] = skuai_load_32(&x, load_order);                                        \
        between;                                                                       \
        got[1] = skuai_load_32(&y, load_order);                                        \
    }                                                                                  \
    THREAD(test##_4)                                                                   \
    {                                                                                  \
        got[2] = skuai_load_32(&y, load_order);                                        \
        between;                                                                       \
        got[3] = skuai_load_32(&x, load_order);                                        \
    }                                                                                  \
    THREADS_OF(test, test##_1, test##_2, test##_3, test##_4)                           \
    WEAK_IF(test, got[0] == 1 && got[1] == 0 && got[2] == 1 && got[3] == 0)

IRIW(iriw_acquire, SKUAI_RELEASE, SKUAI_ACQUIRE, )
REACHABLE(iriw_acquire);
IRIW(iriw_seq_cst, SKUAI_SEQ_CST, SKUAI_SEQ_CST, )
FORBIDDEN(iriw_seq_cst);
IRIW(iriw_fences, SKUAI_RELAXED, SKUAI_RELAXED, skuai_fence(SKUAI_SEQ_CST))
FORBIDDEN(iriw_fences);

/* ---- coherence, atomicity ---- */

THREAD(coherence_1) { skuai_store_32(&x, 1, SKUAI_RELAXED); skuai_store_32(&x, 2, SKUAI_RELAXED); }
THREAD(coherence_2)
{
    got[0] = skuai_load_32(&x, SKUAI_RELAXED);
    got[1] = skuai_load_32(&x, SKUAI_RELAXED);
    mc_assert(got[0] <= got[1], "a load went backwards");
}
THREADS_OF(coherence, coherence_1, coherence_2)
MC_TEST(coherence, .setup = coherence_setup, .bound = MC_UNBOUNDED);

/* Two readers agree on the order of two writers' stores, wherever these went. */
THREAD(corr_1) { skuai_store_32(&x, 1, SKUAI_RELAXED); }
THREAD(corr_2) { skuai_store_32(&x, 2, SKUAI_RELAXED); }
THREAD(corr_3) { got[0] = skuai_load_32(&x, SKUAI_RELAXED); got[1] = skuai_load_32(&x, SKUAI_RELAXED); }
THREAD(corr_4) { got[2] = skuai_load_32(&x, SKUAI_RELAXED); got[3] = skuai_load_32(&x, SKUAI_RELAXED); }
THREADS_OF(corr, corr_1, corr_2, corr_3, corr_4)
WEAK_IF(corr, got[0] == 1 && got[1] == 2 && got[2] == 2 && got[3] == 1)
MC_TEST(corr, .setup = corr_setup, .finish = corr_finish, .bound = MC_UNBOUNDED, .reorder_stores = true);

THREAD(adder) { skuai_add_32(&x, 1, SKUAI_RELAXED); skuai_add_32(&x, 1, SKUAI_RELAXED); }
static void rmw_finish(void) { mc_assert(skuai_load_32(&x, SKUAI_RELAXED) == 4, "an addition was lost"); }
THREADS_OF(rmw, adder, adder)
MC_TEST(rmw, .setup = rmw_setup, .finish = rmw_finish, .bound = MC_UNBOUNDED);
MC_TEST(rmw_reorder_stores, .setup = rmw_setup, .finish = rmw_finish, .bound = MC_UNBOUNDED, .reorder_stores = true);

THREAD(split_adder)
{
    uint32_t old = skuai_load_32(&x, SKUAI_SEQ_CST);
    skuai_store_32(&x, old + 2, SKUAI_SEQ_CST);
}
THREADS_OF(split_rmw, split_adder, split_adder)
MC_TEST_MUST_FAIL(split_rmw, "an addition was lost", .setup = split_rmw_setup, .finish = rmw_finish);

THREAD(cas_adder)
{
    uint32_t seen = skuai_load_32(&x, SKUAI_RELAXED);
    while (!skuai_cas_32(&x, &seen, seen + 2, SKUAI_RELAXED))
        ;
}
THREADS_OF(cas_loop, cas_adder, cas_adder)
MC_TEST(cas_loop, .setup = cas_loop_setup, .finish = rmw_finish, .bound = MC_UNBOUNDED);

/* A strong compare-exchange may still fail on an old value. */
THREAD(cas_stale_1) { skuai_store_32(&x, 1, SKUAI_RELAXED); skuai_store_32(&y, 1, SKUAI_RELAXED); }
THREAD(cas_stale_2)
{
    uint32_t seen = 1;
    got[0] = skuai_load_32(&y, SKUAI_RELAXED);
    got[1] = skuai_cas_32(&x, &seen, 2, SKUAI_RELAXED);
}
THREADS_OF(cas_stale, cas_stale_1, cas_stale_2)
WEAK_IF(cas_stale, got[0] == 1 && got[1] == 0)
REACHABLE(cas_stale);

/* ---- modification order ---- */

#define TWO_PLUS_TWO(test, order)                                                                       \
    THREAD(test##_1) { skuai_store_32(&x, 1, order); skuai_store_32(&y, 2, order); }                    \
    THREAD(test##_2) { skuai_store_32(&y, 1, order); skuai_store_32(&x, 2, order); }                    \
    THREADS_OF(test, test##_1, test##_2)                                                                \
    WEAK_IF(test, skuai_load_32(&x, SKUAI_RELAXED) == 1 && skuai_load_32(&y, SKUAI_RELAXED) == 1)

TWO_PLUS_TWO(two_plus_two_release, SKUAI_RELEASE)
MC_TEST_MUST_FAIL(two_plus_two_release, "the outcome", .setup = two_plus_two_release_setup,
                  .finish = two_plus_two_release_finish, .reorder_stores = true);
TWO_PLUS_TWO(two_plus_two_seq_cst, SKUAI_SEQ_CST)
MC_TEST(two_plus_two_seq_cst, .setup = two_plus_two_seq_cst_setup, .finish = two_plus_two_seq_cst_finish,
        .bound = MC_UNBOUNDED, .reorder_stores = true);

/* ---- release sequences ---- */

THREAD(sequence_head) { SKUAI_WRITE(plain, 7); skuai_store_32(&x, 1, SKUAI_RELEASE); }
THREAD(sequence_rmw) { skuai_add_32(&x, 10, SKUAI_RELAXED); }
THREAD(sequence_reader)
{
    uint32_t seen = skuai_load_32(&x, SKUAI_ACQUIRE);
    if (seen == 11 || seen == 1)
        mc_assert(SKUAI_READ(plain) == 7, "the message");
}
THREADS_OF(sequence_through_rmw, sequence_head, sequence_rmw, sequence_reader)
MC_TEST(sequence_through_rmw, .setup = sequence_through_rmw_setup, .bound = MC_UNBOUNDED);

THREAD(sequence_broken)
{
    SKUAI_WRITE(plain, 7);
    skuai_store_32(&x, 1, SKUAI_RELEASE);
    skuai_store_32(&x, 11, SKUAI_RELAXED); /* C11 carried the sequence on, C++20 does not */
}
THREADS_OF(sequence_through_store, sequence_broken, sequence_reader)
MC_TEST_MUST_FAIL(sequence_through_store, "race", .setup = sequence_through_store_setup);

THREAD(overwriter) { skuai_store_32(&x, 11, SKUAI_RELAXED); }
THREADS_OF(sequence_other_store, sequence_head, overwriter, sequence_reader)
MC_TEST_MUST_FAIL(sequence_other_store, "race", .setup = sequence_other_store_setup);

/* ---- blocking ---- */

THREAD(sleeper)
{
    while (skuai_load_32(&x, SKUAI_ACQUIRE) == 0)
        mc_futex_wait(&x, 0);
}
THREAD(waker) { skuai_store_32(&x, 1, SKUAI_RELEASE); mc_futex_wake(&x, 1); }
THREADS_OF(futex, sleeper, waker)
MC_TEST(futex, .setup = futex_setup, .bound = MC_UNBOUNDED);

/* Two sleepers and one wake. */
THREADS_OF(lost_wake, sleeper, sleeper, waker)
MC_TEST_MUST_FAIL(lost_wake, "a wake-up was lost", .setup = lost_wake_setup);

/* The flag is looked at before the sleeping word is set. */
THREAD(early_sleeper)
{
    if (skuai_load_32(&x, SKUAI_SEQ_CST) == 1)
        return;
    skuai_store_32(&y, 1, SKUAI_SEQ_CST);
    mc_futex_wait(&y, 1);
}
THREAD(late_waker)
{
    skuai_store_32(&x, 1, SKUAI_SEQ_CST);
    if (skuai_exchange_32(&y, 0, SKUAI_SEQ_CST) == 1)
        mc_futex_wake(&y, 1);
}
THREADS_OF(lost_check, early_sleeper, late_waker)
MC_TEST_MUST_FAIL(lost_check, "a wake-up was lost", .setup = lost_check_setup);

THREAD(timed_sleeper) { got[0] = mc_futex_wait_timed(&x, 0); }
THREADS_OF(timed, timed_sleeper)
WEAK_IF(timed, got[0] != 0)
FORBIDDEN(timed);

static void parked_setup(void) { reset(); mc_allow_blocked(mc_thread(sleeper, NULL)); }
static void parked_finish(void) { mc_assert(mc_is_blocked(1), "it sleeps"); }
MC_TEST(parked, .setup = parked_setup, .finish = parked_finish, .bound = MC_UNBOUNDED);

/* ---- spinning ---- */

THREAD(locker)
{
    while (skuai_load_32(&x, SKUAI_RELAXED) != 0 || skuai_exchange_32(&x, 1, SKUAI_ACQUIRE) != 0)
        skuai_pause();
    SKUAI_WRITE(plain, SKUAI_READ(plain) + 1);
    skuai_store_32(&x, 0, SKUAI_RELEASE);
}
static void spin_lock_finish(void) { mc_assert(SKUAI_READ(plain) == 3, "three sections"); }
THREADS_OF(spin_lock, locker, locker, locker)
MC_TEST(spin_lock, .setup = spin_lock_setup, .finish = spin_lock_finish);

THREAD(relaxed_locker)
{
    while (skuai_exchange_32(&x, 1, SKUAI_RELAXED) != 0)
        skuai_pause();
    SKUAI_WRITE(plain, SKUAI_READ(plain) + 1);
    skuai_store_32(&x, 0, SKUAI_RELEASE);
}
THREADS_OF(spin_lock_relaxed, relaxed_locker, relaxed_locker)
MC_TEST_MUST_FAIL(spin_lock_relaxed, "race", .setup = spin_lock_relaxed_setup);

/* Waits for a store that is never made visible by anything but time. */
THREAD(spinner)
{
    while (skuai_load_32(&x, SKUAI_RELAXED) == 0)
        skuai_pause();
}
THREAD(setter) { skuai_store_32(&x, 1, SKUAI_RELAXED); }
THREADS_OF(spin_flag, spinner, spinner, setter)
MC_TEST(spin_flag, .setup = spin_flag_setup, .bound = MC_UNBOUNDED);

THREADS_OF(spin_for_ever, spinner, spinner)
MC_TEST_MUST_FAIL(spin_for_ever, "livelock", .setup = spin_for_ever_setup);

/* ---- memory that goes ---- */

static struct node { skua_word32 word; uint32_t data; } node;

/* A reference count: each user reads, then drops its reference, and the last one frees. */
#define REFCOUNT(test, order)                                                           \
    THREAD(test##_user)                                                                 \
    {                                                                                   \
        (void)SKUAI_READ(node.data);                                                    \
        if (skuai_sub_32(&node.word, 1, order) == 1)                                    \
            mc_free(&node, sizeof node);                                                \
    }                                                                                   \
    static void test##_setup(void)                                                      \
    {                                                                                   \
        reset();                                                                        \
        node = (struct node){.word = {2}};                                              \
        mc_alloc(&node, sizeof node);                                                   \
        mc_thread(test##_user, NULL);                                                   \
        mc_thread(test##_user, NULL);                                                   \
    }

REFCOUNT(refcount, SKUAI_ACQ_REL)
MC_TEST(refcount, .setup = refcount_setup, .bound = MC_UNBOUNDED);
REFCOUNT(refcount_release_only, SKUAI_RELEASE)
MC_TEST_MUST_FAIL(refcount_release_only, "does not happen before this free", .setup = refcount_release_only_setup);

THREAD(late_user) { skuai_add_32(&node.word, 1, SKUAI_ACQ_REL); }
THREAD(freer) { mc_free(&node, sizeof node); }
static void use_after_free_setup(void)
{
    reset();
    node = (struct node){.word = {0}};
    mc_thread(late_user, NULL);
    mc_thread(freer, NULL);
}
MC_TEST_MUST_FAIL(use_after_free, "use after free", .setup = use_after_free_setup);

/* Freed, reused and published with a release: the old life's values are gone. */
THREAD(reuser)
{
    skuai_store_32(&node.word, 5, SKUAI_RELAXED);
    mc_free(&node, sizeof node);
    mc_alloc(&node, sizeof node);
    node.word.raw = 8;
    skuai_store_32(&x, 1, SKUAI_RELEASE);
}
#define REUSE_READER(name, order)                                                             \
    THREAD(name)                                                                              \
    {                                                                                         \
        if (skuai_load_32(&x, order) == 1)                                                    \
            mc_assert(skuai_load_32(&node.word, SKUAI_RELAXED) == 8, "the new life's value"); \
    }
REUSE_READER(reuse_reader, SKUAI_ACQUIRE)
REUSE_READER(reuse_early_reader, SKUAI_RELAXED)
THREADS_OF(reuse, reuser, reuse_reader)
MC_TEST(reuse, .setup = reuse_setup, .bound = MC_UNBOUNDED);
THREADS_OF(reuse_early, reuser, reuse_early_reader)
MC_TEST_MUST_FAIL(reuse_early, "not yet visible", .setup = reuse_early_setup);

/* ---- the Chase-Lev trap ---- */

/* Chase and Lev's deque after Lê et al. (PPoPP 2013), with every order on the access itself. The owner's stores to
 * `bottom` in take must be releases like push's: a thief may read the value that take stored, and a relaxed store heads
 * no release sequence, so the thief would not see the slots below it. */
static struct { skua_word64 top, bottom; skua_word32 slots[4]; uint32_t taken[8]; } deque;

static void deque_push(uint32_t item)
{
    uint64_t bottom = skuai_load_64(&deque.bottom, SKUAI_RELAXED);
    skuai_store_32(&deque.slots[bottom & 3], item, SKUAI_RELAXED);
    skuai_store_64(&deque.bottom, bottom + 1, SKUAI_RELEASE);
}

static uint32_t deque_take(enum skuai_order settle, enum skuai_order fence)
{
    uint64_t bottom = skuai_load_64(&deque.bottom, SKUAI_RELAXED) - 1;
    skuai_store_64(&deque.bottom, bottom, settle);
    skuai_fence(fence);
    uint64_t top = skuai_load_64(&deque.top, SKUAI_RELAXED);
    uint32_t item = 0;
    if ((int64_t)top <= (int64_t)bottom) {
        item = skuai_load_32(&deque.slots[bottom & 3], SKUAI_RELAXED);
        if (top != bottom)
            return item;
        if (!skuai_cas_64(&deque.top, &top, top + 1, SKUAI_SEQ_CST))
            item = 0;
    }
    skuai_store_64(&deque.bottom, bottom + 1, settle);
    return item;
}

THREAD(deque_thief)
{
    for (int i = 0; i < 2; i++) {
        uint64_t top = skuai_load_64(&deque.top, SKUAI_ACQUIRE);
        skuai_fence(SKUAI_SEQ_CST);
        uint64_t bottom = skuai_load_64(&deque.bottom, SKUAI_ACQUIRE);
        if ((int64_t)top >= (int64_t)bottom)
            continue;
        uint32_t item = skuai_load_32(&deque.slots[top & 3], SKUAI_RELAXED);
        if (skuai_cas_64(&deque.top, &top, top + 1, SKUAI_SEQ_CST)) {
            mc_assert(item != 0, "a thief read a stale slot");
            mc_assert(deque.taken[item]++ == 0, "an item was taken twice");
        }
    }
}

#define CHASE_LEV(test, settle, fence)                                                     \
    THREAD(test##_owner)                                                                   \
    {                                                                                      \
        deque_push(1);                                                                     \
        deque_push(2);                                                                     \
        for (int i = 0; i < 2; i++) {                                                      \
            uint32_t item = deque_take(settle, fence);                                     \
            if (item != 0)                                                                 \
                mc_assert(deque.taken[item]++ == 0, "an item was taken twice");            \
        }                                                                                  \
        deque_push(3);                                                                     \
    }                                                                                      \
    static void test##_setup(void)                                                         \
    {                                                                                      \
        __builtin_memset(&deque, 0, sizeof deque);                                         \
        mc_name(&deque.top, "top");                                                        \
        mc_name(&deque.bottom, "bottom");                                                  \
        for (int i = 0; i < 4; i++)                                                        \
            mc_name(&deque.slots[i], "slot %d", i);                                        \
        mc_thread(test##_owner, NULL);                                                     \
        mc_thread(deque_thief, NULL);                                                      \
    }

CHASE_LEV(chase_lev, SKUAI_RELEASE, SKUAI_SEQ_CST)
MC_TEST(chase_lev, .setup = chase_lev_setup, .bound = 3);
CHASE_LEV(chase_lev_relaxed_bottom, SKUAI_RELAXED, SKUAI_SEQ_CST)
MC_TEST_MUST_FAIL(chase_lev_relaxed_bottom, "a thief read a stale slot", .setup = chase_lev_relaxed_bottom_setup);
CHASE_LEV(chase_lev_weak_fence, SKUAI_RELEASE, SKUAI_ACQ_REL)
MC_TEST_MUST_FAIL(chase_lev_weak_fence, "an item was taken twice", .setup = chase_lev_weak_fence_setup);

/* ---- choices, assertions ---- */

THREAD(chooser)
{
    unsigned a = mc_choose(3), b = mc_choose(4);
    mc_assert(!(a == 2 && b == 3), "the last of all choices");
}
THREADS_OF(choices, chooser)
MC_TEST_MUST_FAIL(choices, "the last of all choices", .setup = choices_setup);

THREAD(crasher) { __builtin_abort(); }
THREADS_OF(crash, crasher)
MC_TEST_MUST_FAIL(crash, "aborted", .setup = crash_setup);
