/* jansson checks syntax, UTF-8, depth, the range of integers and names that stand twice. */
#include "safetensors/json.h"
#include "base/utf8.h"

#include <malloc.h>
#include <stdlib.h>

/* jansson's memory while a text is parsed: what its values take is many times their text, and the
 * text is a stranger's. (Its allocator is one of the process: this room is all that uses it.) */
static _Thread_local size_t memory_left;

static void *take(size_t bytes) {
    if (bytes > memory_left)
        return NULL;
    void *memory = malloc(bytes);
    if (!memory)
        return NULL;
    size_t usable = malloc_usable_size(memory);
    memory_left -= usable < memory_left ? usable : memory_left;
    return memory;
}

static void give_back(void *memory) {
    memory_left += memory ? malloc_usable_size(memory) : 0;
    free(memory);
}

json_shown json_show(const char *name) {
    json_shown out;
    utf8_escape(name, out.text, sizeof out.text);
    return out;
}

json_t *json_parse(const char *path, const char *what, const char *text, size_t length,
                   size_t memory_bytes, ls_error *error) {
    json_error_t found = {0};
    memory_left = memory_bytes;
    json_set_alloc_funcs(take, give_back);
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &found);
    if (root)
        return root;
    if (!found.text[0]) /* it has no text for memory that it did not get */
        ls_fail(error, LS_BAD_INPUT, "%s: %s wants more memory than the file has bytes", path,
                what);
    else
        ls_fail(error, LS_BAD_INPUT, "%s: %s's JSON, byte %d: %.120s", path, what, found.position,
                json_show(found.text).text);
    return NULL;
}
