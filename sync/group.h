/* A group's state, and the steps on it (group.c), for its public calls (group_go.c, group_wait.c). */
#ifndef SKUAI_GROUP_H
#define SKUAI_GROUP_H

#include "sched/member.h"
#include "sched/wait.h"
#include "sched/waiters.h"
#include "skua/group.h"

/* Of group->state. */
enum {
    SKUAI_GROUP_CANCELED = 1, /* nobody is admitted; members have been cancelled, or somebody is about to */
    SKUAI_GROUP_WAITED = 2    /* a wait has returned: the next use begins with clean accounts */
};

struct skuai_group_entry {
    struct skuai_joining joining;
    bool has_place, has_tag;
};

/* N1: a skuai_joining's admit. */
int skuai_group_admit(struct skuai_joining *joining, skua_task *task);
void skuai_group_entry_init(struct skuai_group_entry *entry, skua_group *group, const skua_member_attr *attr);
/* N5: 0; -EAGAIN; -ECANCELED. */
int skuai_group_try_place(skua_group *group);
void skuai_group_give_place(skua_group *group);
/* N3, if there are members. */
void skuai_group_cancel_living(skua_group *group);
/* N4 without waiting: whether nobody is alive. */
bool skuai_group_try_finish(skua_group *group, int64_t *outcome);
/* Calls back, under the lock, for each member. */
void skuai_group_each_member(skua_group *group, void (*visit)(void *context, skua_task *task), void *context);

SKUAI_INLINE struct skuai_lock *skuai_group_lock(skua_group *group) { return skuai_lock_at(&group->lock); }

#endif
