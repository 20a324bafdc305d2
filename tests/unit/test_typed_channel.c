/* Typed channels. What they refuse to compile is tests/house/check-docs' business. */
#include "skua/typed_channel.h"

#include <errno.h>
#include <stdlib.h>

#include "support/with_runtime.h"

struct point {
    int x, y;
};
SKUA_CHANNEL_DEFINE(points, struct point);
SKUA_CHANNEL_DEFINE(numbers, double);
SKUA_CHANNEL_DEFINE(texts, char *);

static int by_value(void *arg)
{
    (void)arg;
    points channel;
    numbers sums;
    struct point point = { 1, 2 };
    const struct point fixed = { 3, 4 };
    double sum;
    int evaluated = 0;
    CHECK_OK(points_create(&channel, 3));
    CHECK_OK(numbers_create(&sums, SKUA_UNBOUNDED));
    CHECK_EQ(skua_channel_value_size(channel.channel), sizeof(struct point));
    CHECK_OK(SKUA_SEND(channel, point));
    CHECK_OK(SKUA_TRY_SEND(channel, fixed));
    CHECK_OK(SKUA_SEND_UNTIL(channel, ((struct point){ 5, ++evaluated }), SKUA_NEVER));
    CHECK_EQ(evaluated, 1);
    CHECK_EQ(SKUA_TRY_SEND(channel, point), -EAGAIN);
    CHECK_EQ(SKUA_RECEIVE(channel, &point), 1);
    CHECK(point.x == 1 && point.y == 2);
    CHECK_EQ(SKUA_TRY_RECEIVE(channel, &point), 1);
    CHECK(point.x == 3 && point.y == 4);
    CHECK_EQ(SKUA_RECEIVE_UNTIL(channel, &point, SKUA_NEVER), 1);
    CHECK(point.x == 5 && point.y == 1);
    CHECK_OK(points_send(channel, (struct point){ 6, 7 }));
    CHECK_EQ(points_receive(channel, &point), 1);
    CHECK(point.x == 6 && point.y == 7);
    CHECK_OK(SKUA_SEND(sums, point.x / 4.0));
    CHECK_OK(numbers_send(sums, 2));
    CHECK_EQ(SKUA_RECEIVE(sums, &sum), 1);
    CHECK(sum == 1.5);
    CHECK_EQ(SKUA_RECEIVE(sums, &sum), 1);
    CHECK(sum == 2);
    points_close(channel);
    CHECK_EQ(SKUA_RECEIVE(channel, &point), 0);
    CHECK_OK(points_destroy(channel));
    CHECK_OK(numbers_destroy(sums));
    return 0;
}
TEST(values_of_a_type) { run_everywhere(by_value, NULL); }

static int frees(void *arg)
{
    texts channel = { .channel = arg };
    char *text;
    int n = 0;
    for (; SKUA_RECEIVE(channel, &text) == 1; n++)
        free(text);
    return n;
}

static int ownership(void *arg)
{
    (void)arg;
    texts channel;
    skua_task *task;
    int64_t freed;
    char *text = malloc(10), *kept;
    CHECK_OK(texts_create(&channel, 0));
    kept = text;
    CHECK_EQ(SKUA_TRY_SEND_OWNED(channel, text), -EAGAIN);
    CHECK(text == kept);
    CHECK_OK(skua_spawn(&task, frees, channel.channel));
    CHECK_OK(SKUA_SEND_OWNED(channel, text));
    CHECK(text == NULL);
    text = malloc(10);
    CHECK_OK(skua_send_owned(channel.channel, &text));
    CHECK(text == NULL);
    texts_close(channel);
    kept = text = malloc(10);
    CHECK_EQ(SKUA_SEND_OWNED(channel, text), -EPIPE);
    CHECK(text == kept);
    free(text);
    CHECK_OK(skua_join(task, &freed));
    CHECK_EQ(freed, 2);
    CHECK_OK(texts_destroy(channel));
    return 0;
}
TEST(pointers_that_change_their_owner) { run_everywhere(ownership, NULL); }

struct squares {
    SKUA_FRAME;
    struct {
        numbers from, to;
    } in;
    skua_channel_op op;
    double number;
};
SKUA_ASYNC(squares)
{
    SKUA_BEGIN(self);
    for (;;) {
        SKUA_AWAIT(SKUA_RECEIVE_START(&self->op, self->in.from, &self->number));
        if (self->op.result != 1)
            break;
        self->number *= self->number;
        SKUA_AWAIT(SKUA_SEND_START(&self->op, self->in.to, &self->number));
    }
    numbers_close(self->in.to);
    SKUA_END(self->op.result);
}

static int in_futures_and_selects(void *arg)
{
    (void)arg;
    numbers from, to;
    skua_task *task;
    skua_channel_op out, in;
    double next = 2, square = 0;
    CHECK_OK(numbers_create(&from, 0));
    CHECK_OK(numbers_create(&to, 1));
    CHECK_OK(SKUA_SPAWN(&task, squares, .from = from, .to = to));
    for (int got = 0; got < 5;) {
        if (SKUA_SELECT(SKUA_SEND_PREPARE(&out, from, &next), SKUA_RECEIVE_PREPARE(&in, to, &square)) == 0) {
            next++;
        } else {
            got++;
            CHECK(square == (double)((got + 1) * (got + 1)));
        }
    }
    numbers_close(from);
    while (SKUA_RECEIVE(to, &square) == 1)
        ;
    CHECK_OK(skua_join(task, NULL));
    CHECK_OK(numbers_destroy(from));
    CHECK_OK(numbers_destroy(to));
    return 0;
}
TEST(in_futures_and_in_selects) { run_everywhere(in_futures_and_selects, NULL); }
