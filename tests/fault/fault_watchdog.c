/* The watchdog with each call failing that it makes: a runtime is not made, or what holds a worker is reported, with
 * its stack or without.
 */
#include <sched.h>
#include <string.h>

#include "support/faults.h"
#include "support/test.h"

struct watched {
    skua_config config;
    int held, over, frames; /* __atomic */
};

static void note(void *context, enum skua_log_level level, const char *line)
{
    struct watched *watched = context;
    (void)level;
    if (strstr(line, "watchdog: task ") != NULL && strstr(line, " has given worker ") != NULL)
        __atomic_fetch_add(&watched->over, 1, __ATOMIC_RELEASE);
    else if (strstr(line, "watchdog:    ") != NULL)
        __atomic_fetch_add(&watched->frames, 1, __ATOMIC_RELEASE);
    else if (strstr(line, "watchdog: task ") != NULL)
        __atomic_fetch_add(&watched->held, 1, __ATOMIC_RELEASE);
}

static int holds(void *arg)
{
    struct watched *watched = arg;
    while (__atomic_load_n(&watched->held, __ATOMIC_ACQUIRE) == 0)
        sched_yield();
    return 7;
}

static void live(void *arg)
{
    struct watched *watched = arg;
    skua_runtime *rt;
    watched->held = watched->over = watched->frames = 0;
    if (!faults_done(skua_runtime_create(&rt, &watched->config))) {
        CHECK(rt == NULL);
        return;
    }
    int64_t result = skua_block_on(rt, holds, watched);
    if (faults_done(result))
        CHECK_EQ(result, 7);
    CHECK_EQ(skua_runtime_destroy(rt), 0);
    CHECK_EQ(watched->held, result == 7);
    CHECK_EQ(watched->over, watched->held);
}

static struct watched watched_by(int signal)
{
    struct watched watched = { .config = faults_config(1, true) };
    watched.config.watchdog_ns = SKUA_MS;
    watched.config.watchdog_signal = (uint8_t)signal;
    watched.config.log = note;
    return watched;
}

TEST(each_call)
{
    struct watched watched = watched_by(0);
    watched.config.log_context = &watched;
    live(&watched);
    CHECK(watched.frames != 0);
    FAULTS_EACH(live, &watched, FAULT_application_alloc, FAULT_pthread_create, FAULT_sigaction, FAULT_sigaltstack,
                FAULT_pthread_getcpuclockid, FAULT_open, FAULT_close);
}

/* The signal is refused, or never comes. */
TEST(the_signal)
{
    struct watched watched = watched_by(0);
    watched.config.log_context = &watched;
    for (int way = 0; way < 3; way++) {
        faults_always(FAULT_pthread_sigqueue, way);
        live(&watched);
        faults_always_none();
        CHECK_EQ(watched.frames, 0);
        CHECK_EQ(watched.over, 1);
    }
}
