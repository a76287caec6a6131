/* Our Markdown as HTML. The page: tests/report/pictures.py. */
#include "../check.h"
#include "report/page/html_parts.h"

#include <string.h>

static void expect(const char *markdown, const char *html) {
    text_buffer out = {0};
    html_markdown(&out, markdown);
    CHECK(strcmp(out.bytes ? out.bytes : "", html) == 0, "'%s' became\n%s\nexpected\n%s", markdown,
          out.bytes ? out.bytes : "", html);
    text_free(&out);
}

static void words(void) {
    expect("", "");
    expect("one\ntwo\n\nthree\n", "<p>one\ntwo</p>\n<p>three</p>\n");
    expect("a < b & `c|d` e ` f", "<p>a &lt; b &amp; <code>c|d</code> e ` f</p>\n");
    expect("``", "<p><code></code></p>\n");
    expect("[1] a note\n\n[2] <b>\n",
           "<p class=\"note\">[1] a note</p>\n<p class=\"note\">[2] &lt;b&gt;</p>\n");
    expect("- a\n- b\nc\n", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n<p>c</p>\n");
    expect("**Weak** & more\nx", "<h2>Weak &amp; more</h2>\n<p>x</p>\n");
    expect("**no end", "<h2>**no end</h2>\n");
    check_case("paragraphs, notes, lists, headings, code");
}

static void tables(void) {
    expect("| A | B |\n|---|---:|\n| a\\|<b> |  |\n| `c` | 2 |\nafter\n",
           "<div class=\"wide\"><table><thead><tr><th>A</th><th class=\"number\">B</th></tr>\n"
           "</thead><tbody>\n"
           "<tr><td>a|&lt;b&gt;</td><td class=\"number\"></td></tr>\n"
           "<tr><td><code>c</code></td><td class=\"number\">2</td></tr>\n"
           "</tbody></table></div>\n<p>after</p>\n");
    expect("| A |", "<div class=\"wide\"><table><thead><tr><th>A</th></tr>\n</thead><tbody>\n"
                    "</tbody></table></div>\n");
    expect("|", "<div class=\"wide\"><table><thead><tr></tr>\n</thead><tbody>\n"
                "</tbody></table></div>\n");
    check_case("tables, their alignment, a bar in a cell, a table that is cut");
}

int main(void) {
    words();
    tables();
    return check_done();
}
