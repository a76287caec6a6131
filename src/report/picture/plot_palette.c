#include "report/picture/plot_palette.h"

const plot_tone plot_palette[PLOT_COLOURS] = {
    [PLOT_BACKGROUND] = {"background", "#ffffff", "#17181c"},
    [PLOT_INK] = {"ink", "#1f2328", "#e6e8eb"},
    [PLOT_FAINT] = {"faint", "#646a72", "#8d949e"},
    [PLOT_GRID] = {"grid", "#e3e5e8", "#2f3238"},
    [PLOT_SERIES] = {"series1", "#0072b2", "#4ea3e0"},     /* blue */
    [PLOT_SERIES + 1] = {"series2", "#d55e00", "#f0803c"}, /* vermillion */
    [PLOT_SERIES + 2] = {"series3", "#009e73", "#2fc79b"}, /* bluish green */
    [PLOT_SERIES + 3] = {"series4", "#b5588d", "#de9ac2"}, /* reddish purple */
    [PLOT_SERIES + 4] = {"series5", "#d99a00", "#f3c24a"}, /* orange */
    [PLOT_SERIES + 5] = {"series6", "#56b4e9", "#a3d8f6"}, /* sky blue */
    [PLOT_SERIES + 6] = {"series7", "#6e5a2b", "#cdb682"}, /* for yellow, which no white bears */
    [PLOT_SERIES + 7] = {"series8", "#9aa0a8", "#6f7680"}, /* for black: grey */
};
