/* Flows of control and switching between them.
 *
 * A context describes one flow: an OS thread's own, or one made on a stack of its own. It is valid while the flow is
 * suspended; what it says of registers is old while the flow runs. Who may switch to a context, and when, is the
 * caller's protocol (fiber.c): a context is switched to once for each time that it was left, by any one thread, and all
 * that the flow wrote before it was left must be visible to that thread.
 *
 * A switch keeps what the ABI lets a function keep: callee-saved registers, and on x86-64 and aarch64 each flow's
 * floating-point modes (rounding, exception masks, flush to zero). It keeps neither errno nor the signal mask. A new
 * flow starts with the ABI's initial floating-point modes, whatever its maker's are: flows are made by whoever comes
 * by.
 *
 *   context_x86_64.h, context_x86_64.S, context_aarch64.S   where it is hand-written; context_asm.c is what they share
 *   context_ucontext.c                                      elsewhere: swapcontext, two system calls each
 *
 * The hand-written ones do not switch hardware shadow stacks (x86 SHSTK, arm64 GCS), and say so in their object files:
 * a program linked with them runs without. They are fine with branch tracking (IBT, BTI).
 */
#ifndef SKUAI_CONTEXT_H
#define SKUAI_CONTEXT_H

#include <stddef.h>

#include "sched/sanitize.h"

#if defined(__x86_64__) && !defined(SKUAI_UCONTEXT)
#include "sched/context_x86_64.h"
#else
struct skuai_registers {
    void *sp; /* where they are saved, on the flow's own stack */
};

/* Saves the registers in *save and continues the flow whose registers are *to. */
void skuai_registers_swap(struct skuai_registers *save, const struct skuai_registers *to);
#endif

struct skuai_context {
    struct skuai_registers registers;
    struct skuai_flow_tools tools;
};

/* Must not return: a flow ends by skuai_context_exit(). */
typedef void skuai_context_entry(void *arg);

/* Describes the calling OS thread's own flow. For AddressSanitizer it asks the system for the stack's place, which on
 * the main thread means reading /proc/self/maps: once per thread, not per call. */
void skuai_context_init_thread(struct skuai_context *ctx);

/* A flow that will call entry(arg) when it is first switched to. At least 1 KiB of stack; none of it is kept. */
void skuai_context_make(struct skuai_context *ctx, void *stack_low, size_t size, skuai_context_entry *entry, void *arg);

/* Releases what tools know about the flow, which has exited or will never run again. Any thread, but not the flow. The
 * locals of a flow that never exited stay behind in AddressSanitizer's memory if it looks for use after return. */
void skuai_context_fini(struct skuai_context *ctx);

/* Suspends the calling flow in `from` and continues `to`. Returns when somebody switches back to `from`, maybe on
 * another OS thread. */
SKUAI_INLINE void skuai_context_switch(struct skuai_context *from, struct skuai_context *to)
{
    skuai_asan_leave(&from->tools.asan, &to->tools.asan);
    skuai_tsan_leave(&to->tools.tsan);
    skuai_registers_swap(&from->registers, &to->registers);
    skuai_asan_arrive(&from->tools.asan);
}

/* The last switch away from `from`, whose stack may be reused once `to` runs. */
__attribute__((noreturn)) SKUAI_INLINE void skuai_context_exit(struct skuai_context *from, struct skuai_context *to)
{
    skuai_asan_leave(NULL, &to->tools.asan);
    skuai_tsan_leave(&to->tools.tsan);
    skuai_registers_swap(&from->registers, &to->registers);
    __builtin_trap(); /* somebody switched to a flow that has exited */
}

/* Calls fn(arg) in such a way that, for who unwinds the stack from there, it was called where the flow is suspended;
 * the flow's stack is read and not written. It must stay suspended. False: that is not possible with this kind of
 * switch, and nothing was called. */
bool skuai_context_call_under(const struct skuai_context *ctx, void (*fn)(void *arg), void *arg);

/* Where the flow's stack pointer is. */
const void *skuai_context_stack_pointer(const struct skuai_context *ctx);

/* What every new flow runs first. For the context_* files. */
__attribute__((noreturn)) void skuai_context_begin(skuai_context_entry *entry, void *arg);

#endif
