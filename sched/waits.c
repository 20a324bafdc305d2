/* What tasks wait for, in words:
 *
 *     task 12 (acceptor), a fiber, waits in skua_event_wait of object 1 at server.c:41
 *     task 13, the future fetch, waits in skua_select of 2 at fetch.c:88
 *       arm 0: skua_event_wait of object 1
 *       arm 1: skua_join of task 12
 *     task 14, a fiber, waits in skua_race for 2 of 3 children at main.c:20
 *       child 0: the future fetch, in skua_event_wait of object 2 at fetch.c:90
 *       child 2: task 13
 *     task 15, a job of task 14, waits in skua_receive of object 3
 *
 * All of it comes from the op protocol's own structures, so each primitive's waits are shown by its kind's name.
 * Objects are numbered as they come, so that who waits for the same one is seen and the text depends on no address.
 * Places are known of what was compiled with -DSKUA_DEBUG (skua/place.h).
 */
#include <stdarg.h>
#include <stdio.h>

#include "sched/awaited.h"
#include "sched/combine.h"
#include "sched/deadlock.h"
#include "sched/select.h"
#include "sched/spawn.h"

enum { TEXT_BYTES = 400, PARTS_MAX = 16, DEPTH_MAX = 4 };

struct text {
    size_t length;
    char bytes[TEXT_BYTES];
};

static __attribute__((format(printf, 2, 3))) void add(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text->bytes + text->length, TEXT_BYTES - text->length, format, args);
    va_end(args);
    if (length > 0)
        text->length += (size_t)length < TEXT_BYTES - text->length ? (size_t)length : TEXT_BYTES - text->length - 1;
}

static void add_place(struct text *text, const char *place)
{
    if (place != NULL)
        add(text, " at %s", place);
}

/* ---- futures ------------------------------------------------------------------------------------------------- */

#if defined(__ELF__)
/* The linker's: where the list of skua/future.h begins and ends. */
extern const struct skuai_future_info *const __start_skua_futures[] __attribute__((weak, visibility("hidden")));
extern const struct skuai_future_info *const __stop_skua_futures[] __attribute__((weak, visibility("hidden")));
#define FUTURES_BEGIN __start_skua_futures
#define FUTURES_END __stop_skua_futures
#else
#define FUTURES_BEGIN ((const struct skuai_future_info *const *)NULL)
#define FUTURES_END FUTURES_BEGIN
#endif

const struct skuai_future_info *skuai_waits_info(skua_poll_fn *poll)
{
    for (const struct skuai_future_info *const *info = FUTURES_BEGIN; info != FUTURES_END; info++)
        if ((*info)->poll == poll)
            return *info;
    return NULL;
}

static void add_future(struct text *text, const skua_frame *frame)
{
    const struct skuai_future_info *info = skuai_waits_info(frame->poll);
    if (info != NULL)
        add(text, "the future %s", info->name);
    else
        add(text, "a future");
}

/* Where the innermost frame stands that is known; `top` is the outermost one, or NULL. */
static void add_place_of_frame(struct text *text, const skua_frame *leaf, const skua_frame *top, const char *otherwise)
{
    for (const skua_frame *frame = leaf; frame != NULL; frame = frame != top ? frame->parent : NULL) {
        const struct skuai_future_info *info = skuai_waits_info(frame->poll);
        if (info == NULL)
            continue;
        add(text, " at %s:%u", info->file, frame->resume);
        return;
    }
    add_place(text, otherwise);
}

/* ---- ops ----------------------------------------------------------------------------------------------------- */

uint32_t skuai_waits_number(struct skuai_waits *waits, const void *object)
{
    for (uint32_t i = 0; i < waits->count; i++)
        if (waits->objects[i] == object)
            return i + 1;
    if (waits->count == sizeof waits->objects / sizeof waits->objects[0])
        return 0;
    waits->objects[waits->count] = object;
    return ++waits->count;
}

static bool has_owner(const skua_op *op)
{
    return op->owner != NULL && (op->kind == NULL || !skuai_op_kind_of(op)->has_no_owner);
}

bool skuai_waits_joined(skua_op *op, uint64_t *id, uint32_t *generation)
{
    const skua_task *target = skuai_join_target(op);
    if (target == NULL || skuai_op_state(op) != SKUAI_OP_ARMED || !skuai_join_pin(op))
        return false;
    *id = skuai_task_id(target);
    *generation = skuai_join_generation(op);
    skuai_join_unpin(op);
    return true;
}

static void add_op(struct skuai_waits *waits, struct text *text, skua_op *op)
{
    const struct skuai_op_kind *kind = op->kind;
    uint64_t id;
    uint32_t number, generation;
    add(text, "%s", kind != NULL ? kind->name : "skua_await");
    if (skuai_waits_joined(op, &id, &generation))
        add(text, " of task %llu", (unsigned long long)id);
    else if (skuai_join_target(op) == NULL && has_owner(op) && (number = skuai_waits_number(waits, op->owner)) != 0)
        add(text, " of object %u", number);
}

/* ---- frames -------------------------------------------------------------------------------------------------- */

/* A part of a wait, which gets a line of its own. */
struct parts {
    struct skuai_waits *waits;
    int depth;
    uint32_t count;
};

static void say(struct skuai_waits *waits, const struct text *text) { waits->say(waits, text->bytes); }

static bool begin_part(struct parts *parts, struct text *text, const char *what, uint32_t number)
{
    *text = (struct text){ .length = 0 };
    if (parts->count++ >= PARTS_MAX)
        return false;
    add(text, "%*s%s %u: ", 2 * parts->depth, "", what, number);
    return true;
}

static void say_rest(struct parts *parts)
{
    struct text text = { .length = 0 };
    if (parts->count <= PARTS_MAX)
        return;
    add(&text, "%*sand %u more", 2 * parts->depth, "", parts->count - PARTS_MAX);
    say(parts->waits, &text);
}

static void say_arm(void *context, skua_op *op)
{
    struct parts *parts = context;
    struct text text;
    if (!begin_part(parts, &text, "arm", op->arm))
        return;
    add_op(parts->waits, &text, op);
    say(parts->waits, &text);
}

static void say_leaf(struct skuai_waits *waits, struct text *text, skua_frame *leaf, const skua_frame *top,
                     const char *place, int depth);

static void add_child_task(struct text *text, skua_child *child)
{
    uint64_t id = 0;
    uint32_t generation;
    if (child->flags & SKUAI_CHILD_STARTED && !skuai_waits_joined(&child->join.op, &id, &generation))
        add(text, "a task that has ended");
    else
        add(text, "task %llu",
            (unsigned long long)(child->flags & SKUAI_CHILD_STARTED ? id : skuai_task_id(child->task)));
}

static void say_child(struct parts *parts, skua_child *child, uint32_t index)
{
    struct text text;
    if (child->ended || !begin_part(parts, &text, "child", index))
        return;
    if (child->task != NULL) {
        add_child_task(&text, child);
        say(parts->waits, &text);
        return;
    }
    add_future(&text, child->future);
    add(&text, ", in ");
    say_leaf(parts->waits, &text, child->leaf, child->future, NULL, parts->depth);
}

static void say_set(struct skuai_waits *waits, struct text *text, const skua_set *set, const skua_frame *top,
                    const char *place, int depth)
{
    struct parts parts = { .waits = waits, .depth = depth + 1 };
    add(text, "%s for %u of %u children", skuai_set_call(set), set->left, set->count);
    add_place_of_frame(text, &set->frame, top, place);
    say(waits, text);
    for (uint32_t i = 0; depth < DEPTH_MAX && i < set->count; i++)
        say_child(&parts, &set->children[i], i);
    say_rest(&parts);
}

static void say_select(struct skuai_waits *waits, struct text *text, const skua_selection *selection,
                       const skua_frame *top, const char *place, int depth)
{
    struct parts parts = { .waits = waits, .depth = depth + 1 };
    add(text, "skua_select of %u", selection->count);
    add_place_of_frame(text, &selection->frame, top, place);
    say(waits, text);
    skuai_select_each_arm(selection, say_arm, &parts);
    say_rest(&parts);
}

/* Finishes a line, with what the innermost frame waits for. */
static void say_leaf(struct skuai_waits *waits, struct text *text, skua_frame *leaf, const skua_frame *top,
                     const char *place, int depth)
{
    if (leaf->poll == skuai_set_poll && leaf->resume != 0) {
        say_set(waits, text, (skua_set *)(void *)leaf, top, place, depth);
        return;
    }
    if (leaf->poll == skuai_select_poll) {
        say_select(waits, text, (skua_selection *)(void *)leaf, top, place, depth);
        return;
    }
    if (leaf->awaited != 0 && !(leaf->awaited & 1u))
        add_op(waits, text, (skua_op *)leaf->awaited);
    else
        add(text, "SKUA_PARK");
    add_place_of_frame(text, leaf, top, place);
    say(waits, text);
}

/* ---- tasks and threads --------------------------------------------------------------------------------------- */

/* Whose job a fiber runs, or NULL. */
static const skua_task *forker_of(const skua_task *task)
{
    const struct skuai_fiber *fiber = SKUAI_TASK_BODY(task);
    return fiber->started ? skuai_parallel_forker(task) : NULL;
}

static void begin_task(struct skuai_waits *waits, struct text *text, skua_task *task)
{
    const skua_task *forker;
    char name[32];
    skua_frame *root = skuai_task_root(task);
    skuai_task_name_from_outside(waits->sched, task, name, sizeof name);
    add(text, "task %llu", (unsigned long long)skuai_task_id(task));
    if (name[0] != '\0')
        add(text, " (%s)", name);
    add(text, ", ");
    if (root != NULL)
        add_future(text, root);
    else if ((forker = forker_of(task)) != NULL)
        add(text, "a job of task %llu", (unsigned long long)skuai_task_id(forker));
    else
        add(text, "a fiber");
}

/* A fiber that waits for something that is no op. */
static void add_other_wait(struct text *text, const struct skuai_fiber *fiber)
{
    add(text, "%s", fiber->started && fiber->strand != NULL ? "SKUA_JOIN, of a job that another worker has taken"
                                                            : "skua_park");
}

void skuai_waits_of_task(struct skuai_waits *waits, skua_task *task)
{
    struct text text = { .length = 0 };
    uint64_t word = skuai_load_64(&task->word, SKUAI_RELAXED); /* nothing runs */
    if (word & SKUAI_TASK_ENDED) /* it is there for its handle's sake */
        return;
    if (!(word & SKUAI_TASK_RUNNING)) {
        skuai_waits_of_waiting(waits, task);
        return;
    }
    begin_task(waits, &text, task);
    add(&text, ", is ready");
    say(waits, &text);
}

void skuai_waits_of_waiting(struct skuai_waits *waits, skua_task *task)
{
    struct text text = { .length = 0 };
    begin_task(waits, &text, task);
    add(&text, ", waits in ");
    skua_frame *root = skuai_task_root(task);
    const struct skuai_fiber *fiber = root == NULL ? SKUAI_TASK_BODY(task) : NULL;
    const char *place = fiber != NULL && fiber->started ? fiber->place : NULL;
    uintptr_t awaits = skuai_task_awaits(task);
    if (awaits & 1u) {
        say_leaf(waits, &text, (skua_frame *)(awaits & ~(uintptr_t)1), root, place, 0);
        return;
    }
    if (awaits != 0)
        add_op(waits, &text, (skua_op *)awaits);
    else
        add_other_wait(&text, fiber);
    add_place(&text, place);
    say(waits, &text);
}

size_t skuai_waits_futures(skua_task *task, struct skuai_in_future *futures, size_t max)
{
    const skua_frame *root = skuai_task_root(task);
    uintptr_t awaits = skuai_task_awaits(task);
    const skua_frame *frame = awaits & 1u ? (const skua_frame *)(awaits & ~(uintptr_t)1) : NULL;
    size_t count = 0;
    for (; frame != NULL && count < max; frame = frame != root ? frame->parent : NULL) {
        const struct skuai_future_info *info = skuai_waits_info(frame->poll);
        if (frame->poll == skuai_set_poll || frame->poll == skuai_select_poll)
            continue;
        futures[count++] = (struct skuai_in_future){ .poll = frame->poll, .line = frame->resume,
                                                     .name = info != NULL ? info->name : NULL,
                                                     .file = info != NULL ? info->file : NULL };
    }
    return count;
}

void skuai_waits_of_thread(struct skuai_waits *waits, const struct skuai_rest *rest)
{
    struct text text = { .length = 0 };
    add(&text, "thread %ld waits in ", rest->thread);
    if (rest->selection != NULL) {
        say_select(waits, &text, rest->selection, NULL, rest->place, 0);
        return;
    }
    if (rest->op != NULL)
        add_op(waits, &text, (skua_op *)(uintptr_t)rest->op); /* whose owner waits for this report */
    else
        add(&text, "skua_runtime_shutdown");
    add_place(&text, rest->place);
    say(waits, &text);
}
