#include "cli/output.h"
#include "cli/report_parts.h"
#include "report/certify/certify.h"
#include "report/compare/lost.h"
#include "report/compare/speedup.h"
#include "report/page/html.h"
#include "report/text/latex.h"

#include <string.h>

static bool is(const report_settings *settings, const char *format) {
    return strcmp(settings->format, format) == 0;
}

table_format report_format(const report_settings *settings) {
    if (is(settings, "csv"))
        return TABLE_CSV;
    return is(settings, "text") ? TABLE_TEXT : TABLE_MARKDOWN;
}

int report_write(const text_buffer *text, const report_settings *settings, ls_error *error) {
    text_buffer turned = {0};
    bool turns = is(settings, "latex") || is(settings, "html");
    LS_TRY(text_buffer_check(text, error));
    const char *markdown = text->bytes ? text->bytes : "";
    if (is(settings, "latex"))
        latex_write(&turned, markdown);
    else if (turns)
        html_tables(&turned, markdown);
    int status = output_write(turns ? &turned : text, settings->output, error);
    text_free(&turned);
    return status;
}

int report_add_table(text_buffer *out, const report *self, size_t index, table_format format,
                     complaints *complaints, ls_error *error) {
    speedup_text(out, &self->tables.items[index], format);
    lost_text(out, &self->tables.items[index], format);
    return certify_note(out, &self->tables.items[index], complaints, error);
}
