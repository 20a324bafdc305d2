/* The test harness: a main, checks, and a look at what each test leaves behind.
 *
 *     #include "support/test.h"
 *
 *     TEST(pops_what_was_pushed)
 *     {
 *         CHECK(deque_push(&d, 7) == 0);
 *         CHECK_EQ(deque_pop(&d), 7);
 *     }
 *
 * A program's tests run one after another, in the order of the file, each on the main thread:
 *     unit_deque                 all of them
 *     unit_deque push wrap       those whose name is or contains one of the words
 *     unit_deque --list          their names
 * After each test there must be as many threads, the same open descriptors and as many bytes on the heap as before.
 * The heap is looked at with glibc only, and not under sanitizers (LeakSanitizer is asked instead) or Valgrind.
 *
 * A check that fails prints where and what, the seed and the command that runs this test again, and ends the program
 * at once with status 1; so checks may stand in any thread. The harness knows libc only, nothing of Skua.
 */
#ifndef SKUA_TEST_SUPPORT_H
#define SKUA_TEST_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct test_case {
    const char *name;
    const char *file;
    void (*run)(void);
    struct test_case *next;
};

#define TEST(name)                                                                              \
    static void test_run_##name(void);                                                          \
    static struct test_case test_case_##name = {#name, __FILE__, test_run_##name, NULL};        \
    __attribute__((constructor)) static void test_add_##name(void) { test_add(&test_case_##name); } \
    static void test_run_##name(void)

#define CHECK(cond)                                                   \
    do {                                                              \
        if (!(cond))                                                  \
            test_fail(__FILE__, __LINE__, "CHECK(%s)", #cond);        \
    } while (0)

/* Integers (or pointers) of any type, compared as 64-bit values. */
#define CHECK_EQ(a, b) test_check_eq(__FILE__, __LINE__, #a, #b, (long long)(a), (long long)(b))

/* Strings; two NULLs are equal. */
#define CHECK_STR(a, b) test_check_str(__FILE__, __LINE__, #a, #b, (a), (b))

/* A result: 0 or a count is good, a negative errno value is not, and is explained. */
#define CHECK_OK(rc) test_check_ok(__FILE__, __LINE__, #rc, (long long)(rc))

/* Leaves a test that this machine cannot run. Says so; is not a failure. */
#define TEST_SKIP(why)      \
    do {                    \
        test_skipped(why);  \
        return;             \
    } while (0)

/* For the test under way: this many bytes may stay on the heap, because libc or another library keeps what it makes
 * at its first use. Say in a comment who keeps what. */
void test_allow_heap_growth(size_t bytes);

/* SKUA_TEST_SEED, or 1. */
uint64_t test_seed(void);

/* What runs now depends on this seed alone: a failure's command names it, with a scale that means one round, so that a
 * loop from test_seed() on runs just that. Until test_at_no_seed(). */
void test_at_seed(uint64_t seed);
void test_at_no_seed(void);

/* A failure also says what was being tried and which of many it was, until test_at_no_seed(). `what` must stay. */
void test_at_trial(const char *what, uint64_t number);

/* For skua_config: SKUA_TEST_WORKERS_PER_POLLER, or 0. Some programs run once more with it (tests/CMakeLists.txt). */
uint32_t test_workers_per_poller(void);

/* By how much to multiply the rounds of a test that repeats something: SKUA_TEST_SCALE, or 1; a quarter under
 * sanitizers and under Valgrind. */
double test_scale(void);

/* `rounds` times test_scale(), at least 1. */
uint64_t test_scaled(uint64_t rounds);

/* The next number of splitmix64 (Steele, Lea, Flood 2014). Any start is a good one. */
uint64_t test_rand(uint64_t *state);

/* Whether an instrumented build (`thread`, `address`) or Valgrind is what runs this. */
bool test_under_tsan(void);

/* How many seeds to simulate: `seeds` times test_scale(); under ThreadSanitizer, of many, a fifth of that, since to it
 * each virtual worker and each fiber is one more fiber, of which it maps, clears and unmaps a megabyte. */
static inline uint64_t test_scaled_seeds(uint64_t seeds)
{
    return test_scaled(test_under_tsan() && seeds > 100 ? seeds / 5 : seeds);
}
bool test_under_asan(void);
bool test_under_valgrind(void);

/* SKUA_TEST_EMULATED: another machine's program under qemu-user, which takes some system calls for done without doing
 * them (limits of memory, advice on it). */
bool test_under_emulator(void);

/* Checks that fn(arg), in a forked child, ends the process by a signal or a status other than 0, after it has written
 * text containing `needle` to stderr. What the child leaves behind is nobody's business. */
#define test_expect_abort(fn, arg, needle) test_expect_abort_at(__FILE__, __LINE__, (fn), (arg), (needle))

/* Behind the macros. */
void test_add(struct test_case *test);
void test_fail(const char *file, int line, const char *format, ...) __attribute__((noreturn, format(printf, 3, 4)));
void test_check_eq(const char *file, int line, const char *a_text, const char *b_text, long long a, long long b);
void test_check_str(const char *file, int line, const char *a_text, const char *b_text, const char *a, const char *b);
void test_check_ok(const char *file, int line, const char *text, long long rc);
void test_skipped(const char *why);
void test_expect_abort_at(const char *file, int line, void (*fn)(void *), void *arg, const char *needle);

#endif
