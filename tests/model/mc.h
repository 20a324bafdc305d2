/* The model checker, as a test of a lock-free protocol sees it. How to write one: tests/model/README.md.
 *
 *     static struct skuai_deque deque;
 *     static void owner(void *arg) { ... skuai_deque_push(...); mc_assert(...); }
 *     static void setup(void) { memset(&deque, 0, sizeof deque); mc_thread(owner, NULL); mc_thread(thief, NULL); }
 *     static void finish(void) { mc_assert(taken == 3, "an item was lost"); }
 *     MC_TEST(one_thief, .setup = setup, .finish = finish);
 *
 * Each execution runs setup, then all threads to their ends, then finish. State is static and setup resets all of it:
 * an execution that fails is simply dropped, wherever its threads are.
 */
#ifndef SKUA_MODEL_MC_H
#define SKUA_MODEL_MC_H

#include <stddef.h>

#include "sched/atomic.h"

struct mc_test {
    const char *name;
    void (*setup)(void);    /* creates the threads; its stores are visible to all of them */
    void (*finish)(void);   /* may be NULL; runs when all threads have ended, and sees everything */
    const char *must_fail;  /* a part of the failure that must be found */
    int bound;              /* preemptions of the depth-first search; 0 means 2, MC_UNBOUNDED none */
    int stale;              /* how many loads of an execution may return old values; 0 means any number */
    long max_executions;    /* of the depth-first search; 0 means one million */
    long random;            /* random runs, and as many of the priority kind; 0 means 5000, -1 none */
    unsigned max_steps;     /* of an execution, more is a livelock; 0 means 4000 */
    bool reorder_stores;    /* also let stores go before other threads' earlier ones in modification order */
    struct mc_test *next;
};
enum { MC_UNBOUNDED = 1000000 };

void mc_register(struct mc_test *test);

#define MC_TEST(name_, ...)                                                                                   \
    static struct mc_test mc_test_##name_ = {.name = #name_, __VA_ARGS__};                                    \
    __attribute__((constructor)) static void mc_register_##name_(void) { mc_register(&mc_test_##name_); }     \
    _Static_assert(1, "wants a semicolon")

/* A test that passes if the checker finds this failure: for what must be reachable, and for known-wrong variants. */
#define MC_TEST_MUST_FAIL(name_, failure, ...) MC_TEST(name_, .must_fail = (failure), __VA_ARGS__)

/* In setup, or in a thread. Returns the thread's number, from 1. At most six. */
#define mc_thread(fn, arg) mc_thread_named(#fn, fn, arg)
int mc_thread_named(const char *name, void (*fn)(void *), void *arg);

/* This thread may still be blocked when all others have ended: finish says whether that was right. */
void mc_allow_blocked(int thread);
bool mc_is_blocked(int thread);

#define mc_assert(condition, message) \
    ((condition) ? (void)0 : mc_fail_at(SKUAI_MODEL_HERE, "%s (%s)", message, #condition))
#define mc_fail(message) mc_fail_at(SKUAI_MODEL_HERE, "%s", message)
_Noreturn void mc_fail_at(const char *where, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* 0 … n-1, all of them explored. 0 is tried first. */
unsigned mc_choose(unsigned n);

/* As skuai_pause(): not scheduled again until another thread has stored something or nobody else can run. */
#define mc_yield() skuai_model_pause(SKUAI_MODEL_HERE)

/* For a thread that tries in vain and would do so as long as it is scheduled: not scheduled again until nobody else can
 * run, and sees then all that the others did. */
#define mc_defer() mc_defer_at(SKUAI_MODEL_HERE)
void mc_defer_at(const char *where);

/* A seq_cst fence in every thread at once, as membarrier() is one. */
#define mc_barrier_everywhere() mc_barrier_everywhere_at(SKUAI_MODEL_HERE)
void mc_barrier_everywhere_at(const char *where);

/* A futex. wait blocks if the newest value is `expected`; wake wakes up to n, which ones is explored, and does not
 * look into the word. Neither orders memory. */
#define mc_futex_wait(word, expected) mc_futex_wait_at(word, expected, SKUAI_MODEL_HERE)
#define mc_futex_wake(word, n) mc_futex_wake_at(word, n, SKUAI_MODEL_HERE)
void mc_futex_wait_at(const skua_word32 *word, uint32_t expected, const char *where);
unsigned mc_futex_wake_at(const skua_word32 *word, unsigned n, const char *where);
/* May end at once or, when nothing else can run, later without a wake: false. */
#define mc_futex_wait_timed(word, expected) mc_futex_wait_timed_at(word, expected, SKUAI_MODEL_HERE)
bool mc_futex_wait_timed_at(const skua_word32 *word, uint32_t expected, const char *where);

/* Memory is given back: from now on each access to it is a use after free, and each earlier one must happen before.
 * mc_alloc: it is the caller's again, with the content it has now; who touches it must come after this call. */
#define mc_free(address, size) mc_free_at(address, size, SKUAI_MODEL_HERE)
#define mc_alloc(address, size) mc_alloc_at(address, size, SKUAI_MODEL_HERE)
void mc_free_at(const void *address, size_t size, const char *where);
void mc_alloc_at(const void *address, size_t size, const char *where);

/* What step logs call an address. Costs nothing unless a log is being written. */
void mc_name(const void *address, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line of the test's own in the step log. */
void mc_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
