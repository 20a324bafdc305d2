/* Telling the outside: log lines, misuse, error texts. */
#define _GNU_SOURCE
#include "sched/scheduler.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 512 };

void skuai_log(struct skuai_scheduler *sched, enum skua_log_level level, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (sched != NULL && sched->reporting.log != NULL)
        sched->reporting.log(sched->reporting.log_context, level, line);
    else if (level <= SKUA_LOG_WARN)
        fprintf(stderr, "skua: %s\n", line);
}

int skuai_misuse(const char *call, const char *what, const char *instead)
{
    struct skuai_worker *worker = skuai_worker_self();
    return skuai_misuse_of(worker != NULL ? worker->sched : NULL, call, what, instead);
}

int skuai_misuse_of(struct skuai_scheduler *sched, const char *call, const char *what, const char *instead)
{
    char line[LINE_MAX_BYTES];
    struct skuai_worker *worker = skuai_worker_self();
    const skua_task *task = worker != NULL ? worker->task : NULL;
    const char *name = task != NULL ? skuai_task_name(task) : "";
    int length = snprintf(line, sizeof line, "misuse: %s %s", call, what);
    if (task != NULL && length > 0 && (size_t)length < sizeof line)
        length += snprintf(line + length, sizeof line - (size_t)length, " (task %llu%s%s)",
                           (unsigned long long)skuai_task_id(task), name[0] != '\0' ? " " : "", name);
    if (length > 0 && (size_t)length < sizeof line)
        snprintf(line + length, sizeof line - (size_t)length, ": %s", instead);
    if (sched != NULL && sched->reporting.misuse != NULL) {
        sched->reporting.misuse(sched->reporting.misuse_context, line);
        return -EPERM;
    }
    skuai_log(sched, SKUA_LOG_ERROR, "%s", line);
    abort();
}

#if defined(SKUAI_DEBUG)
skua_wordptr skuai_flow_ends_hook;
void skuai_flow_ends(const void *flow)
{
    void *loaded = skuai_load_ptr(&skuai_flow_ends_hook, SKUAI_RELAXED);
    void (*hook)(const void *) = (void (*)(const void *))(uintptr_t)loaded;
    if (hook != NULL) /* a function of this library, if any */
        hook(flow);
}
#endif

_Noreturn void skuai_die_forked(void)
{
    skuai_log(NULL, SKUA_LOG_ERROR, "a task has forked, and the child has come to the end of it or awaits something: "
                                    "it must exec or _exit before");
    abort();
}

#define TEXT2(x) #x
#define TEXT(x) TEXT2(x)
const char *skua_version(void)
{
    return TEXT(SKUA_VERSION_MAJOR) "." TEXT(SKUA_VERSION_MINOR) "." TEXT(SKUA_VERSION_PATCH);
}

/* The codes that have a meaning of Skua's own. */
#define SKUAI_ERRORS(X)                                                                       \
    X(0, "success")                                                                           \
    X(ECANCELED, "the task was cancelled")                                                    \
    X(ETIMEDOUT, "the deadline passed")                                                       \
    X(ESHUTDOWN, "the runtime is shutting down")                                              \
    X(EDEADLK, "the wait could never end")                                                    \
    X(EBUSY, "somebody else is using it")                                                     \
    X(EPERM, "not from here: the calling thread or task may not do this")                     \
    X(ENOTSUP, "not possible here (in a forked child, a runtime of the parent cannot be used)")

const char *skua_strerror(int error)
{
    switch (error < 0 ? -error : error) {
#define X(code, text) \
    case code:        \
        return text;
        SKUAI_ERRORS(X)
#undef X
    default: {
        const char *text = strerrordesc_np(error < 0 ? -error : error);
        return text != NULL ? text : "unknown error";
    }
    }
}
