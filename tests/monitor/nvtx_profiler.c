/* A profiler for the tests: NVTX loads it from NVTX_INJECTION64_PATH, and it writes down the ranges
 * of domains that it is told of ("{domain:name" at a begin, "}" at an end). */
#include <nvtx3/nvToolsExt.h>

#include <stdio.h>
#include <string.h>

char nvtx_seen[1024];

static char domains[4][32];
static int domain_count;

static void add(const char *text) {
    size_t length = strlen(nvtx_seen);
    snprintf(nvtx_seen + length, sizeof nvtx_seen - length, "%s", text);
}

static nvtxDomainHandle_t create(const char *name) {
    char *kept = domains[domain_count++ % 4];
    snprintf(kept, sizeof domains[0], "%s", name);
    return (nvtxDomainHandle_t)(void *)kept;
}

static int push(nvtxDomainHandle_t domain, const nvtxEventAttributes_t *range) {
    char text[128];
    snprintf(text, sizeof text, "{%s:%s", domain ? (const char *)(void *)domain : "no domain",
             range->messageType == NVTX_MESSAGE_TYPE_ASCII ? range->message.ascii : "no name");
    add(text);
    return 0;
}

static int pop(nvtxDomainHandle_t domain) {
    add(domain ? "}" : "} in no domain");
    return 0;
}

int InitializeInjectionNvtx2(NvtxGetExportTableFunc_t get_table) {
    const NvtxExportTableCallbacks *callbacks = get_table(NVTX_ETID_CALLBACKS);
    NvtxFunctionTable table = NULL;
    unsigned int size = 0;
    if (!callbacks || !callbacks->GetModuleFunctionTable(NVTX_CB_MODULE_CORE2, &table, &size) ||
        size <= NVTX_CBID_CORE2_DomainCreateA)
        return 0;
    *table[NVTX_CBID_CORE2_DomainCreateA] = (NvtxFunctionPointer)create;
    *table[NVTX_CBID_CORE2_DomainRangePushEx] = (NvtxFunctionPointer)push;
    *table[NVTX_CBID_CORE2_DomainRangePop] = (NvtxFunctionPointer)pop;
    return 1;
}
