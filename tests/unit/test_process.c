/* Child processes: what they are given and give, how they end, who kills them. */
#include "skua/process.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include <skua/select.h>

#include "support/with_runtime.h"

static void run_for_real(skua_fiber_fn *body)
{
    static const uint32_t workers[] = { 1, 2, 8 };
    for (size_t i = 0; i < sizeof workers / sizeof workers[0]; i++)
        CHECK_EQ(run_on(workers[i], body, NULL), 0);
}

static skua_process *sh(const char *script, skua_process_attr attr)
{
    const char *argv[] = { "sh", "-c", script, NULL };
    skua_process *child;
    attr.argv = argv;
    CHECK_OK(skua_process_spawn(&child, &attr));
    return child;
}

static int through_cat(void *arg)
{
    (void)arg;
    skua_process *child = sh("cat; echo gone >&2; exit 7",
                             (skua_process_attr){ .in = SKUA_PIPE, .out = SKUA_PIPE, .err = SKUA_PIPE });
    skua_process_status status;
    char buffer[64];
    CHECK_EQ(skua_write_all(skua_process_in(child), "hello", 5), 5);
    CHECK_EQ(skua_read_exactly(skua_process_out(child), buffer, 5, NULL), 5);
    CHECK(memcmp(buffer, "hello", 5) == 0);
    skua_process_close_in(child);
    CHECK_EQ(skua_read(skua_process_out(child), buffer, sizeof buffer), 0);
    CHECK_EQ(skua_read_exactly(skua_process_err(child), buffer, 5, NULL), 5);
    CHECK_OK(skua_process_wait(child, &status));
    CHECK(status.code == 7 && status.signal == 0);
    CHECK_OK(skua_process_wait(child, &status)); /* again */
    CHECK_EQ(status.code, 7);
    skua_process_destroy(child);
    return 0;
}
TEST(streams_and_exit_code) { run_for_real(through_cat); }

static int ends(void *arg)
{
    (void)arg;
    skua_process_status status;
    skua_process *child = sh("kill -TERM $$", (skua_process_attr){ .in = SKUA_NULL });
    CHECK_OK(skua_process_wait(child, &status));
    CHECK(status.code == 0 && status.signal == SIGTERM);
    skua_process_destroy(child);

    child = sh("read line; exit 3", (skua_process_attr){ .in = SKUA_PIPE });
    skua_op op;
    skua_sleep_op sleep;
    CHECK_EQ(SKUA_SELECT(skua_process_ended_prepare(&op, child), skua_sleep_prepare(&sleep, SKUA_MS)), 1);
    {
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(skua_process_wait(child, &status), -ETIMEDOUT);
    }
    CHECK_OK(skua_process_kill(child, 0)); /* it runs on */
    CHECK_EQ(skua_write_all(skua_process_in(child), "x\n", 2), 2);
    CHECK_EQ(SKUA_SELECT(skua_process_ended_prepare(&op, child)), 0);
    CHECK_OK(skua_process_wait(child, &status));
    CHECK_EQ(status.code, 3);
    CHECK_EQ(skua_process_kill(child, 0), -ESRCH);
    skua_process_destroy(child);

    child = sh("exec sleep 1000", (skua_process_attr){ .kill_on_cancel = true });
    {
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(skua_process_wait(child, &status), -ETIMEDOUT);
    }
    CHECK_OK(skua_process_wait(child, &status));
    CHECK_EQ(status.signal, SIGKILL);
    skua_process_destroy(child);

    /* no process outlives its handle */
    skua_process_destroy(sh("exec sleep 1000", (skua_process_attr){ .in = SKUA_INHERIT }));
    return 0;
}
TEST(how_they_end) { run_for_real(ends); }

struct waits_for {
    SKUA_FRAME;
    struct { skua_process *child; skua_process_status *status; } in;
    skua_process_waiting waiting;
};
SKUA_ASYNC(waits_for)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_process_wait_start(&self->waiting, self->in.child, self->in.status));
    SKUA_END(SKUA_RESULT(&self->waiting));
}
static int ends_in_futures(void *arg)
{
    (void)arg;
    skua_process_status status;
    skua_task *task;
    int64_t result;
    skua_process *child = sh("read line; exit 3", (skua_process_attr){ .in = SKUA_PIPE });
    CHECK_OK(SKUA_SPAWN(&task, waits_for, .child = child, .status = &status));
    CHECK_OK(skua_sleep(SKUA_MS));
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    CHECK_OK(skua_process_kill(child, 0)); /* it runs on */
    CHECK_OK(SKUA_SPAWN(&task, waits_for, .child = child, .status = &status));
    CHECK_EQ(skua_write_all(skua_process_in(child), "x\n", 2), 2);
    CHECK_OK(skua_join(task, &result));
    CHECK_OK(result);
    CHECK(status.code == 3 && status.signal == 0);
    CHECK_OK(SKUA_SPAWN(&task, waits_for, .child = child, .status = NULL)); /* again */
    CHECK_OK(skua_join(task, &result));
    CHECK_OK(result);
    skua_process_destroy(child);

    child = sh("exec sleep 1000", (skua_process_attr){ .kill_on_cancel = true });
    CHECK_OK(SKUA_SPAWN(&task, waits_for, .child = child, .status = &status));
    CHECK_OK(skua_sleep(SKUA_MS));
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    CHECK_EQ(skua_process_kill(child, 0), -ESRCH); /* and has been waited for */
    CHECK_OK(skua_process_wait(child, &status));
    CHECK_EQ(status.signal, SIGKILL);
    skua_process_destroy(child);
    return 0;
}
TEST(how_they_end_in_futures) { run_for_real(ends_in_futures); }

static int failures(void *arg)
{
    (void)arg;
    const char *nothing[] = { NULL }, *missing[] = { "/nonexistent/program", NULL };
    const char *env[] = { "GREETING=hi", NULL };
    skua_process *child;
    char buffer[16];
    CHECK_EQ(skua_process_spawn(&child, &(skua_process_attr){ .argv = nothing }), -EINVAL);
    if (!test_under_emulator()) /* whose children do not share memory until they run: nobody is told */
        CHECK_EQ(skua_process_spawn(&child, &(skua_process_attr){ .argv = missing, .out = SKUA_PIPE }), -ENOENT);
    child = sh("printf %s \"$GREETING\"; pwd", (skua_process_attr){ .envp = env, .directory = "/", .out = SKUA_PIPE });
    CHECK_EQ(skua_read_exactly(skua_process_out(child), buffer, sizeof buffer, NULL), 4);
    CHECK(memcmp(buffer, "hi/\n", 4) == 0);
    CHECK_OK(skua_process_wait(child, NULL));
    skua_process_destroy(child);
    return 0;
}
TEST(what_they_are_given) { run_for_real(failures); }
