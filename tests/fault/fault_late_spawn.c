/* A thread outside spawns while another shuts down: the spawn is refused, or its task is waited for like the others. It
 * is held up between the look at the runtime's stage and the queue, where it allocates the task's name. */
#include <errno.h>
#include <pthread.h>

#include "support/faults.h"
#include "support/test.h"

enum { TURNS = 20000 }; /* in which the other thread could get to the end, if it did not wait */

struct late {
    skua_runtime *rt;
    int32_t armed, inside, is_down, ran; /* __atomic */
};

static void *slow_alloc(void *context, size_t size)
{
    struct late *late = context;
    if (__atomic_exchange_n(&late->armed, 0, __ATOMIC_ACQ_REL) != 0) {
        __atomic_store_n(&late->inside, 1, __ATOMIC_RELEASE);
        for (int i = 0; i < TURNS && __atomic_load_n(&late->is_down, __ATOMIC_ACQUIRE) == 0; i++)
            skua_yield();
    }
    return fault_application_alloc(NULL, size);
}

static int run(void *arg)
{
    struct late *late = arg;
    __atomic_store_n(&late->ran, 1, __ATOMIC_RELEASE);
    return 0;
}

static void *shut_down(void *arg)
{
    struct late *late = arg;
    while (__atomic_load_n(&late->inside, __ATOMIC_ACQUIRE) == 0)
        skua_yield();
    int rc = skua_runtime_shutdown(late->rt, SKUA_NEVER, SKUA_NEVER);
    __atomic_store_n(&late->is_down, 1, __ATOMIC_RELEASE);
    CHECK_EQ(rc, 0);
    return NULL;
}

TEST(a_spawn_that_was_accepted_runs)
{
    struct late late = { .armed = 0 };
    skua_config config = faults_config(2, true);
    pthread_t thread;
    config.alloc = slow_alloc;
    config.memory_context = &late;
    CHECK_OK(skua_runtime_create(&late.rt, &config));
    CHECK_EQ(pthread_create(&thread, NULL, shut_down, &late), 0);
    __atomic_store_n(&late.armed, 1, __ATOMIC_RELEASE);
    int rc = skua_spawn_with(NULL, &(skua_spawn_attr){ .runtime = late.rt, .name = "late" }, run, &late);
    pthread_join(thread, NULL);
    CHECK(rc == 0 || rc == -ESHUTDOWN);
    CHECK_EQ(late.ran, rc == 0);
    CHECK_EQ(skua_runtime_destroy(late.rt), 0);
}
