/* The calling thread's worker, or NULL (tls.c).
 *
 * A fiber may wake on another thread, and compilers cache the address of a thread-local across calls (llvm#49257,
 * #63022). So it is read in assembly, which is not merged, and not moved across a switch or a call: no address is seen
 * by the compiler. Elsewhere it is a call.
 */
#ifndef SKUAI_SELF_H
#define SKUAI_SELF_H

#include "sched/atomic.h"

struct skuai_worker;

void skuai_worker_set_self(struct skuai_worker *worker);

#if !defined(SKUAI_MODEL) && defined(__x86_64__) && defined(__LP64__) && defined(__ELF__)
#define SKUAI_SELF_INLINE 1
SKUAI_INLINE struct skuai_worker *skuai_worker_self(void)
{
    struct skuai_worker *worker;
    __asm__ volatile("movq skuai_tls_worker@gottpoff(%%rip), %0\n\t"
                     "movq %%fs:(%0), %0"
                     : "=r"(worker));
    return worker;
}
#elif !defined(SKUAI_MODEL) && defined(__aarch64__) && defined(__LP64__) && defined(__ELF__)
#define SKUAI_SELF_INLINE 1
SKUAI_INLINE struct skuai_worker *skuai_worker_self(void)
{
    struct skuai_worker *worker;
    uint64_t thread;
    __asm__ volatile("adrp %0, :gottprel:skuai_tls_worker\n\t"
                     "ldr %0, [%0, :gottprel_lo12:skuai_tls_worker]\n\t"
                     "mrs %1, tpidr_el0\n\t"
                     "ldr %0, [%0, %1]"
                     : "=&r"(worker), "=&r"(thread));
    return worker;
}
#else
struct skuai_worker *skuai_worker_self(void);
#endif

#endif
