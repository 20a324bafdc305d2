/* The thread-locals: which worker the calling thread is; what scopes a thread is in that is none, and what reports say
 * of it; and the C library's errno.
 *
 * A fiber may wake on another thread, and compilers cache the address of a thread-local across calls (llvm#49257,
 * #63022): so this file is never part of link-time optimisation, the functions are not inlined and pass values, and
 * the empty assembly keeps two calls from being merged into one. What is asked most, self.h reads in place.
 */
#include "sched/scheduler.h"
#include "sched/scope.h"

#include <errno.h>

/* Of external linkage for self.h's assembly. */
extern _Thread_local struct skuai_worker *skuai_tls_worker;
_Thread_local struct skuai_worker *skuai_tls_worker __attribute__((tls_model("initial-exec")));

#if !defined(SKUAI_SELF_INLINE)
__attribute__((noinline)) struct skuai_worker *skuai_worker_self(void)
{
    __asm__ volatile("" ::: "memory");
    return skuai_tls_worker;
}
#endif

__attribute__((noinline)) void skuai_worker_set_self(struct skuai_worker *worker)
{
    __asm__ volatile("" ::: "memory");
    skuai_tls_worker = worker;
}

static _Thread_local skua_scope *scopes __attribute__((tls_model("initial-exec")));

__attribute__((noinline)) skua_scope **skuai_thread_scopes(void)
{
    __asm__ volatile("" ::: "memory");
    return &scopes;
}

#if defined(SKUAI_DEBUG)
static _Thread_local const char *place __attribute__((tls_model("initial-exec")));

__attribute__((noinline)) const char **skuai_thread_place(void)
{
    __asm__ volatile("" ::: "memory");
    return &place;
}
#endif

static _Thread_local struct skuai_thread_notes notes __attribute__((tls_model("initial-exec")));

__attribute__((noinline)) struct skuai_thread_notes *skuai_thread_notes(void)
{
    __asm__ volatile("" ::: "memory");
    return &notes;
}

__attribute__((noinline)) int skua_errno(void)
{
    __asm__ volatile("" ::: "memory");
    return errno;
}
