/* A thread that waits for SIGQUIT and dumps. Not a task: when a dump is wanted most no worker may be left to run one.
 * Not in the handler either, where no lock may be taken; that writes to an eventfd (io/signals_linux.c), no more.
 *
 * The signal is open in this thread, so that it arrives whatever the application's threads have blocked. In a fork's
 * child nothing is undone: the handler's table may be locked there, and whoever executes another program leaves all of
 * it behind.
 */
#define _GNU_SOURCE
#include "runtime/sigquit.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/signals.h"
#include "sched/rest.h"
#include "skua/dump.h"

struct skuai_sigquit {
    skua_runtime *rt;
    struct skuai_thread thread;
    struct skuai_signal_slot *slot;
    int fd;
    skua_word32 stops; /* by who stops it, before the eventfd is written */
};

/* Several runtimes of a process do not mix their lines. */
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static void dump(const struct skuai_sigquit *sigquit)
{
    pthread_mutex_lock(&one_at_a_time);
    int rc = skua_dump(sigquit->rt, STDERR_FILENO);
    pthread_mutex_unlock(&one_at_a_time);
    if (rc < 0)
        skuai_log(&sigquit->rt->sched, SKUA_LOG_WARN, "SIGQUIT: the dump is not whole: %s", skua_strerror(rc));
}

static void sigquit_main(void *arg)
{
    struct skuai_sigquit *sigquit = arg;
    sigset_t open;
    uint64_t count;
    ssize_t n;
    sigemptyset(&open);
    sigaddset(&open, SIGQUIT);
    pthread_sigmask(SIG_UNBLOCK, &open, NULL);
    do {
        struct skuai_rest rest; /* it wakes nobody, so it does not keep deadlocks from being seen */
        skuai_rest_begin(&rest, SKUAI_REST_GUARD, true);
        n = read(sigquit->fd, &count, sizeof count);
        skuai_rest_end(&rest, SKUAI_REST_GUARD, true);
        /* Acquire: pairs with the release of who stops it. No model test runs this: the eventfd orders them besides. */
        if (skuai_load_32(&sigquit->stops, SKUAI_ACQUIRE) == 0 && n == (ssize_t)sizeof count)
            dump(sigquit);
    } while (skuai_load_32(&sigquit->stops, SKUAI_ACQUIRE) == 0);
}

static int start(struct skuai_sigquit *sigquit)
{
    sigquit->fd = eventfd(0, EFD_CLOEXEC);
    if (sigquit->fd < 0)
        return -skua_errno();
    int rc = skuai_signal_watch(&sigquit->slot, SIGQUIT, sigquit->fd);
    if (rc == 0 && (rc = skuai_thread_start_real(&sigquit->thread)) < 0)
        skuai_signal_unwatch(sigquit->slot);
    if (rc < 0)
        (void)close(sigquit->fd);
    return rc;
}

int skuai_sigquit_start(skua_runtime *rt)
{
    struct skuai_sigquit *sigquit = skuai_memory_get(&rt->sched, sizeof *sigquit);
    int rc = -ENOMEM;
    if (sigquit != NULL) {
        *sigquit = (struct skuai_sigquit){
            .rt = rt, .thread = { .entry = sigquit_main, .arg = sigquit, .env = &rt->sched.env, .name = "skua-sigquit" }
        };
        rc = start(sigquit);
    }
    if (rc == 0) {
        rt->sigquit = sigquit;
        return 0;
    }
    if (sigquit != NULL)
        skuai_memory_put(&rt->sched, sigquit, sizeof *sigquit);
    skuai_log(&rt->sched, SKUA_LOG_ERROR, "dump_on_sigquit (or SKUA_DUMP_ON_SIGQUIT): %s", skua_strerror(rc));
    return rc;
}

void skuai_sigquit_stop(struct skuai_sigquit *sigquit, bool in_child)
{
    const uint64_t one = 1;
    if (sigquit == NULL)
        return;
    if (!in_child) {
        skuai_signal_unwatch(sigquit->slot);
        skuai_store_32(&sigquit->stops, 1, SKUAI_RELEASE);
        while (write(sigquit->fd, &one, sizeof one) != (ssize_t)sizeof one)
            ; /* an interruption: nothing else is the matter with it */
        skuai_thread_join_real(&sigquit->thread);
        (void)close(sigquit->fd);
    }
    skuai_memory_put(&sigquit->rt->sched, sigquit, sizeof *sigquit);
}
