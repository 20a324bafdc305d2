/* Making flows for the hand-written switches. */
#define _GNU_SOURCE
#include "sched/context.h"

/* context_*.S */
void skuai_context_prepare(struct skuai_registers *registers, void *top, skuai_context_entry *entry, void *arg);
void skuai_registers_call_under(const struct skuai_registers *registers, void (*fn)(void *arg), void *arg);

void skuai_context_make(struct skuai_context *ctx, void *stack_low, size_t size, skuai_context_entry *entry, void *arg)
{
    skuai_context_prepare(&ctx->registers, (char *)stack_low + size, entry, arg);
    skuai_tools_make(&ctx->tools, stack_low, size);
}

bool skuai_context_call_under(const struct skuai_context *ctx, void (*fn)(void *arg), void *arg)
{
    skuai_registers_call_under(&ctx->registers, fn, arg);
    return true;
}
