/* Text whose length nobody knows before: appends as snprintf does, what does not fit is counted all the same. */
#ifndef SKUAI_TEXT_H
#define SKUAI_TEXT_H

#include <stddef.h>

struct skuai_text {
    char *at; /* the caller's; terminated after each call if size is not 0 */
    size_t size, length;
};

__attribute__((format(printf, 2, 3))) void skuai_text_add(struct skuai_text *text, const char *format, ...);

#endif
