/* A plugin with a runtime of its own inside, and one in its host's loop: made when it is loaded, ended when it is
 * unloaded. For tests/unit/test_embedding_plugin.c, which loads it by dlopen(); so it exports what is looked up there
 * and nothing else, and has a Skua of its own. */
#include <skua.h>

#include <stdlib.h>

#define PLUGIN_API __attribute__((visibility("default")))

static skua_runtime *own, *embedded;

PLUGIN_API int plugin_begin(void);
PLUGIN_API int plugin_end(void);
PLUGIN_API int64_t plugin_work(int n);
PLUGIN_API int plugin_fd(void);
PLUGIN_API int plugin_turn(void);
PLUGIN_API int plugin_ask(int n, int *answer);

PLUGIN_API int plugin_begin(void)
{
    int rc = skua_runtime_create(&own, &(skua_config){ .workers = 2, .ignore_environment = true });
    return rc < 0 ? rc : skua_runtime_create(&embedded, &(skua_config){ .embed = true, .ignore_environment = true });
}

PLUGIN_API int plugin_end(void)
{
    int rc = skua_runtime_destroy(own);
    if (rc == 0)
        rc = skua_runtime_destroy(embedded);
    own = embedded = NULL;
    return rc;
}

/* What a constructor makes a destructor must end: there is nobody who could be told of an error. */
__attribute__((constructor)) static void loaded(void)
{
    if (plugin_begin() < 0)
        abort();
}
__attribute__((destructor)) static void unloaded(void)
{
    if (plugin_end() < 0)
        abort();
}

static int counts(void *arg)
{
    int rc = skua_sleep(10 * SKUA_US);
    __atomic_fetch_add((int *)arg, 1, __ATOMIC_RELAXED);
    return rc;
}

struct many {
    int n, count;
};

static int works(void *arg)
{
    struct many *many = arg;
    skua_group group;
    skua_stream *pair[2];
    char byte = 'x';
    skua_group_init(&group);
    for (int i = 0; i < many->n; i++)
        if (skua_group_go(&group, counts, &many->count) < 0)
            break;
    int rc = (int)skua_group_wait(&group);
    if (rc == 0)
        rc = skua_stream_pair(pair, NULL);
    if (rc < 0)
        return rc;
    if (skua_write_all(pair[0], &byte, 1) != 1 || skua_read(pair[1], &byte, 1) != 1)
        rc = -1;
    skua_stream_close(pair[0]);
    skua_stream_close(pair[1]);
    return rc < 0 ? rc : many->count;
}

/* On the plugin's workers; its caller waits. */
PLUGIN_API int64_t plugin_work(int n) { return skua_block_on(own, works, &(struct many){ .n = n }); }

/* In the host's loop. */
PLUGIN_API int plugin_fd(void) { return skua_embed_fd(embedded); }
PLUGIN_API int plugin_turn(void) { return skua_turn(embedded, SKUA_MS); }

static void answers(void *context, int64_t result) { *(int *)context = (int)result; }

static int doubles(void *arg)
{
    int n = (int)(intptr_t)arg, rc = skua_sleep(SKUA_MS);
    return rc < 0 ? rc : 2 * n;
}

/* Computed by the workers, told in a turn. */
PLUGIN_API int plugin_ask(int n, int *answer)
{
    skua_task *task;
    int rc = skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = own }, doubles, (void *)(intptr_t)n);
    return rc < 0 ? rc : skua_on_done(task, embedded, answers, answer);
}
