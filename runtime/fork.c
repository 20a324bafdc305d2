/* Runtimes and fork(). A child has a runtime's memory and none of its threads.
 *
 * It knows that by a page that the kernel zeroes in the child (MADV_WIPEONFORK), without a system call. Where there is
 * no such mark (Linux before 4.14) the page is an ordinary one, and a child that uses its parent's runtime is not
 * caught.
 *
 * If a task forked, the child goes on in the task's code, on a worker's thread or a fiber's stack. It must not go on as
 * a worker: it would run the parent's other tasks once more. So a handler takes the worker away from the child's
 * thread, which is an ordinary one from then on: what waits waits as in any thread. It gives the thread the signal mask
 * and the processors of who made the runtime, for what it may exec. If the task's function returns in the child, the
 * process ends with a message. The handlers are the process's, as fork is, and are never taken back.
 */
#define _GNU_SOURCE
#include "runtime/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sched/interrupt.h"
#include "sched/overflow.h"
#include "sched/rest.h"

skua_word32 *skuai_fork_page_create(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
#ifdef MADV_WIPEONFORK
    madvise(page, size, MADV_WIPEONFORK);
#endif
    skua_word32 *word = page;
    skuai_store_32(word, 1, SKUAI_RELAXED); /* before any other thread knows the runtime */
    return word;
}

void skuai_fork_page_destroy(skua_word32 *word) { munmap(word, (size_t)sysconf(_SC_PAGESIZE)); }

/* Held by who uses a library with locks of its own, hwloc, so that no other thread does while one forks: the child
 * would find them locked for ever. */
static pthread_mutex_t foreign = PTHREAD_MUTEX_INITIALIZER;

void skuai_fork_hold_off(void) { pthread_mutex_lock(&foreign); }
void skuai_fork_allow(void) { pthread_mutex_unlock(&foreign); }

static void before(void)
{
    skuai_fork_hold_off();
    skuai_overflow_lock();
    skuai_interrupt_lock();
    skuai_rest_fork_begins();
}

static void after(bool in_child)
{
    skuai_rest_fork_ends(in_child);
    skuai_interrupt_unlock();
    skuai_overflow_unlock();
    skuai_fork_allow();
}

static void in_parent(void) { after(false); }

static void in_child(void)
{
    struct skuai_worker *worker = skuai_worker_self();
    after(true);
    if (worker == NULL)
        return;
    skuai_worker_set_self(NULL);
    worker->forked = worker->stopping = true; /* its loop ends at its next turn */
    worker->until_check = 1;
    if (worker->sched->env.sim != NULL || worker->sched->embed != NULL) /* the thread is its maker's own */
        return;
    skuai_thread_restore_signals(&worker->thread);
    if (worker->sched->bind)
        skuai_topology_unbind_self(&worker->sched->topology);
}

int skuai_fork_watch(void)
{
    static skua_word32 watched; /* 1: the handlers are there, or about to be */
    if (skuai_exchange_32(&watched, 1, SKUAI_RELAXED) != 0)
        return 0;
    int error = pthread_atfork(before, in_parent, in_child);
    if (error != 0)
        skuai_store_32(&watched, 0, SKUAI_RELAXED);
    return -error;
}

bool skuai_fork_is_child(const struct skuai_scheduler *sched)
{
    return sched->alive_here != NULL && skuai_load_32(sched->alive_here, SKUAI_RELAXED) == 0;
}
