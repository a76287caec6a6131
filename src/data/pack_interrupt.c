#include "base/signals.h"
#include "data/pack.h"

int pack_check_interrupt(const pack_settings *settings, ls_error *error) {
    int number = settings->interrupted ? (int)*settings->interrupted : 0;
    if (number == 0)
        return LS_OK;
    return ls_fail(error, signals_exit_code(number), "pack: interrupted by %s: %s %s",
                   signals_name(number), settings->folder,
                   settings->resumes ? "keeps the shards that are finished, and the same command "
                                       "goes on from them"
                                     : "is as it was before");
}
