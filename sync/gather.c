/* Calls in parallel: a collecting group, whose members' results are judged as they come. */
#include "skua/gather.h"

#include <errno.h>

#include "sched/scheduler.h"
#include "sched/wait.h"
#include "skua/group.h"

enum mode { ALL, RACE, ANY, SETTLED };

struct gathering {
    skua_group group;
    skua_call *calls;
    size_t count, started;
    enum mode mode;
    bool is_decided; /* nobody is started any more */
    int64_t outcome;
};

static void decide(struct gathering *g, int64_t outcome)
{
    if (g->is_decided)
        return;
    g->is_decided = true;
    g->outcome = outcome;
    skua_group_cancel(&g->group);
}

static void decide_before(struct gathering *g, int64_t outcome)
{
    g->is_decided = true;
    g->outcome = outcome;
}

static void judge_call(struct gathering *g, size_t index)
{
    int64_t result = g->calls[index].result;
    if (g->is_decided)
        return;
    switch (g->mode) {
    case ALL:
        if (result < 0)
            decide(g, result);
        break;
    case RACE:
        decide(g, (int64_t)index);
        break;
    case ANY:
        if (result >= 0)
            decide(g, (int64_t)index);
        else
            g->outcome = result;
        break;
    case SETTLED:
        g->outcome += result >= 0;
        break;
    }
}

static void take(struct gathering *g, const skua_group_result *result)
{
    g->calls[result->tag].result = result->value;
    judge_call(g, result->tag);
}

/* Waits for the next result. False: none is left. An interruption decides; from then on, shielded. */
static bool take_next(struct gathering *g)
{
    skua_group_result result;
    int rc = skua_group_next(&g->group, &result);
    if (rc < 0) {
        decide(g, rc);
        skua_scope shield;
        skua_shield_enter(&shield);
        rc = skua_group_next(&g->group, &result);
        skua_scope_leave(&shield);
    }
    if (rc == 1)
        take(g, &result);
    return rc == 1;
}

/* Takes what has come. Whether it decides: then nobody is started in the places that are free. */
static bool take_ready(struct gathering *g)
{
    skua_group_result result;
    while (!g->is_decided && skua_group_try_next(&g->group, &result) == 1)
        take(g, &result);
    return g->is_decided;
}

/* 0, or -EAGAIN: all places are taken. */
static int start_one(struct gathering *g, const skua_gather_attr *attr)
{
    skua_call *call = &g->calls[g->started];
    skua_member_attr member = { .spawn = attr != NULL ? attr->spawn : NULL, .tag = g->started,
                                .flags = SKUA_MEMBER_TAGGED | SKUA_MEMBER_TRY };
    int rc = skua_group_go_with(&g->group, &member, call->fn, call->arg);
    if (rc == -EAGAIN)
        return rc;
    g->started++;
    if (rc < 0) {
        call->result = rc;
        decide(g, rc);
    }
    return 0;
}

static int begin_gathering(void)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (SKUAI_UNLIKELY(worker != NULL && (worker->task == NULL || worker->polling != 0)))
        return skuai_misuse("skua_gather", "was called where nothing can be suspended",
                            "in a future use a set (combine.h) or a group, or spawn a fiber for it");
    return skuai_call_begin(worker, "skua_gather");
}

static int64_t gather(skua_call *calls, size_t count, const skua_gather_attr *attr, enum mode mode)
{
    struct gathering g = { .calls = calls, .count = count, .mode = mode };
    skua_group_attr group_attr = { .runtime = attr != NULL && attr->spawn != NULL ? attr->spawn->runtime : NULL,
                                   .limit = attr != NULL ? attr->limit : 0,
                                   .flags = SKUA_GROUP_COLLECT | SKUA_GROUP_KEEP_GOING };
    int rc = count == 0 && (mode == RACE || mode == ANY) ? -EINVAL : begin_gathering();
    if (rc < 0)
        decide_before(&g, rc);
    skua_group_init_with(&g.group, &group_attr);
    while (g.started < count && !take_ready(&g))
        if (start_one(&g, attr) == -EAGAIN)
            (void)take_next(&g);
    for (size_t i = g.started; i < count; i++)
        calls[i].result = -ECANCELED;
    while (g.started != 0 && take_next(&g))
        ;
    skua_group_fini(&g.group);
    return g.outcome;
}

int64_t skua_gather(skua_call *calls, size_t count, const skua_gather_attr *attr)
{
    return gather(calls, count, attr, ALL);
}
int64_t skua_gather_race(skua_call *calls, size_t count, const skua_gather_attr *attr)
{
    return gather(calls, count, attr, RACE);
}
int64_t skua_gather_any(skua_call *calls, size_t count, const skua_gather_attr *attr)
{
    return gather(calls, count, attr, ANY);
}
int64_t skua_gather_settled(skua_call *calls, size_t count, const skua_gather_attr *attr)
{
    return gather(calls, count, attr, SETTLED);
}
