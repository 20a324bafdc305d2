/* Starting a group's members. What that does to the group is group.c's (N1, N5). */
#include "sync/group.h"

#include <errno.h>

void skua_group_init(skua_group *group) { skua_group_init_with(group, NULL); }

/* A limited group: a place first, as an await, because what waits for it may not be a task yet that takes memory. */
static int take_place(skua_group *group, bool may_wait)
{
    int rc = skua_interrupted();
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    rc = skuai_group_try_place(group);
    if (rc != -EAGAIN || !may_wait)
        return rc;
    skua_group_op op;
    return (int)skuai_call(skua_group_reserve_prepare(&op, group));
}

/* 0: *entry may be spawned, and then left. */
static int enter_group(struct skuai_group_entry *entry, skua_group *group, const skua_member_attr *attr)
{
    skuai_group_entry_init(entry, group, attr);
    uint32_t flags = attr != NULL ? attr->flags : 0;
    if (SKUAI_LIKELY(group->limit == 0))
        return flags & SKUA_MEMBER_RESERVED ? -EINVAL : 0;
    entry->has_place = true;
    return flags & SKUA_MEMBER_RESERVED ? 0 : take_place(group, !(flags & SKUA_MEMBER_TRY));
}

/* A place that the start has taken is given back if it fails; a reserved one stays the caller's. */
static int leave_group(const struct skuai_group_entry *entry, skua_group *group, const skua_member_attr *attr, int rc)
{
    if (SKUAI_UNLIKELY(rc < 0) && entry->has_place && !(attr != NULL && (attr->flags & SKUA_MEMBER_RESERVED)))
        skuai_group_give_place(group);
    return rc;
}

/* `room` is for attributes that name the group's runtime. */
static const skua_spawn_attr *spawn_attr(skua_group *group, const skua_member_attr *attr, skua_spawn_attr *room)
{
    const skua_spawn_attr *spawn = attr != NULL ? attr->spawn : NULL;
    if (SKUAI_LIKELY(group->runtime == NULL) || (spawn != NULL && spawn->runtime != NULL))
        return spawn;
    *room = spawn != NULL ? *spawn : (skua_spawn_attr){ .name = NULL };
    room->runtime = group->runtime;
    return room;
}

int skua_group_go_with(skua_group *group, const skua_member_attr *attr, skua_fiber_fn *fn, void *arg)
{
    struct skuai_group_entry entry;
    skua_spawn_attr room;
    int rc = enter_group(&entry, group, attr);
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    rc = skuai_spawn_member(&entry.joining, spawn_attr(group, attr, &room), fn, arg);
    return leave_group(&entry, group, attr, rc);
}

int skua_group_go(skua_group *group, skua_fiber_fn *fn, void *arg) { return skua_group_go_with(group, NULL, fn, arg); }

int skua_group_try_go(skua_group *group, skua_fiber_fn *fn, void *arg)
{
    skua_member_attr attr = { .flags = SKUA_MEMBER_TRY };
    return skua_group_go_with(group, &attr, fn, arg);
}

int skua_group_go_frame(skua_group *group, const skua_member_attr *attr, skua_poll_fn *poll, size_t size,
                        size_t in_offset, const void *in, size_t in_size)
{
    struct skuai_group_entry entry;
    skua_spawn_attr room;
    int rc = enter_group(&entry, group, attr);
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    rc = skuai_spawn_frame_member(&entry.joining, spawn_attr(group, attr, &room), poll, size, in_offset, in, in_size);
    return leave_group(&entry, group, attr, rc);
}

skua_op *skua_group_reserve_start(skua_group_op *op, skua_group *group)
{
    return skuai_op_start(skua_group_reserve_prepare(op, group));
}

void skua_group_unreserve(skua_group *group) { skuai_group_give_place(group); }
