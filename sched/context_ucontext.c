/* The context switch where there is no hand-written one: ucontext. Two system calls per switch, for the signal mask,
 * which therefore goes with the flow.
 *
 * While a flow is suspended, its ucontext lies in the frame of the skuai_registers_swap() that suspended it; that of a
 * flow that has not started yet lies at the top of its stack.
 */
#define _GNU_SOURCE
#include "sched/context.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

/* A new flow's floating-point modes, in place of its maker's. */
#if defined(__x86_64__) && defined(__GLIBC__)
static void reset_floating_point(ucontext_t *flow)
{
    flow->__fpregs_mem.mxcsr = 0x1f80; /* round to nearest, all exceptions masked */
    flow->__fpregs_mem.cwd = 0x037f;   /* the same, 64-bit significand */
}
#elif defined(__aarch64__) && defined(__GLIBC__)
#include <asm/sigcontext.h>
static void reset_floating_point(ucontext_t *flow)
{
    struct fpsimd_context *saved = (struct fpsimd_context *)(void *)flow->uc_mcontext.__reserved;
    if (saved->head.magic == FPSIMD_MAGIC)
        saved->fpcr = 0;
}
#else
static void reset_floating_point(ucontext_t *flow) { (void)flow; } /* not known where: it starts with its maker's */
#endif

/* makecontext() hands over ints: two halves of a pointer each. */
static void *pointer_of(unsigned high, unsigned low) { return (void *)(((uintptr_t)high << 16 << 16) | low); }
static unsigned high_half(uintptr_t bits) { return (unsigned)(bits >> 16 >> 16); }
static unsigned low_half(uintptr_t bits) { return (unsigned)(bits & UINT32_MAX); }

static void start(unsigned entry_high, unsigned entry_low, unsigned arg_high, unsigned arg_low)
{
    void *code = pointer_of(entry_high, entry_low);
    skuai_context_entry *entry;
    memcpy(&entry, &code, sizeof entry);
    skuai_context_begin(entry, pointer_of(arg_high, arg_low));
}

void skuai_context_make(struct skuai_context *ctx, void *stack_low, size_t size, skuai_context_entry *entry, void *arg)
{
    uintptr_t top = ((uintptr_t)stack_low + size - sizeof(ucontext_t)) & ~(uintptr_t)63;
    ucontext_t *flow = (ucontext_t *)top;
    void (*function)(void);
    void (*starter)(unsigned, unsigned, unsigned, unsigned) = start;
    memcpy(&function, &starter, sizeof function); /* makecontext's type is not the function's */
    if (getcontext(flow) != 0)
        abort(); /* it fails nowhere */
    flow->uc_stack.ss_sp = stack_low;
    flow->uc_stack.ss_size = (size_t)(top - (uintptr_t)stack_low);
    flow->uc_link = NULL;
    reset_floating_point(flow);
    makecontext(flow, function, 4, high_half((uintptr_t)entry), low_half((uintptr_t)entry), high_half((uintptr_t)arg),
                low_half((uintptr_t)arg));
    ctx->registers.sp = flow;
    skuai_tools_make(&ctx->tools, stack_low, size);
}

bool skuai_context_call_under(const struct skuai_context *ctx, void (*fn)(void *arg), void *arg)
{
    (void)ctx;
    (void)fn;
    (void)arg;
    return false; /* how to describe a ucontext_t to unwinders is another matter on each system */
}

void skuai_registers_swap(struct skuai_registers *save, const struct skuai_registers *to)
{
    ucontext_t self;
    save->sp = &self;
    if (swapcontext(&self, to->sp) != 0)
        abort(); /* only for lack of stack, which the target's own frame disproves */
}
