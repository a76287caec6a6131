/* The CSV files of a run: as a table, as epochs.csv, and as a finished run's summary.csv. */
#include "fuzz.h"

#include "report/facts/epoch_columns.h"
#include "report/read/finished_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_table(const char *text, size_t size) {
    csv_table table;
    ls_error error = {0};
    int status = csv_parse(&table, "fuzz", text, size, &error);
    if (status == LS_OK)
        csv_free(&table);
    else if (status != LS_BAD_INPUT)
        abort();
    return status == LS_OK;
}

static void read_epochs(const char *text, size_t size) {
    epoch_record *epochs = NULL;
    int count;
    ls_error error = {0};
    int status = epoch_read_rows("fuzz", text, size, &epochs, &count, &error);
    if (status == LS_OK)
        free(epochs);
    else if (status != LS_BAD_INPUT)
        abort();
}

static void read_run(const char *text, size_t size) {
    finished_run run;
    ls_error error = {0};
    fuzz_file("summary.csv", text, size);
    int status = finished_run_read(&run, fuzz_folder(), &error);
    if (status == LS_OK)
        finished_run_free(&run);
    else if (status != LS_BAD_INPUT)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    char *text = malloc(size + 1);
    if (!text)
        abort();
    memcpy(text, bytes, size);
    text[size] = '\0';
    fuzz_accepted = read_table(text, size);
    read_epochs(text, size);
    read_run(text, size);
    free(text);
    return 0;
}

/* epochs.csv, and quotes. */
bool fuzz_seed(int number, const char *path) {
    text_buffer out = {0};
    epoch_record epoch = {.epoch = 1, .train_loss = 2.5};
    if (number > 1)
        return false;
    if (number == 0) {
        column_table_names(&out, &epoch_columns);
        epoch_add_row(&out, &epoch);
    } else
        text_add(&out, "a,\"b \"\"c\"\"\",d\n1,\"x\ny\",\n");
    FILE *stream = fopen(path, "wb");
    if (!stream || fwrite(out.bytes, 1, out.length, stream) != out.length || fclose(stream) != 0)
        abort();
    text_free(&out);
    return true;
}
