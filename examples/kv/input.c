/* See input.h. */
#include "input.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARGUMENTS_FIRST = 16 };
#define UNKNOWN (-1)

int input_init(struct input *input, struct budget *budget)
{
    *input = (struct input){ .budget = budget, .size = INPUT_SIZE, .room = ARGUMENTS_FIRST, .left = UNKNOWN,
                             .length = UNKNOWN };
    if (!budget_take(budget, INPUT_SIZE + ARGUMENTS_FIRST * sizeof *input->arguments))
        return -ENOMEM;
    input->buffer = malloc(INPUT_SIZE);
    input->arguments = malloc(ARGUMENTS_FIRST * sizeof *input->arguments);
    if (input->buffer != NULL && input->arguments != NULL)
        return 0;
    input_fini(input);
    return -ENOMEM;
}

void input_fini(struct input *input)
{
    budget_give(input->budget, input->size + input->room * sizeof *input->arguments);
    free(input->buffer);
    free(input->arguments);
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

static int fail(struct input *input, int error, const char *text)
{
    input->error = text;
    return error;
}

static int resize(struct input *input, void **memory, size_t from, size_t to)
{
    void *moved = NULL;
    if (to <= from || budget_take(input->budget, to - from)) {
        moved = realloc(*memory, to);
        if (moved == NULL && to > from)
            budget_give(input->budget, to - from);
    }
    if (moved == NULL)
        return fail(input, -ENOMEM, "OOM no memory for so long a command");
    if (to < from)
        budget_give(input->budget, from - to);
    *memory = moved;
    return 0;
}

/* The buffer, or what is in it, has moved: so have the arguments. */
static void follow(struct input *input, const char *from, const char *to)
{
    for (size_t i = 0; i < input->count; i++)
        input->arguments[i].data = to + (input->arguments[i].data - from);
}

static int resize_buffer(struct input *input, size_t size)
{
    void *buffer = input->buffer;
    uintptr_t before = (uintptr_t)buffer;
    int rc = resize(input, &buffer, input->size, size);
    if (rc < 0)
        return rc;
    input->buffer = buffer;
    input->size = size;
    follow(input, (const char *)before, input->buffer);
    return 0;
}

static int resize_arguments(struct input *input, size_t room)
{
    void *memory = input->arguments;
    int rc = resize(input, &memory, input->room * sizeof *input->arguments, room * sizeof *input->arguments);
    if (rc < 0)
        return rc;
    input->arguments = memory;
    input->room = room;
    return 0;
}

/* What long commands have taken is given back by halves: the next may be as long. */
static int shrink(struct input *input)
{
    int rc = 0;
    input->begin = input->end = 0;
    if (input->room > ARGUMENTS_FIRST)
        rc = resize_arguments(input, input->room / 2);
    return rc == 0 && input->size > INPUT_SIZE ? resize_buffer(input, input->size / 2) : rc;
}

/* What is left of a command moves to the beginning if that makes much room. */
int input_make_room(struct input *input, char **to, size_t *size)
{
    size_t kept = input->end - input->begin;
    int rc = kept == 0 ? shrink(input) : 0;
    if (input->begin > 0 && input->size - input->end < input->size / 2) {
        char *from = input->buffer + input->begin;
        memmove(input->buffer, from, kept);
        follow(input, from, input->buffer);
        input->begin = 0;
        input->end = kept;
    }
    if (rc == 0 && input->end == input->size)
        rc = input->size < COMMAND_MAX ? resize_buffer(input, 2 * input->size)
                                       : fail(input, -EMSGSIZE, "ERR Protocol error: too big command");
    *to = input->buffer + input->end;
    *size = input->size - input->end;
    return rc;
}

static int add_argument(struct input *input, const char *data, size_t length)
{
    int rc = input->count == input->room ? resize_arguments(input, 2 * input->room) : 0;
    if (rc < 0)
        return rc;
    input->arguments[input->count++] = (struct argument){ .data = data, .length = length };
    return 0;
}

/* ---- RESP ------------------------------------------------------------------------------------------------------- */

enum { DIGITS_MAX = 10 };

/* A number and \r\n, behind the byte that says of what. 1: here it is; 0: more must come; -EPROTO. */
static int read_number(struct input *input, int64_t *number)
{
    const char *at = input->buffer + input->begin + input->at + 1, *end = input->buffer + input->end;
    if (end - at > 2 && *at >= '0' && *at <= '9' && at[1] == '\r' && at[2] == '\n') { /* most have one digit */
        *number = *at - '0';
        input->at += 4;
        return 1;
    }
    bool is_negative = at < end && *at == '-';
    const char *first = at += is_negative;
    int64_t value = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        if (at - first == DIGITS_MAX)
            return -EPROTO;
        value = 10 * value + (*at - '0');
    }
    if (at < end && (at == first || *at != '\r' || (at + 1 < end && at[1] != '\n')))
        return -EPROTO;
    if (end - at < 2)
        return 0;
    *number = is_negative ? -value : value;
    input->at = (size_t)(at + 2 - (input->buffer + input->begin));
    return 1;
}

/* How many arguments there are. */
static int read_count(struct input *input)
{
    int64_t count;
    int rc = read_number(input, &count);
    if (rc < 0 || (rc > 0 && count > ARGUMENTS_MAX))
        return fail(input, -EPROTO, "ERR Protocol error: invalid multibulk length");
    if (rc > 0)
        input->left = count > 0 ? count : 0;
    return rc;
}

static int read_length(struct input *input)
{
    char first = input->buffer[input->begin + input->at];
    if (first != '$') {
        snprintf(input->text, sizeof input->text, "ERR Protocol error: expected '$', got '%c'", first);
        return fail(input, -EPROTO, input->text);
    }
    int rc = read_number(input, &input->length);
    if (rc < 0 || (rc > 0 && (input->length < 0 || input->length > ARGUMENT_MAX)))
        return fail(input, -EPROTO, "ERR Protocol error: invalid bulk length");
    return rc;
}

static int read_argument(struct input *input)
{
    size_t there = input->end - input->begin;
    if (input->length == UNKNOWN) {
        int rc = input->at < there ? read_length(input) : 0;
        if (rc <= 0)
            return rc;
    }
    size_t length = (size_t)input->length;
    if (there - input->at < length + 2)
        return 0;
    const char *data = input->buffer + input->begin + input->at;
    if (data[length] != '\r' || data[length + 1] != '\n')
        return fail(input, -EPROTO, "ERR Protocol error: expected \\r\\n behind an argument");
    int rc = add_argument(input, data, length);
    if (rc < 0)
        return rc;
    input->at += length + 2;
    input->length = UNKNOWN;
    input->left--;
    return 1;
}

/* ---- lines ------------------------------------------------------------------------------------------------------ */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* One byte of a word in double quotes, which begins with a backslash. Returns how many it takes. */
static size_t unescape(const char *from, const char *end, char *to)
{
    static const char names[] = "nrtba", bytes[] = "\n\r\t\b\a";
    if (end - from >= 4 && from[1] == 'x' && hex_digit(from[2]) >= 0 && hex_digit(from[3]) >= 0) {
        *to = (char)(16 * hex_digit(from[2]) + hex_digit(from[3]));
        return 4;
    }
    const char *name = from[1] != '\0' ? strchr(names, from[1]) : NULL;
    *to = name != NULL ? bytes[name - names] : from[1];
    return 2;
}

/* A word, in the place where it lies: it only gets shorter. Returns where it ends; NULL: a quote is not closed. */
static char *read_word(char *at, const char *end, size_t *length)
{
    char *word = at, quote = '\0';
    while (at < end && (quote != '\0' || (*at != ' ' && *at != '\t'))) {
        if (quote == '\0' && (*at == '"' || *at == '\'')) {
            quote = *at++;
        } else if (quote != '\0' && *at == quote) {
            quote = '\0';
            if (++at < end && *at != ' ' && *at != '\t')
                return NULL;
        } else if (quote == '"' && *at == '\\' && at + 1 < end) {
            at += unescape(at, end, word++);
            (*length)++;
        } else if (quote == '\'' && *at == '\\' && at + 1 < end && at[1] == '\'') {
            *word++ = '\'';
            at += 2;
            (*length)++;
        } else {
            *word++ = *at++;
            (*length)++;
        }
    }
    return quote == '\0' ? at : NULL;
}

/* 1: a command, without a word if the line was empty. */
static int read_line(struct input *input)
{
    char *at = input->buffer + input->begin;
    size_t there = input->end - input->begin;
    char *end = memchr(at + input->at, '\n', there - input->at);
    if (end == NULL) {
        input->at = there;
        return there <= INLINE_MAX ? 0 : fail(input, -EPROTO, "ERR Protocol error: too big inline request");
    }
    input->at = (size_t)(end + 1 - at);
    if (end > at && end[-1] == '\r')
        end--;
    for (;;) {
        while (at < end && (*at == ' ' || *at == '\t'))
            at++;
        if (at == end)
            return 1;
        char *word = at;
        size_t length = 0;
        if ((at = read_word(at, end, &length)) == NULL)
            return fail(input, -EPROTO, "ERR Protocol error: unbalanced quotes in request");
        int rc = add_argument(input, word, length);
        if (rc < 0)
            return rc;
    }
}

/* ---- either ----------------------------------------------------------------------------------------------------- */

static int read_command(struct input *input)
{
    if (input->begin == input->end)
        return 0;
    if (input->buffer[input->begin] != '*')
        return read_line(input);
    int rc = input->left == UNKNOWN ? read_count(input) : 1;
    while (rc > 0 && input->left > 0)
        rc = read_argument(input);
    return rc;
}

int input_next(struct input *input)
{
    int rc;
    do {
        if (input->is_complete) {
            input->begin += input->at;
            input->at = input->count = 0;
            input->left = UNKNOWN;
        }
        rc = read_command(input);
        input->is_complete = rc > 0;
    } while (rc > 0 && input->count == 0); /* what is empty gets no answer */
    return rc;
}
