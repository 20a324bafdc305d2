/* Typed channels: channels whose values have a type, which the compiler checks; and values that change their owner.
 *
 *     SKUA_CHANNEL_DEFINE(jobs, struct job *);          // a type `jobs` and its functions, at file scope
 *     …
 *     jobs queue;
 *     jobs_create(&queue, 128);
 *     struct job *job = job_create();
 *     SKUA_SEND_OWNED(queue, job);                      // 0: it is the receiver's now, and `job` is NULL
 *     …                                                 // while (SKUA_RECEIVE(queue, &job) == 1) …
 *     SKUA_SEND(queue, "text");                         // does not compile
 *
 * A typed channel is a handle, passed by value. The macros below are skua_send() and its kin (skua/channel.h), and
 * return what they return; a value must have exactly the channel's type, but for const: not one that C would convert to
 * it, and a pointer must point to exactly that. `queue.channel` is the channel, for everything else.
 *
 * Macros are for C. C++ has the functions that SKUA_CHANNEL_DEFINE makes, and its own rules: it converts no pointers.
 */
#ifndef SKUA_TYPED_CHANNEL_H
#define SKUA_TYPED_CHANNEL_H

#include "skua/channel.h"

/* Defines the type `name`, a channel of `type`, and static inline functions
 *     int  name_create(name *typed, size_t capacity)      int name_send(name typed, type value)
 *     int  name_destroy(name typed)                       int name_receive(name typed, type *value)
 *     void name_close(name typed)
 * of which name_send() takes what C converts: the macros do not. `type` is one that a value can be declared with by
 * `type value;`, so neither an array nor a function. */
#define SKUA_CHANNEL_DEFINE(name, type)                                                                            \
    typedef union name {                                                                                           \
        skua_channel *channel;                                                                                     \
        type *skuai_typed; /* never read: what the macros take the type from */                                    \
    } name;                                                                                                        \
    static inline __attribute__((unused, warn_unused_result)) int name##_create(name *typed, size_t capacity)      \
    {                                                                                                              \
        return skua_channel_create(&typed->channel, sizeof(type), capacity);                                       \
    }                                                                                                              \
    static inline __attribute__((unused)) int name##_destroy(name typed)                                           \
    {                                                                                                              \
        return skua_channel_destroy(typed.channel);                                                                \
    }                                                                                                              \
    static inline __attribute__((unused)) void name##_close(name typed) { skua_channel_close(typed.channel); }     \
    static inline __attribute__((unused)) int name##_send(name typed, type value)                                  \
    {                                                                                                              \
        return skua_send(typed.channel, &value);                                                                   \
    }                                                                                                              \
    static inline __attribute__((unused)) int name##_receive(name typed, type *value)                              \
    {                                                                                                              \
        return skua_receive(typed.channel, value);                                                                 \
    }                                                                                                              \
    typedef union name name /* wants a semicolon */

/* Sends a pointer, and sets the sender's variable to NULL if it was sent: from then on what it points to is the
 * receiver's. `owner` is the address of the variable. SKUA_SEND_OWNED checks its type.
 * Returns: as skua_send(); after anything but 0 the variable is as it was. */
static inline __attribute__((unused)) int skua_send_owned(skua_channel *channel, void *owner)
{
    int rc = skua_send(channel, owner);
    if (rc == 0)
        __builtin_memset(owner, 0, sizeof(void *));
    return rc;
}
/* The same without waiting: as skua_try_send(). */
static inline __attribute__((unused)) int skua_try_send_owned(skua_channel *channel, void *owner)
{
    int rc = skua_try_send(channel, owner);
    if (rc == 0)
        __builtin_memset(owner, 0, sizeof(void *));
    return rc;
}

#ifndef __cplusplus

#define SKUAI_TYPE_OF(typed) __typeof__(*(typed).skuai_typed)
/* The channel; a value of another type is "not compatible with any" type that _Generic has been given. */
#define SKUAI_CHECKED(typed, value) \
    _Generic((const SKUAI_TYPE_OF(typed) *)0, const __typeof__(value) *: (typed).channel)
#define SKUAI_TEMPORARY(typed, value) ((const SKUAI_TYPE_OF(typed)[1]){ value })

/* Send a value: a variable, or any expression; as skua_send(), skua_try_send(), skua_send_until(). */
#define SKUA_SEND(typed, value) skua_send(SKUAI_CHECKED(typed, value), SKUAI_TEMPORARY(typed, value))
#define SKUA_TRY_SEND(typed, value) skua_try_send(SKUAI_CHECKED(typed, value), SKUAI_TEMPORARY(typed, value))
#define SKUA_SEND_UNTIL(typed, value, instant_ns) \
    skua_send_until(SKUAI_CHECKED(typed, value), SKUAI_TEMPORARY(typed, value), (instant_ns))

/* Of a channel of pointers: the variable's pointer, which is NULL afterwards, if it was sent. */
#define SKUAI_OWNED(typed, variable)                                                          \
    ((void)sizeof(struct {                                                                    \
         _Static_assert(__builtin_classify_type(variable) == 5, "only pointers have owners"); \
         int skuai_unused;                                                                    \
     }),                                                                                      \
     SKUAI_CHECKED(typed, variable))
#define SKUA_SEND_OWNED(typed, variable) skua_send_owned(SKUAI_OWNED(typed, variable), &(variable))
#define SKUA_TRY_SEND_OWNED(typed, variable) skua_try_send_owned(SKUAI_OWNED(typed, variable), &(variable))

/* Receive into a variable, whose address this is; as skua_receive(), skua_try_receive(), skua_receive_until(). */
#define SKUA_RECEIVE(typed, address) skua_receive(SKUAI_CHECKED(typed, *(address)), (address))
#define SKUA_TRY_RECEIVE(typed, address) skua_try_receive(SKUAI_CHECKED(typed, *(address)), (address))
#define SKUA_RECEIVE_UNTIL(typed, address, instant_ns) \
    skua_receive_until(SKUAI_CHECKED(typed, *(address)), (address), (instant_ns))

/* For SKUA_AWAIT and for select: of a variable that stays until the op is done, by its address. */
#define SKUA_SEND_START(op, typed, address) skua_send_start((op), SKUAI_CHECKED(typed, *(address)), (address))
#define SKUA_SEND_PREPARE(op, typed, address) skua_send_prepare((op), SKUAI_CHECKED(typed, *(address)), (address))
#define SKUA_RECEIVE_START(op, typed, address) skua_receive_start((op), SKUAI_CHECKED(typed, *(address)), (address))
#define SKUA_RECEIVE_PREPARE(op, typed, address) \
    skua_receive_prepare((op), SKUAI_CHECKED(typed, *(address)), (address))

#endif

#endif
