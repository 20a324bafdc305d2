/* Signals as something to wait for. */
#include "skua/signal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <skua/select.h>

#include "support/with_runtime.h"

static void run_for_real(skua_fiber_fn *body)
{
    static const uint32_t workers[] = { 1, 2, 8 };
    for (size_t i = 0; i < sizeof workers / sizeof workers[0]; i++)
        CHECK_EQ(run_on(workers[i], body, NULL), 0);
}

static int waits(void *arg) { return skua_signal_wait(arg); }

static int signals(void *arg)
{
    (void)arg;
    skua_signals *all, *some;
    skua_task *task;
    int64_t result;
    CHECK_OK(skua_signals_open(&all, NULL, (const int[]){ SIGUSR1, SIGUSR2, SIGHUP }, 3));
    CHECK_OK(skua_signals_open(&some, NULL, (const int[]){ SIGUSR2 }, 1));
    CHECK_EQ(skua_signal_try_wait(all), -EAGAIN);
    CHECK_OK(skua_spawn(&task, waits, all));
    skua_yield();
    CHECK_EQ(kill(getpid(), SIGUSR1), 0);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, SIGUSR1);
    CHECK_EQ(kill(getpid(), SIGUSR2), 0);
    CHECK_EQ(skua_signal_wait(all), SIGUSR2);
    CHECK_EQ(skua_signal_wait(some), SIGUSR2); /* both are told */
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(kill(getpid(), SIGHUP), 0);
        CHECK_EQ(skua_signal_wait(all), SIGHUP);
    }
    CHECK_EQ(skua_signal_try_wait(some), -EAGAIN);
    {
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(skua_signal_wait(all), -ETIMEDOUT);
    }
    skua_op op;
    skua_sleep_op sleep;
    CHECK_EQ(SKUA_SELECT(skua_signal_pending_prepare(&op, all), skua_sleep_prepare(&sleep, SKUA_MS)), 1);
    CHECK_EQ(kill(getpid(), SIGUSR1), 0);
    CHECK_EQ(SKUA_SELECT(skua_signal_pending_prepare(&op, all)), 0);
    CHECK_EQ(skua_signal_wait(all), SIGUSR1);
    skua_signals_close(all);
    skua_signals_close(some);
    CHECK_EQ(skua_signals_open(&all, NULL, (const int[]){ SIGKILL }, 1), -EINVAL);
    CHECK_EQ(skua_signals_open(&all, NULL, (const int[]){ SIGSEGV }, 1), -EINVAL);
    CHECK_EQ(skua_signals_open(&all, NULL, NULL, 0), -EINVAL);
    struct sigaction after;
    CHECK_EQ(sigaction(SIGUSR1, NULL, &after), 0);
    CHECK(after.sa_handler == SIG_DFL); /* as before */
    return 0;
}
TEST(signals_are_waited_for)
{
    if (test_under_tsan())
        TEST_SKIP("ThreadSanitizer runs handlers in its interceptors only, and here all threads sleep elsewhere");
    run_for_real(signals);
}
