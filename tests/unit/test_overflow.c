/* Stack overflows end in a message; other faults reach the handler that was there before. */
#define _GNU_SOURCE
#include "sched/overflow.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sched/context.h"
#include "sched/stack.h"
#include "support/test.h"

/* What a runtime's describe finds by the thread-local pointer to its worker. One flow at a time runs here. */
static struct skuai_stack_pool pool;
static struct skuai_stack running;

static int describe(const void *address, char *text, size_t size)
{
    if (!skuai_stack_guards(&pool, &running, address))
        return 0;
    return skuai_overflow_message(text, size, "greedy", skuai_stack_nominal(&running));
}

static int describe_nothing(const void *address, char *text, size_t size)
{
    (void)address, (void)text, (void)size;
    return 0;
}

struct fiber {
    struct skuai_context ctx, base;
};

__attribute__((noinline)) static int without_end(int depth)
{
    volatile char frame[400];
    frame[0] = (char)depth;
    if (depth < 0)
        return 0;
    return without_end(depth + 1) + frame[0];
}

static void recurse(void *arg)
{
    struct fiber *fiber = arg;
    without_end(1);
    skuai_context_exit(&fiber->ctx, &fiber->base);
}

static void step_over(void *arg)
{
    struct fiber *fiber = arg;
    volatile char *below = (char *)running.low - pool.guard_size + 1; /* the far end of the guard */
    *below = 1;
    skuai_context_exit(&fiber->ctx, &fiber->base);
}

static void run_fiber(skuai_context_entry *entry, enum skuai_guard best)
{
    struct skuai_stack_cache cache;
    struct skuai_overflow_thread thread;
    struct fiber fiber;
    CHECK_OK(skuai_overflow_install(describe));
    CHECK_OK(skuai_overflow_thread_init(&thread));
    CHECK_OK(skuai_stack_pool_init(&pool, 0, 0));
    if (pool.best_guard > best)
        pool.best_guard = best;
    skuai_stack_cache_init(&cache);
    CHECK_OK(skuai_stack_acquire(&pool, &cache, 1 << 16, &running));
    skuai_context_init_thread(&fiber.base);
    skuai_context_make(&fiber.ctx, running.low, running.size, entry, &fiber);
    skuai_context_switch(&fiber.base, &fiber.ctx);
    /* Reached if the entry does not overflow. */
    skuai_context_fini(&fiber.ctx);
    skuai_stack_release(&pool, &cache, &running);
    skuai_stack_cache_flush(&pool, &cache);
    CHECK_EQ(skuai_stack_pool_fini(&pool), 0);
    skuai_overflow_thread_fini(&thread);
    skuai_overflow_uninstall();
}

static void overflow_page(void *arg)
{
    (void)arg;
    run_fiber(recurse, SKUAI_GUARD_PAGE);
}

static void overflow_mprotect(void *arg)
{
    (void)arg;
    run_fiber(recurse, SKUAI_GUARD_MPROTECT);
}

static void overflow_far(void *arg)
{
    (void)arg;
    run_fiber(step_over, SKUAI_GUARD_PAGE);
}

static void *overflow_on_thread(void *arg)
{
    overflow_page(arg);
    return NULL;
}

static void overflow_other_thread(void *arg)
{
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, overflow_on_thread, arg), 0);
    pthread_join(thread, NULL);
}

static const char message[] = "skua: fiber \"greedy\" overflowed its stack of 65536 bytes; "
                              "raise skua_config.stack_size or the spawn attribute\n";

TEST(overflow_by_recursion) { test_expect_abort(overflow_page, NULL, message); }
TEST(overflow_into_a_protected_page) { test_expect_abort(overflow_mprotect, NULL, message); }
TEST(overflow_by_a_large_frame) { test_expect_abort(overflow_far, NULL, message); }
TEST(overflow_on_another_thread) { test_expect_abort(overflow_other_thread, NULL, message); }

static void modest(void *arg)
{
    struct fiber *fiber = arg;
    skuai_context_exit(&fiber->ctx, &fiber->base);
}

/* Not on the main thread, where Valgrind would go on using the alternate stack that is gone. */
static void *run_modestly(void *arg)
{
    stack_t before, after;
    CHECK_EQ(sigaltstack(NULL, &before), 0);
    run_fiber(modest, SKUAI_GUARD_PAGE);
    CHECK_EQ(sigaltstack(NULL, &after), 0);
    CHECK_EQ(before.ss_flags, after.ss_flags);
    CHECK((after.ss_flags & SS_DISABLE) || before.ss_sp == after.ss_sp);
    return arg;
}

TEST(nothing_stays_installed)
{
    struct sigaction before, after;
    pthread_t thread;
    CHECK_EQ(sigaction(SIGSEGV, NULL, &before), 0);
    CHECK_EQ(pthread_create(&thread, NULL, run_modestly, NULL), 0);
    pthread_join(thread, NULL);
    CHECK_EQ(sigaction(SIGSEGV, NULL, &after), 0);
    CHECK(before.sa_handler == after.sa_handler);
}

/* ---- other faults --------------------------------------------------------------------------------------------- */

static sigjmp_buf resume;
static volatile sig_atomic_t old_calls;
static volatile sig_atomic_t old_saw_address;
static char *volatile forbidden;

static void old_handler_info(int number, siginfo_t *info, void *ucontext)
{
    (void)ucontext;
    old_calls += number == SIGSEGV;
    old_saw_address = info->si_addr == (void *)forbidden;
    siglongjmp(resume, 1);
}

static void old_handler_plain(int number)
{
    old_calls += number == SIGSEGV;
    siglongjmp(resume, 1);
}

static void set_handler(struct sigaction *action, struct sigaction *before)
{
    sigemptyset(&action->sa_mask);
    CHECK_EQ(sigaction(SIGSEGV, action, before), 0);
}

static void fault(void)
{
    if (sigsetjmp(resume, 1) == 0) {
        *forbidden = 1;
        CHECK(false);
    }
}

static void check_chains(struct sigaction *old, int users)
{
    struct sigaction before, now;
    forbidden = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(forbidden != MAP_FAILED);
    old_calls = old_saw_address = 0;
    set_handler(old, &before);
    for (int i = 0; i < users; i++)
        CHECK_OK(skuai_overflow_install(describe_nothing));
    for (int i = users; i > 0; i--) {
        fault();
        CHECK_EQ(old_calls, users - i + 1);
        skuai_overflow_uninstall();
    }
    CHECK_EQ(sigaction(SIGSEGV, NULL, &now), 0);
    CHECK(now.sa_handler == old->sa_handler);
    CHECK_EQ(now.sa_flags & SA_SIGINFO, old->sa_flags & SA_SIGINFO);
    fault(); /* theirs alone */
    CHECK_EQ(old_calls, users + 1);
    CHECK_EQ(sigaction(SIGSEGV, &before, NULL), 0);
    munmap(forbidden, 4096);
}

TEST(an_earlier_handler_with_info_is_called)
{
    if (test_under_valgrind())
        TEST_SKIP("a fault is an error to Valgrind");
    struct sigaction old = { .sa_sigaction = old_handler_info, .sa_flags = SA_SIGINFO };
    check_chains(&old, 1);
    CHECK(old_saw_address);
}

TEST(an_earlier_plain_handler_is_called)
{
    if (test_under_valgrind())
        TEST_SKIP("a fault is an error to Valgrind");
    struct sigaction old = { .sa_handler = old_handler_plain };
    check_chains(&old, 3); /* the first installs, the last puts back */
}

static void later_handler(int number, siginfo_t *info, void *ucontext);
static struct sigaction below_later;

static void later_handler(int number, siginfo_t *info, void *ucontext)
{
    below_later.sa_sigaction(number, info, ucontext);
}

/* An application's handler over ours that calls ours: taking over again must not make a circle of the two. */
TEST(a_later_handler_that_calls_ours_makes_no_circle)
{
    if (test_under_valgrind())
        TEST_SKIP("a fault is an error to Valgrind");
    struct sigaction old = { .sa_sigaction = old_handler_info, .sa_flags = SA_SIGINFO }, before;
    struct sigaction later = { .sa_sigaction = later_handler, .sa_flags = SA_SIGINFO };
    forbidden = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(forbidden != MAP_FAILED);
    old_calls = 0;
    set_handler(&old, &before);
    CHECK_OK(skuai_overflow_install(describe_nothing));
    set_handler(&later, &below_later);
    skuai_overflow_uninstall();
    CHECK_OK(skuai_overflow_install(describe_nothing));
    fault();
    CHECK_EQ(old_calls, 1);
    CHECK_EQ(sigaction(SIGSEGV, &below_later, NULL), 0);
    fault();
    CHECK_EQ(old_calls, 2);
    skuai_overflow_uninstall();
    CHECK_EQ(sigaction(SIGSEGV, &before, NULL), 0);
    munmap(forbidden, 4096);
}

static void fault_by_default(void *arg)
{
    struct sigaction none = { .sa_handler = SIG_DFL };
    (void)arg;
    set_handler(&none, NULL);
    CHECK_OK(skuai_overflow_install(describe_nothing));
    fprintf(stderr, "about to fault\n");
    forbidden = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *forbidden = 1;
    _exit(0); /* not reached */
}

static void sent_by_default(void *arg)
{
    struct sigaction none = { .sa_handler = SIG_DFL };
    (void)arg;
    set_handler(&none, NULL);
    CHECK_OK(skuai_overflow_install(describe_nothing));
    fprintf(stderr, "about to be sent one\n");
    raise(SIGSEGV);
    _exit(0);
}

TEST(the_default_action_still_ends_the_process)
{
    test_expect_abort(fault_by_default, NULL, "about to fault");
    test_expect_abort(sent_by_default, NULL, "about to be sent one");
}

TEST(an_ignored_signal_that_was_sent_is_ignored)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
    set_handler(&ignore, &before);
    CHECK_OK(skuai_overflow_install(describe_nothing));
    raise(SIGSEGV);
    skuai_overflow_uninstall();
    CHECK_EQ(sigaction(SIGSEGV, &before, NULL), 0);
}

/* ---- parts ---------------------------------------------------------------------------------------------------- */

TEST(an_alternate_stack_that_exists_is_kept)
{
    if (test_under_valgrind())
        TEST_SKIP("Valgrind goes on using an alternate stack after it was disabled");
    static char mine[1 << 16];
    stack_t ours = { .ss_sp = mine, .ss_size = sizeof mine }, before, now;
    struct skuai_overflow_thread thread;
    CHECK_EQ(sigaltstack(&ours, &before), 0);
    CHECK_OK(skuai_overflow_thread_init(&thread));
    CHECK_EQ(sigaltstack(NULL, &now), 0);
    CHECK(now.ss_sp == (void *)mine);
    skuai_overflow_thread_fini(&thread);
    CHECK_EQ(sigaltstack(NULL, &now), 0);
    CHECK(now.ss_sp == (void *)mine);
    if (before.ss_flags & SS_DISABLE)
        before = (stack_t){ .ss_flags = SS_DISABLE };
    CHECK_EQ(sigaltstack(&before, NULL), 0);
}

TEST(the_message_fits_any_buffer)
{
    char text[200];
    for (size_t size = 1; size < sizeof text; size++) {
        memset(text, '!', sizeof text);
        int length = skuai_overflow_message(text, size, "n", 0);
        CHECK_EQ(length, strlen(text));
        CHECK((size_t)length < size);
        CHECK_EQ(text[size], '!');
    }
    CHECK(skuai_overflow_message(text, sizeof text, NULL, 18446744073709551615u) > 0);
    CHECK_STR(text, "skua: a fiber without a name overflowed its stack of 18446744073709551615 bytes; raise "
                    "skua_config.stack_size or the spawn attribute\n");
}
