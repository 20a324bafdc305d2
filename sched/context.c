/* What all ways to switch share: describing an OS thread's own flow, and the first steps of a new one. */
#define _GNU_SOURCE
#include "sched/context.h"

#if SKUAI_ASAN
#include <pthread.h>
#if defined(__FreeBSD__) || defined(__OpenBSD__)
#include <pthread_np.h>
#endif

#if defined(__APPLE__)
void skuai_asan_init_thread(struct skuai_flow_asan *self)
{
    self->stack_size = pthread_get_stacksize_np(pthread_self());
    self->stack_low = (char *)pthread_get_stackaddr_np(pthread_self()) - self->stack_size;
}
#else
#if defined(__FreeBSD__) || defined(__DragonFly__)
static int own_attributes(pthread_attr_t *attr)
{
    int rc = pthread_attr_init(attr);
    return rc != 0 ? rc : pthread_attr_get_np(pthread_self(), attr);
}
#else
static int own_attributes(pthread_attr_t *attr) { return pthread_getattr_np(pthread_self(), attr); }
#endif

void skuai_asan_init_thread(struct skuai_flow_asan *self)
{
    pthread_attr_t attr;
    *self = (struct skuai_flow_asan){ .stack_low = NULL };
    if (own_attributes(&attr) != 0)
        return;
    if (pthread_attr_getstack(&attr, &self->stack_low, &self->stack_size) != 0)
        *self = (struct skuai_flow_asan){ .stack_low = NULL };
    pthread_attr_destroy(&attr);
}
#endif
#endif

void skuai_context_init_thread(struct skuai_context *ctx)
{
    ctx->registers = (struct skuai_registers){ .sp = NULL };
    skuai_tools_init_thread(&ctx->tools);
}

void skuai_context_fini(struct skuai_context *ctx)
{
    skuai_tools_fini(&ctx->tools);
}

const void *skuai_context_stack_pointer(const struct skuai_context *ctx) { return ctx->registers.sp; }

void skuai_context_begin(skuai_context_entry *entry, void *arg)
{
    skuai_asan_arrive(NULL);
    entry(arg);
    __builtin_trap(); /* a flow's last act is skuai_context_exit() */
}
