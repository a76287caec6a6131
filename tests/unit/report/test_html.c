/* Our Markdown as HTML and as LaTeX. The page: tests/report/pictures.py. */
#include "../check.h"
#include "report/page/html.h"
#include "report/text/latex.h"

#include <string.h>

static void expect(const char *markdown, const char *html) {
    text_buffer out = {0};
    html_tables(&out, markdown);
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

#define SCROLL "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"Table\">"

static void tables(void) {
    expect(
        "| A | B |\n|---|---:|\n| a\\|<b> |  |\n| `c` | 2 |\nafter\n",
        "" SCROLL
        "<table><thead><tr><th scope=\"col\">A</th><th scope=\"col\" class=\"number\">B</th></tr>\n"
        "</thead><tbody>\n"
        "<tr><th scope=\"row\">a|&lt;b&gt;</th><td class=\"number\"></td></tr>\n"
        "<tr><th scope=\"row\"><code>c</code></th><td class=\"number\">2</td></tr>\n"
        "</tbody></table></div>\n<p>after</p>\n");
    expect("| A |", "" SCROLL "<table><thead><tr><th scope=\"col\">A</th></tr>\n</thead><tbody>\n"
                    "</tbody></table></div>\n");
    expect("|", "" SCROLL "<table><thead><tr></tr>\n</thead><tbody>\n"
                "</tbody></table></div>\n");
    expect("**A \"b\"**: c\n\n| A |\n|---|\n| 1 |\n",
           "<h2>A &quot;b&quot;: c</h2>\n"
           "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"A &quot;b&quot;\">"
           "<table><thead><tr><th scope=\"col\">A</th></tr>\n</thead><tbody>\n"
           "<tr><th scope=\"row\">1</th></tr>\n</tbody></table></div>\n");
    check_case("tables, their alignment, a bar in a cell, a table that is cut");
}

static void expect_latex(const char *markdown, const char *latex) {
    text_buffer out = {0};
    latex_write(&out, markdown);
    const char *found = out.bytes ? strchr(out.bytes, '\n') + 1 : "";
    CHECK(strcmp(found, latex) == 0, "'%s' became\n%s\nexpected\n%s", markdown, found, latex);
    text_free(&out);
}

static void latex(void) {
    expect_latex("", "");
    expect_latex("a_b & 5% of $x #1 {y} \\ ~ ^ <z> | \"q\" --allow `--no_x`\n",
                 "\\noindent a\\_b \\& 5\\% of \\$x \\#1 \\{y\\} \\textbackslash{} "
                 "\\textasciitilde{} \\textasciicircum{} \\textless{}z\\textgreater{} "
                 "\\textbar{} \\textquotedbl{}q\\textquotedbl{} -{}-allow "
                 "\\texttt{-{}-no\\_x}\n\n");
    expect_latex("**Weak**: more\n\n[1] note\n- x\n",
                 "\\paragraph{Weak: more}\n\n\\noindent{\\footnotesize [1] note\\par}\n\n"
                 "\\begin{itemize}\n\\item x\n\\end{itemize}\n\n");
    expect_latex("| A | B |\n|---|---:|\n| [a] |  |\n| c | 2% |\n",
                 "\\begin{center}\n"
                 "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
                 "\\begin{tabular}{@{}lr@{}}\n\\toprule\n{}A & B \\\\\n\\midrule\n"
                 "{}[a] &  \\\\\n{}c & 2\\% \\\\\n\\bottomrule\n\\end{tabular}}\n"
                 "\\end{center}\n\n");
    check_case("LaTeX: what it would take for commands, headings, notes, lists, tables");
}

int main(void) {
    words();
    tables();
    latex();
    return check_done();
}
