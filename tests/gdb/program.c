/* Tasks in known states, for gdb to look at: it stops in all_wait_here(), which one of them calls. With an argument it
 * aborts there, for a core file.
 */
#include <skua.h>

#include <stdlib.h>

int all_wait_here(int tasks);
__attribute__((noinline)) int all_wait_here(int tasks)
{
    __asm__ volatile("" ::: "memory");
    return tasks;
}

static skua_event never;

int inner_call(int more);
__attribute__((noinline)) int inner_call(int more)
{
    int rc = more > 0 ? inner_call(more - 1) : skua_event_wait(&never);
    __asm__ volatile("" ::: "memory"); /* no tail call */
    return rc;
}

static int waiter(void *arg)
{
    (void)arg;
    int rc = inner_call(2);
    __asm__ volatile("" ::: "memory"); /* likewise */
    return rc;
}
static int joiner(void *task) { return skua_join(task, NULL); }
static int ends(void *arg)
{
    (void)arg;
    return 0;
}

struct leaf {
    SKUA_FRAME;
    SKUA_NO_ARGS;
    skua_op op;
};
SKUA_ASYNC(leaf)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_event_wait_start(&self->op, &never));
    SKUA_END(0);
}
struct tree {
    SKUA_FRAME;
    SKUA_NO_ARGS;
    struct leaf leaf;
};
SKUA_ASYNC(tree)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(SKUA_FUTURE(&self->leaf, leaf));
    SKUA_END(0);
}

enum { TASKS = 5 };

static int app(void *arg)
{
    static const char *const names[TASKS] = { "waiter", "joiner", "tree", "ended", "queued" };
    skua_spawn_attr attr[TASKS];
    skua_task *tasks[TASKS];
    for (int i = 0; i < TASKS; i++)
        attr[i] = (skua_spawn_attr){ .name = names[i] };
    skua_event_init(&never, SKUA_EVENT_MANUAL);
    int rc = skua_self_set_name("stopped");
    if (rc < 0 || (rc = skua_spawn_with(&tasks[0], &attr[0], waiter, NULL)) < 0 ||
        (rc = skua_spawn_with(&tasks[1], &attr[1], joiner, tasks[0])) < 0 ||
        (rc = SKUA_SPAWN_WITH(&tasks[2], &attr[2], tree)) < 0 ||
        (rc = skua_spawn_with(&tasks[3], &attr[3], ends, NULL)) < 0 || (rc = skua_sleep(20 * SKUA_MS)) < 0 ||
        (rc = skua_spawn_with(&tasks[4], &attr[4], ends, NULL)) < 0)
        return 1;
    (void)all_wait_here(TASKS);
    if (arg != NULL)
        abort();
    skua_event_set(&never);
    for (int i = 1; i < TASKS; i++)
        if (skua_join(tasks[i], NULL) < 0)
            return 1;
    return 0;
}

int main(int argc, char **argv)
{
    skua_runtime *rt;
    skua_config config = { .workers = 1, .ignore_environment = true };
    if (skua_runtime_create(&rt, &config) < 0)
        return 1;
    int rc = (int)skua_block_on(rt, app, argc > 1 ? argv[1] : NULL);
    return skua_runtime_destroy(rt) < 0 ? 1 : rc;
}
