#include "symbols.h"

#include "emulated.h"

#include <cstring>
#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <map>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace emulated {
namespace {

struct variable {
    char *at;
    size_t bytes;
};

struct library {
    std::map<const void *, std::string> functions;
    std::vector<variable> shared;
};

// Inside a function: "_ZZ...", but no guard, table of a lambda or constant.
bool is_shared(const ElfW(Sym) & symbol, const char *name, const ElfW(Shdr) * sections,
               size_t count) {
    return ELF64_ST_TYPE(symbol.st_info) == STT_OBJECT && strncmp(name, "_ZZ", 3) == 0 &&
           symbol.st_shndx < count && (sections[symbol.st_shndx].sh_flags & SHF_WRITE) &&
           symbol.st_size > 0;
}

std::string demangled(const char *name) {
    int status;
    char *readable = abi::__cxa_demangle(name, nullptr, nullptr, &status);
    std::string out = readable ? readable : name;
    free(readable);
    return out;
}

void read_symbols(const char *file, char *base, library &into) {
    const auto *header = (const ElfW(Ehdr) *)file;
    const auto *sections = (const ElfW(Shdr) *)(file + header->e_shoff);
    for (size_t index = 0; index < header->e_shnum; index++) {
        if (sections[index].sh_type != SHT_SYMTAB)
            continue;
        const auto *symbols = (const ElfW(Sym) *)(file + sections[index].sh_offset);
        const char *names = file + sections[sections[index].sh_link].sh_offset;
        for (size_t at = 0; at < sections[index].sh_size / sizeof *symbols; at++) {
            const char *name = names + symbols[at].st_name;
            char *address = base + symbols[at].st_value;
            if (is_shared(symbols[at], name, sections, header->e_shnum))
                into.shared.push_back({address, symbols[at].st_size});
            else if (ELF64_ST_TYPE(symbols[at].st_info) == STT_FUNC && symbols[at].st_value)
                into.functions[address] = demangled(name);
        }
    }
}

library *load(const Dl_info &where) {
    auto *out = new library;
    int file = open(where.dli_fname, O_RDONLY | O_CLOEXEC);
    struct stat about;
    if (file < 0 || fstat(file, &about) != 0)
        emulated_violation("cannot read %s, which holds the kernels", where.dli_fname);
    void *bytes = mmap(nullptr, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (bytes == MAP_FAILED)
        emulated_violation("cannot map %s", where.dli_fname);
    read_symbols((const char *)bytes, (char *)where.dli_fbase, *out);
    munmap(bytes, (size_t)about.st_size);
    if (out->functions.empty())
        emulated_violation("%s has no symbol table: __shared__ memory cannot be found",
                           where.dli_fname);
    return out;
}

// Asked for once for each launch, mostly of the same library.
library &library_of(const void *code) {
    static std::map<const void *, library *> by_base;
    Dl_info where;
    if (!dladdr(code, &where))
        emulated_violation("a kernel that is in no library");
    library *&found = by_base[where.dli_fbase];
    if (!found)
        found = load(where);
    return *found;
}

} // namespace

const char *kernel_name(const void *code) {
    const auto &functions = library_of(code).functions;
    auto found = functions.find(code);
    return found == functions.end() ? "a kernel" : found->second.c_str();
}

void poison_shared(const void *code) {
    static const void *last_code;
    static library *last;
    if (code != last_code)
        last = &library_of(code);
    last_code = code;
    for (const variable &each : last->shared)
        memset(each.at, 0xff, each.bytes);
}

} // namespace emulated
