/* Traces with each call that they make failing: who asks is told, and nothing is left over. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/faults.h"
#include "support/test.h"

static int yields(void *arg)
{
    (void)arg;
    return skua_yield();
}

/* `arg`: the file. */
static void traces(void *arg)
{
    skua_runtime *rt;
    skua_config config = faults_config(2, true);
    config.trace = arg; /* also at the end: what cannot be written then is logged */
    if (!faults_done(skua_runtime_create(&rt, &config)))
        return;
    skua_task *task;
    if (faults_done(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = rt }, yields, NULL)))
        CHECK_OK(skua_join(task, NULL));
    int rc = skua_trace_write(rt, arg);
    if (rc == -EMFILE || rc == -ENOSPC)
        CHECK(faults_may_refuse());
    else
        (void)faults_done(rc);
    skua_trace_stop(rt);
    (void)faults_done(skua_trace_start(rt, 0));
    CHECK_OK(skua_runtime_destroy(rt));
}

TEST(each_call)
{
    char path[] = "/tmp/skua-trace-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    FAULTS_EACH(traces, path, FAULT_application_alloc, FAULT_malloc, FAULT_calloc, FAULT_fopen, FAULT_fclose);
    CHECK_EQ(unlink(path), 0);
}
