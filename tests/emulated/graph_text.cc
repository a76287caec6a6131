// A graph as text, for the tests that hold what a recorded step is made of: where
// LOCKSTEP_EMULATED_GRAPHS names a file, each graph that is made ready to run adds its nodes to
// FILE.PID, one a line: "GRAPH NODE STREAM PRIORITY AFTER[,AFTER...] LABEL" ("-": after none).
#include "runtime.h"

#include <cstdio>
#include <cstdlib>
#include <unistd.h>

namespace emulated {

static FILE *opened() {
    const char *name = getenv("LOCKSTEP_EMULATED_GRAPHS");
    if (!name || !*name)
        return nullptr;
    std::string path = std::string(name) + "." + std::to_string(getpid());
    FILE *file = fopen(path.c_str(), "a");
    if (!file)
        emulated_violation("LOCKSTEP_EMULATED_GRAPHS: %s cannot be written", path.c_str());
    return file;
}

void write_graph(const std::vector<piece> &pieces, const std::vector<std::vector<int>> &after,
                 const std::vector<node_place> &places) {
    static int written;
    FILE *file = opened();
    if (!file)
        return;
    int graph = ++written;
    for (size_t node = 0; node < pieces.size(); node++) {
        fprintf(file, "%d %zu %d %d ", graph, node, places[node].stream, places[node].priority);
        for (size_t at = 0; at < after[node].size(); at++)
            fprintf(file, "%s%d", at ? "," : "", after[node][at]);
        fprintf(file, "%s %s\n", after[node].empty() ? "-" : "", pieces[node].label.c_str());
    }
    fclose(file);
}

} // namespace emulated
