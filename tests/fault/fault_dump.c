/* A dump with each call failing that it makes, and that the thread makes which waits for SIGQUIT: all of it comes,
 * though maybe without who joins whom, or nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/faults.h"
#include "support/test.h"

enum { TASKS = 80, TEXT_BYTES = 1 << 20 };

struct dumped {
    skua_config config;
    skua_event event;
    size_t length;
    char text[TEXT_BYTES];
};

static int waits(void *event) { return skua_event_wait(event); }
static int joins(void *task) { return skua_join(task, NULL); }

static void collect(void *context, const char *line, size_t length)
{
    struct dumped *dumped = context;
    CHECK(dumped->length + length + 1 < TEXT_BYTES);
    memcpy(dumped->text + dumped->length, line, length);
    dumped->length += length;
}

static void check_dump(struct dumped *dumped, skua_runtime *rt, int tasks)
{
    char end[64];
    dumped->length = 0;
    int rc = skua_dump_lines(rt, collect, dumped);
    dumped->text[dumped->length] = '\0';
    snprintf(end, sizeof end, "skua dump: end, %d tasks shown", tasks);
    if (faults_done(rc))
        CHECK(strstr(dumped->text, end) != NULL);
    else
        CHECK_EQ(dumped->length, 0);
}

/* As many joins as there can be, so that the table of who joins whom grows. */
static void live(void *arg)
{
    struct dumped *dumped = arg;
    skua_task *tasks[TASKS], *joiners[TASKS];
    int count = 0, joined = 0;
    skua_runtime *rt;
    int rc = skua_runtime_create(&rt, &dumped->config);
    if (rc == -EMFILE || rc == -ENFILE || rc == -ENODEV) /* eventfd's errors */
        CHECK(dumped->config.dump_on_sigquit && faults_may_refuse());
    else
        (void)faults_done(rc);
    if (rc < 0)
        return;
    skua_spawn_attr attr = { .runtime = rt };
    skua_event_init(&dumped->event, SKUA_EVENT_MANUAL);
    while (count < TASKS && faults_done(skua_spawn_with(&tasks[count], &attr, waits, &dumped->event)))
        count++;
    while (joined < count && faults_done(skua_spawn_with(&joiners[joined], &attr, joins, tasks[joined])))
        joined++;
    CHECK_EQ(skua_sleep(2 * SKUA_MS), 0);
    check_dump(dumped, rt, count + joined);
    skua_event_set(&dumped->event);
    for (int i = 0; i < count; i++)
        CHECK_EQ(skua_join(i < joined ? joiners[i] : tasks[i], NULL), 0);
    CHECK_EQ(skua_runtime_destroy(rt), 0);
}

static struct dumped *begin(bool on_sigquit)
{
    struct dumped *dumped = malloc(sizeof *dumped);
    CHECK(dumped != NULL);
    dumped->config = faults_config(2, true);
    dumped->config.dump_on_sigquit = on_sigquit;
    return dumped;
}

TEST(memory)
{
    struct dumped *dumped = begin(false);
    FAULTS_EACH(live, dumped, FAULT_application_alloc);
    free(dumped);
}

TEST(the_thread_that_waits_for_sigquit)
{
    struct dumped *dumped = begin(true);
    FAULTS_EACH(live, dumped, FAULT_application_alloc, FAULT_eventfd, FAULT_sigaction, FAULT_pthread_create, FAULT_read,
                FAULT_write, FAULT_close);
    free(dumped);
}
