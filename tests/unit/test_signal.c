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

struct waits_too {
    SKUA_FRAME;
    struct { skua_signals *signals; } in;
    skua_signal_waiting waiting;
};
SKUA_ASYNC(waits_too)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_signal_wait_start(&self->waiting, self->in.signals));
    SKUA_END(SKUA_RESULT(&self->waiting));
}

static int signals_in_futures(void *arg)
{
    (void)arg;
    skua_signals *watch;
    skua_task *task;
    int64_t result;
    CHECK_OK(skua_signals_open(&watch, NULL, (const int[]){ SIGUSR1, SIGUSR2 }, 2));
    for (int i = 0; i < 20; i++) {
        CHECK_OK(SKUA_SPAWN(&task, waits_too, .signals = watch));
        if (i % 2 == 0)
            skua_yield();
        CHECK_EQ(kill(getpid(), SIGUSR2), 0);
        CHECK_OK(skua_join(task, &result));
        CHECK_EQ(result, SIGUSR2);
    }
    CHECK_OK(SKUA_SPAWN(&task, waits_too, .signals = watch));
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    CHECK_OK(SKUA_SPAWN(&task, waits_too, .signals = watch));
    CHECK_OK(skua_sleep(5 * SKUA_MS)); /* it may not be about to call */
    skua_signals_close(watch);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    return 0;
}
TEST(signals_in_futures_too)
{
    if (test_under_tsan())
        TEST_SKIP("ThreadSanitizer runs handlers in its interceptors only, and here all threads sleep elsewhere");
    run_for_real(signals_in_futures);
}

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
    skua_op op;
    skua_signals *fresh;
    CHECK_OK(skua_signals_open(&fresh, NULL, (const int[]){ SIGUSR1 }, 1));
    skua_op *early[] = { skua_signal_pending_prepare(&op, fresh) };
    CHECK_EQ(skua_select_try(early, 1), -EAGAIN); /* none has come, and none was asked for before */
    skua_signals_close(fresh);
    CHECK_EQ(skua_signal_try_wait(some), -EAGAIN);
    {
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(skua_signal_wait(all), -ETIMEDOUT);
    }
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
