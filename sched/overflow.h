/* A fault in the guard under a fiber's stack ends the process with a message that names the fiber.
 *
 * The first runtime installs a handler for SIGSEGV and SIGBUS, the last one puts back what was there. The handler runs
 * on an alternate signal stack, for the fiber's is used up: each worker has one (thread_init). It asks `describe`
 * whether the address belongs to the fiber that the thread runs. If so it writes what describe wrote, and aborts.
 * Any other fault goes to the handler that was there before, as if ours had not been; the default action included.
 *
 * The state is global, as signal actions are. A handler that the application installs after us lies over ours, and
 * stays there; overflows are reported if it calls ours for what it does not know.
 */
#ifndef SKUAI_OVERFLOW_H
#define SKUAI_OVERFLOW_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

/* Called in a signal handler, so it takes no lock and calls nothing that might. If the fault at this address is the
 * overflow of the calling thread's fiber, writes a message and returns its length; else returns 0. */
typedef int skuai_overflow_describe_fn(const void *fault_address, char *text, size_t size);

/* Counted. All callers give the same function. Returns 0 or a negative errno value. */
__attribute__((warn_unused_result)) int skuai_overflow_install(skuai_overflow_describe_fn *describe);
void skuai_overflow_uninstall(void);

/* The calling thread's alternate signal stack, unless it has one already (a sanitizer's, another runtime's). */
struct skuai_overflow_thread {
    void *mapping; /* NULL: not ours */
    size_t size;
};

__attribute__((warn_unused_result)) int skuai_overflow_thread_init(struct skuai_overflow_thread *thread);
void skuai_overflow_thread_fini(struct skuai_overflow_thread *thread); /* on the same thread */

/* One that a thread has for a while only, in place of what it has else: memory (0 or a negative errno value), and a
 * while on the calling thread. Without memory nothing changes. */
struct skuai_overflow_stack {
    void *mapping; /* NULL: none */
    size_t size;
    bool entered;
    stack_t before; /* the thread's own, while it has ours */
};

__attribute__((warn_unused_result)) int skuai_overflow_stack_create(struct skuai_overflow_stack *stack);
void skuai_overflow_stack_destroy(struct skuai_overflow_stack *stack);
void skuai_overflow_thread_enter(struct skuai_overflow_stack *stack);
void skuai_overflow_thread_leave(struct skuai_overflow_stack *stack);

/* For describe: the usual message. Async-signal-safe. `name` may be NULL or empty. Returns its length. */
int skuai_overflow_message(char *text, size_t size, const char *name, size_t stack_bytes);

/* In a signal handler: what would have happened if `previous`, which it has replaced, were still there; the default
 * action included, which it takes to end the process. */
void skuai_signal_chain(const struct sigaction *previous, int signal_number, siginfo_t *info, void *ucontext);

/* Around a fork, so that the child finds the installation whole. */
void skuai_overflow_lock(void);
void skuai_overflow_unlock(void);

#endif
