/* oneDNN's memory and primitives, a call each. */
#include "bare_chain_parts.h"

#include <string.h>

desc chain_describe(int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag) {
    desc made = onednn_desc_make(DTYPE_F32, rank, dims, tag);
    if (!made)
        abort();
    return made;
}

desc chain_image(int n, int c, int side, dnnl_format_tag_t tag) {
    return chain_describe(4, (dnnl_dims_t){n, c, side, side}, tag);
}

dnnl_memory_t chain_memory_at(bare_chain *self, desc what, void *handle) {
    dnnl_memory_t made;
    MUST(dnnl_memory_create(&made, what, self->engine, handle));
    return made;
}

dnnl_memory_t chain_memory(bare_chain *self, desc what) {
    size_t bytes = (dnnl_memory_desc_get_size(what) + 63) / 64 * 64;
    void *handle = aligned_alloc(64, bytes ? bytes : 64);
    if (!handle)
        abort();
    memset(handle, 0, bytes);
    return chain_memory_at(self, what, handle);
}

desc chain_query(const_dnnl_primitive_desc_t from, dnnl_query_t what) {
    return dnnl_primitive_desc_query_md(from, what, 0);
}

void chain_push(list *to, dnnl_primitive_desc_t description, const argument *arguments, int count) {
    node *made = &to->nodes[to->count++];
    MUST(dnnl_primitive_create(&made->primitive, description));
    for (int i = 0; i < count; i++)
        made->arguments[i] = (dnnl_exec_arg_t){arguments[i].name, arguments[i].memory};
    made->count = count;
    if (getenv("BARE_CHAIN_VERBOSE")) {
        const char *name;
        MUST(dnnl_primitive_desc_query(description, dnnl_query_impl_info_str, 0, &name));
        fprintf(stderr, "bare chain: %s\n", name);
    }
}

void chain_run(bare_chain *self, const list *nodes) {
    for (int i = 0; i < nodes->count; i++)
        MUST(dnnl_primitive_execute(nodes->nodes[i].primitive, self->stream, nodes->nodes[i].count,
                                    nodes->nodes[i].arguments));
}

dnnl_primitive_attr_t chain_attributes(bool relu) {
    dnnl_primitive_attr_t attributes;
    dnnl_post_ops_t post;
    MUST(dnnl_primitive_attr_create(&attributes));
    if (!relu)
        return attributes;
    MUST(dnnl_post_ops_create(&post));
    MUST(onednn_append_relu(post));
    MUST(dnnl_primitive_attr_set_post_ops(attributes, post));
    dnnl_post_ops_destroy(post);
    return attributes;
}

void chain_reorder(bare_chain *self, dnnl_memory_t from, dnnl_memory_t to, list *nodes) {
    desc source, target;
    dnnl_primitive_desc_t description;
    list once = {0};
    MUST(dnnl_memory_get_memory_desc(from, &source));
    MUST(dnnl_memory_get_memory_desc(to, &target));
    MUST(dnnl_reorder_primitive_desc_create(&description, source, self->engine, target,
                                            self->engine, NULL));
    chain_push(nodes ? nodes : &once, description,
               (argument[]){{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}, 2);
    if (nodes)
        return;
    chain_run(self, &once);
    dnnl_primitive_destroy(once.nodes[0].primitive);
}
