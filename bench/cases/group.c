/* group_1000, fiber_group_1000, group_collect_1000. */
#include "bench/cases/work.h"
#include "skua/group.h"

enum { MEMBERS = 1000, GROUPS = 1000 };

struct member {
    SKUA_FRAME;
    struct {
        int64_t result;
    } in;
};
SKUA_ASYNC(member)
{
    SKUA_BEGIN(self);
    SKUA_END(self->in.result);
}

static int member_fiber(void *arg)
{
    (void)arg;
    return 0;
}

static void check_counts(skua_group *group)
{
    skua_group_counts counts;
    skua_group_count(group, &counts);
    work_check("members", (int64_t)counts.started, MEMBERS);
    work_check("members left", counts.live, 0);
}

static int64_t group_1000(void)
{
    skua_group group;
    skua_group_init(&group);
    for (int i = 0; i < GROUPS; i++) {
        for (int j = 0; j < MEMBERS; j++)
            work_must(SKUA_GROUP_GO(&group, member, .result = j));
        work_must((int)skua_group_wait(&group));
        check_counts(&group);
    }
    return (int64_t)GROUPS * MEMBERS;
}

static int64_t fiber_group_1000(void)
{
    skua_group group;
    skua_group_init(&group);
    for (int i = 0; i < GROUPS / 10; i++) {
        for (int j = 0; j < MEMBERS; j++)
            work_must(skua_group_go(&group, member_fiber, NULL));
        work_must((int)skua_group_wait(&group));
        check_counts(&group);
    }
    return (int64_t)GROUPS / 10 * MEMBERS;
}

static int64_t group_collect_1000(void)
{
    skua_group_attr attr = { .flags = SKUA_GROUP_COLLECT };
    skua_group group;
    skua_group_init_with(&group, &attr);
    for (int i = 0; i < GROUPS; i++) {
        int64_t sum = 0;
        skua_group_result result;
        for (int j = 0; j < MEMBERS; j++)
            work_must(SKUA_GROUP_GO(&group, member, .result = j));
        while (skua_group_next(&group, &result) == 1)
            sum += result.value;
        work_check("results", sum, (int64_t)MEMBERS * (MEMBERS - 1) / 2);
        work_must((int)skua_group_wait(&group));
    }
    return (int64_t)GROUPS * MEMBERS;
}

const struct work work_of_group[] = {
    { "group_1000", group_1000 },
    { "fiber_group_1000", fiber_group_1000 },
    { "group_collect_1000", group_collect_1000 },
    { NULL, NULL },
};
