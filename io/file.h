/* A file's call as an op: a blocking call (blocking.h) whose argument is the op itself. See file.c. */
#ifndef SKUAI_FILE_H
#define SKUAI_FILE_H

#include "io/blocking.h"
#include "sched/op.h"
#include "skua/file.h"

/* Prepares it; `kind` has start and withdraw as blocking.h says. What else is in the op is the caller's to set. */
SKUAI_INLINE skua_op *skuai_file_prepare(skua_file_op *op, const struct skuai_op_kind *kind, skua_blocking_fn *fn)
{
    op->call.fn = fn;
    op->call.arg = op;
    return skuai_op_prepare(&op->op, kind, NULL);
}

/* The two forms that follow from the prepared one: FORMS(type, name, (op, its arguments), parameters …). */
#define SKUAI_FILE_FORMS(type, name, arguments, ...)       \
    skua_op *name##_start(skua_file_op *op, __VA_ARGS__)   \
    {                                                      \
        return skuai_op_start(name##_prepare arguments);   \
    }                                                      \
    type name(__VA_ARGS__)                                 \
    {                                                      \
        skua_file_op call, *op = &call;                    \
        return (type)skuai_call(name##_prepare arguments); \
    }

#endif
