#include "cli/output.h"
#include "cli/report_parts.h"
#include "report/certify/certify.h"
#include "report/compare/attempts_table.h"
#include "report/page/html.h"
#include "report/picture/plot.h"

#include <stdlib.h>

/* The tables again, as Markdown, one by one. What is wrong with certificates was said before. */
static int add_page_texts(text_buffer *texts, text_buffer *more, const report *self,
                          ls_error *error) {
    complaints said = {0};
    int status = LS_OK;
    for (size_t index = 0; status == LS_OK && index < self->tables.count; index++)
        status = report_add_table(&texts[index], self, index, TABLE_MARKDOWN, &said, error);
    if (self->settings->target_accuracy > 0)
        target_text(more, &self->target, TABLE_MARKDOWN);
    text_add(more, "\n\n");
    modes_text(more, &self->modes, TABLE_MARKDOWN);
    complaints_free(&said);
    return status;
}

static int add_attempts(text_buffer *out, const report *self, ls_error *error) {
    attempted_runs runs;
    complaints said = {0};
    int status = attempted_runs_read(&runs, &self->configurations, &said, error);
    if (status == LS_OK && runs.count > 0) {
        text_add(out, "\n\n");
        attempts_table(out, &runs, TABLE_MARKDOWN);
    }
    attempted_runs_free(&runs);
    complaints_free(&said);
    return status;
}

/* Of the runs that have certificates, those that could have had the same samples as the first one.
 */
static int add_proofs(text_buffer *out, const report *self, ls_error *error) {
    run_list with = {.items = calloc(self->runs.count + 1, sizeof *with.items)};
    certified_list list = {0};
    complaints said = {0};
    if (!with.items)
        return ls_fail(error, LS_FAILED, "no memory for the page");
    for (size_t index = 0; index < self->runs.count; index++)
        if (certificate_expected(&self->runs.items[index]) &&
            certificate_exists(&self->runs.items[index]))
            with.items[with.count++] = self->runs.items[index];
    int status = with.count > 1 ? certified_list_read(&list, &with, &said, error) : LS_OK;
    if (status == LS_OK && list.count > 1) {
        text_add(out, "**Certificates**: %zu of %zu runs, each against the first\n\n", list.count,
                 self->runs.count);
        certify_text(out, &list, TABLE_MARKDOWN);
    }
    certified_list_free(&list);
    complaints_free(&said);
    free(with.items); /* the runs are the report's */
    return status;
}

/* The page is written with or without pictures; why they could not be drawn is the failure then. */
static int write_page(const report *self, const picture_list *pictures, ls_error *error) {
    text_buffer page = {0}, more = {0}, proofs = {0},
                *texts = calloc(self->tables.count + 1, sizeof *texts);
    ls_error drawing = {0};
    if (!texts)
        return ls_fail(error, LS_FAILED, "no memory for the page");
    html_report content = {.tables = &self->tables,
                           .texts = texts,
                           .more = &more,
                           .proofs = &proofs,
                           .configurations = &self->configurations,
                           .pictures = pictures,
                           .complaints = &self->complaints};
    int status = add_page_texts(texts, &more, self, error);
    if (status == LS_OK)
        status = add_attempts(&more, self, error);
    if (status == LS_OK)
        status = add_proofs(&proofs, self, error);
    if (status == LS_OK)
        status = html_page(&page, &content, &drawing, error);
    if (status == LS_OK)
        status = output_write(&page, self->settings->html, error);
    if (status == LS_OK && drawing.code != LS_OK)
        status = ls_fail(error, drawing.code, "%s", drawing.text);
    for (size_t index = 0; index < self->tables.count; index++)
        text_free(&texts[index]);
    free(texts);
    text_free(&more);
    text_free(&proofs);
    text_free(&page);
    return status;
}

int report_draw(report *self, ls_error *error) {
    picture_list pictures = {0};
    if (!self->settings->plot && !self->settings->html)
        return LS_OK;
    int status = pictures_make(&pictures, &self->tables, &self->configurations, &self->modes,
                               &self->complaints, error);
    if (status == LS_OK && self->settings->html)
        status = write_page(self, &pictures, error);
    if (status == LS_OK && self->settings->plot)
        status = pictures_write(&pictures, self->settings->plot, self->settings->png, error);
    pictures_free(&pictures);
    return status;
}
