/* Members: tasks that belong to somebody, a group for instance (sync/group.c), who knows which of them live.
 *
 * A member's record lies in its slot, behind its body, so a member costs no allocation and the header grows by nothing:
 * nobody else joins a member, so the header's `joiner` points to the record, and M in the task's word says so.
 *
 *   M1 admit   after the task is made and before it is queued the owner links the record, under its lock, or refuses
 *   M2 end     when the task has ended, but before its slot is freed, the owner is told, on the worker that ran it; it
 *              unlinks the record under its lock. So a task that is found linked, under the lock, keeps its slot.
 *              An owner that keeps ended tasks has the handle (H in the word), and releases it to free the slot
 *   M3 abandon a runtime that stops with the member left over tells the owner with an error instead of M2. Then nobody
 *              runs the task any more
 */
#ifndef SKUAI_MEMBER_H
#define SKUAI_MEMBER_H

#include "sched/task.h"
#include "skua/future.h"

struct skuai_member_kind {
    void (*ended)(skua_task *task, int64_t result);     /* M2 */
    void (*abandoned)(skua_task *task, int64_t result); /* M3 */
    bool is_group; /* for reports: the owner is one that others know */
};

/* What an owner begins with. */
struct skuai_member_owner {
    const struct skuai_member_kind *kind;
};

struct skuai_member {
    struct skuai_member_owner *owner; /* fixed once spawned */
    /* guarded by the owner's lock */
    skua_task *next;
    skua_task **link; /* what points to this one: so it is unlinked from whichever list it is in */
    uint64_t tag[];   /* one, if the owner asked for it */
};

/* What a spawn is to be told. */
struct skuai_joining {
    struct skuai_member_owner *owner;
    bool keeps; /* its record has a tag, and the owner gets the handle */
    uint64_t tag;
    int (*admit)(struct skuai_joining *joining, skua_task *task); /* M1: 0, or why not; the task is freed then */
};

SKUAI_INLINE struct skuai_member *skuai_member_of(const skua_task *task)
{
    return (struct skuai_member *)SKUAI_READ(task->member);
}

SKUAI_INLINE void skuai_members_link(skua_task **first, skua_task *task)
{
    struct skuai_member *member = skuai_member_of(task);
    skua_task *next = SKUAI_READ(*first);
    SKUAI_WRITE(member->next, next);
    SKUAI_WRITE(member->link, first);
    if (next != NULL)
        SKUAI_WRITE(skuai_member_of(next)->link, &member->next);
    SKUAI_WRITE(*first, task);
}

SKUAI_INLINE void skuai_members_unlink(skua_task *task)
{
    struct skuai_member *member = skuai_member_of(task);
    skua_task *next = SKUAI_READ(member->next), **link = SKUAI_READ(member->link);
    if (next != NULL)
        SKUAI_WRITE(skuai_member_of(next)->link, link);
    SKUAI_WRITE(*link, next);
}

/* spawn.c: as skua_spawn_with() and skua_spawn_frame(), with a member's record. Errors also: what admit returns. */
int skuai_spawn_member(struct skuai_joining *joining, const skua_spawn_attr *attr, skua_fiber_fn *fn, void *arg);
int skuai_spawn_frame_member(struct skuai_joining *joining, const skua_spawn_attr *attr, skua_poll_fn *poll,
                             size_t size, size_t in_offset, const void *in, size_t in_size);

/* M2, by the worker. Whether the caller frees the task. */
SKUAI_INLINE bool skuai_member_end(skua_task *task)
{
    int64_t result = SKUAI_READ(task->result);
    bool frees = skuai_task_word_end(&task->word) == SKUAI_TASK_FREE; /* else it is the owner's, maybe gone already */
    skuai_member_of(task)->owner->kind->ended(task, result);
    return frees;
}

/* M3, by who has seen the workers' end. */
SKUAI_INLINE void skuai_member_abandon(skua_task *task, int64_t error)
{
    uint64_t word = skuai_load_64(&task->word, SKUAI_RELAXED); /* nobody runs it */
    if ((word & SKUAI_TASK_MEMBER) && skuai_task_word_lives(word))
        skuai_member_of(task)->owner->kind->abandoned(task, error);
}

#endif
