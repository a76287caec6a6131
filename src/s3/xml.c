/* The little of XML that S3's answers need. */
#include "s3/request.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *entity, *text;
} entities[] = {{"&quot;", "\""}, {"&apos;", "'"}, {"&lt;", "<"},
                {"&gt;", ">"},    {"&amp;", "&"},  {"&#34;", "\""}};

bool s3_xml_find(const char *xml, const char *name, char *out, size_t capacity) {
    char open[80];
    snprintf(open, sizeof open, "<%s>", name);
    const char *text = xml ? strstr(xml, open) : NULL;
    size_t used = 0;
    out[0] = '\0';
    if (!text)
        return false;
    for (text += strlen(open); *text && *text != '<' && used + 1 < capacity; used++) {
        size_t length = 1;
        out[used] = *text;
        for (size_t each = 0; *text == '&' && each < sizeof entities / sizeof entities[0]; each++)
            if (strncmp(text, entities[each].entity, strlen(entities[each].entity)) == 0) {
                out[used] = entities[each].text[0];
                length = strlen(entities[each].entity);
                break;
            }
        text += length;
    }
    out[used] = '\0';
    return *text == '<';
}

void s3_xml_add(text_buffer *out, const char *text) {
    for (; *text; text++) {
        const char *entity = NULL;
        for (size_t each = 0; each < 5; each++)
            if (*text == entities[each].text[0])
                entity = entities[each].entity;
        text_add(out, entity ? "%s" : "%.1s", entity ? entity : text);
    }
}
