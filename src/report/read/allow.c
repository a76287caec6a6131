#include "report/read/allow.h"

#include <string.h>

/* "a, b" or "a,b": is one of the words `name`? */
bool allow_list_holds(const char *list, const char *name, size_t length) {
    while (*list) {
        size_t word = strcspn(list, ", |");
        if (word == length && memcmp(list, name, length) == 0)
            return true;
        list += word;
        list += strspn(list, ", |");
    }
    return false;
}

bool allow_holds(const char *list, const char *name) {
    return list && allow_list_holds(list, name, strlen(name));
}

int allow_check(const char *list, ls_error *error) {
    const char *word = list;
    while (word) {
        size_t length = strcspn(word, ",");
        if (length == 0 || !allow_list_holds(ALLOW_NAMES, word, length))
            return ls_fail(error, LS_BAD_INPUT, "--allow: expected some of %s; found '%.*s'",
                           ALLOW_NAMES, (int)(length < 80 ? length : 80), word);
        word = word[length] ? word + length + 1 : NULL;
    }
    return LS_OK;
}

bool allow_holds_any(const char *list, const char *names) {
    for (;;) {
        size_t length = strcspn(names, "|");
        if (list && allow_list_holds(list, names, length))
            return true;
        if (!names[length])
            return false;
        names += length + 1;
    }
}
