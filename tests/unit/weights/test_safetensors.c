/* The reader of safetensors files against files that are right, and files that lie. */
#include "../check.h"
#include "safetensors/safetensors.h"
#include "tensor_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Opens; of a file that was taken, closes it. */
static int try_open(const char *path, ls_error *error) {
    safetensors *file = NULL;
    *error = (ls_error){0};
    int status = safetensors_open(path, &file, error);
    if (status == LS_OK)
        safetensors_close(file);
    return status;
}

static void check_refusal(const char *path, const char *what, const char *wanted) {
    ls_error error;
    int status = try_open(path, &error);
    CHECK(status == LS_BAD_INPUT, "%s: status %d", what, status);
    CHECK(strncmp(error.text, path, strlen(path)) == 0, "%s: '%s'", what, error.text);
    CHECK(!strchr(error.text, '\n') && strlen(error.text) > strlen(path) + 10, "%s: '%s'", what,
          error.text);
    CHECK(!wanted || strstr(error.text, wanted), "%s: '%s' has no '%s'", what, error.text,
          wanted ? wanted : "");
}

static void test_types(void) {
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"pt\"},"
        "\"f64\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16]},"
        "\"f16\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[16,20]},"
        "\"bf16\":{\"dtype\":\"BF16\",\"shape\":[1,2],\"data_offsets\":[20,24]},"
        "\"none\":{\"dtype\":\"F32\",\"shape\":[3,0],\"data_offsets\":[24,24]},"
        "\"one\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[24,32]},"
        "\"i8\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[32,34]},"
        "\"u16\":{\"dtype\":\"U16\",\"shape\":[1],\"data_offsets\":[34,36]},"
        "\"u64\":{\"dtype\":\"U64\",\"shape\":[1],\"data_offsets\":[36,44]}}   ";
    unsigned char data[44] = {0};
    const double doubles[2] = {0.1, -1e300};
    const uint16_t halves[4] = {0x3C00, 0xFC00, 0x3F80, 0xC040}; /* 1, -inf; 1, -3 */
    const int64_t one = -5;
    memcpy(data, doubles, 16), memcpy(data + 16, halves, 8), memcpy(data + 24, &one, 8);
    memcpy(data + 32, "\xFF\x7F\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 12);
    const char *path = tensor_file_path("types");
    tensor_file_write(path, sizeof header - 1, header, sizeof header - 1, data, sizeof data);

    safetensors *file = NULL;
    ls_error error = {0};
    float floats[2];
    int64_t integers[2];
    CHECK(safetensors_open(path, &file, &error) == LS_OK, "%s", error.text);
    CHECK(safetensors_count(file) == 8 && strcmp(safetensors_about(file, "format"), "pt") == 0);
    CHECK(!safetensors_about(file, "model") && !safetensors_find(file, "f32"));
#define FLOATS(name) safetensors_read_floats(file, safetensors_find(file, name), floats, &error)
#define INTEGERS(name)                                                                             \
    safetensors_read_integers(file, safetensors_find(file, name), integers, &error)
    CHECK(FLOATS("f64") == LS_OK && floats[0] == 0.1f && floats[1] == -INFINITY);
    CHECK(FLOATS("f16") == LS_OK && floats[0] == 1 && floats[1] == -INFINITY);
    CHECK(FLOATS("bf16") == LS_OK && floats[0] == 1 && floats[1] == -3);
    CHECK(safetensors_find(file, "bf16")->dim_count == 2 && FLOATS("none") == LS_OK);
    CHECK(INTEGERS("one") == LS_OK && integers[0] == -5);
    CHECK(safetensors_find(file, "one")->elements == 1);
    CHECK(INTEGERS("i8") == LS_OK && integers[0] == -1 && integers[1] == 127);
    CHECK(INTEGERS("u16") == LS_OK && integers[0] == 0xFFFE);
    CHECK(error.code == LS_OK, "%s", error.text);
    check_case("each type becomes what it stands for");
    CHECK(INTEGERS("u64") == LS_BAD_INPUT && strstr(error.text, "u64"), "%s", error.text);
    error = (ls_error){0};
    CHECK(FLOATS("i8") == LS_BAD_INPUT && strstr(error.text, "is I8"), "%s", error.text);
    error = (ls_error){0};
    CHECK(INTEGERS("f16") == LS_BAD_INPUT && strstr(error.text, "is F16"), "%s", error.text);
    check_case("integers are no weights, and numbers that do not fit are refused");
    safetensors_close(file);
}

/* One tensor "a" with these words, over `data` bytes. */
#define ONE(type, shape, offsets)                                                                  \
    "{\"a\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define OTHER(shape, offsets)                                                                      \
    ",\"b\":{\"dtype\":\"U8\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define TWO(first, second)                                                                         \
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" first "}" OTHER("[4]", second) "}"

static const struct {
    const char *what, *header;
    size_t data;
    const char *wanted;
} lies[] = {
    {"an empty object over bytes", "{}", 4, "end at byte 0"},
    {"a list", "[]", 0, "does not begin"},
    {"no JSON", "{\"a\"", 0, "JSON"},
    {"something behind it", "{} {}", 0, "JSON"},
    {"a name twice",
     "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
     "\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}",
     4, "duplicate"},
    {"a key twice",
     "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2,
     "duplicate"},
    {"a type of nobody", ONE("F7", "[1]", "[0,4]"), 4, "unknown type 'F7'"},
    {"a type that is a number", "{\"a\":{\"dtype\":5,\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
     "dtype"},
    {"a shape that is a text", ONE("F32", "\"x\"", "[0,4]"), 4, "shape"},
    {"a negative shape", ONE("F32", "[-1]", "[0,4]"), 4, "shape"},
    {"a broken shape", ONE("F32", "[1.5]", "[0,4]"), 4, "shape"},
    {"nine dimensions", ONE("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "8 dimensions"},
    {"a shape that overflows", ONE("F32", "[4294967296,4294967296]", "[0,4]"), 4, "more elements"},
    {"bytes that overflow", ONE("F64", "[2305843009213693952]", "[0,4]"), 4, "more elements"},
    {"a shape that wraps to the right size", ONE("U8", "[9223372036854775807,4]", "[0,4]"), 4,
     "more elements"},
    {"an integer that is too large", ONE("F32", "[99999999999999999999]", "[0,4]"), 4, "JSON"},
    {"another size", ONE("F32", "[2]", "[0,4]"), 4, "take 8 bytes"},
    {"one offset", ONE("F32", "[1]", "[0]"), 4, "data_offsets"},
    {"three offsets", ONE("F32", "[1]", "[0,4,8]"), 4, "data_offsets"},
    {"an end before its beginning", ONE("F32", "[1]", "[4,0]"), 4, "no range"},
    {"negative offsets", ONE("F32", "[1]", "[-4,0]"), 4, "no range"},
    {"an end behind the file", ONE("F32", "[2]", "[0,8]"), 4, "of which the file has 4"},
    {"an end far behind the file", ONE("F32", "[1]", "[9223372036854775803,9223372036854775807]"),
     4, "of which the file has 4"},
    {"a hole", TWO("[0,4]", "[5,9]"), 9, "bytes of no tensor"},
    {"a hole at the beginning", ONE("U8", "[4]", "[1,5]"), 5, "bytes of no tensor"},
    {"an overlap", TWO("[0,4]", "[3,7]"), 7, "inside the tensor before it"},
    {"the same bytes twice", TWO("[0,4]", "[0,4]"), 4, "inside the tensor before it"},
    {"bytes behind the last", TWO("[0,4]", "[4,8]"), 12, "end at byte 8"},
    {"more words", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", 1,
     "expected an object of"},
    {"fewer words", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "expected an object of"},
    {"a tensor that is a list", "{\"a\":[]}", 0, "expected an object of"},
    {"metadata of numbers", "{\"__metadata__\":{\"x\":1}}", 0, "object of texts"},
    {"metadata that is a text", "{\"__metadata__\":\"x\"}", 0, "object of texts"},
    {"a name with a zero",
     "{\"a\\u0000b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "JSON"},
    {"half a surrogate", "{\"\\ud800\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
     "JSON"},
    {"a name that is no UTF-8",
     "{\"\xFF\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "JSON"},
    {"a name of many lines", "{\"a\\nb\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,1]}}",
     1, "take 2 bytes"},
};

static void test_lies(void) {
    static const char data[16];
    const char *path = tensor_file_path("lies");
    for (size_t index = 0; index < sizeof lies / sizeof lies[0]; index++) {
        size_t length = strlen(lies[index].header);
        tensor_file_write(path, length, lies[index].header, length, data, lies[index].data);
        check_refusal(path, lies[index].what, lies[index].wanted);
    }
    check_case("a header that lies is refused by its fault's name");
}

static void test_lengths(void) {
    static const char header[] = TWO("[0,4]", "[4,8]");
    static const uint64_t lengths[] = {
        0, 1, sizeof header + 8, (uint64_t)4 << 30, (uint64_t)1 << 63, UINT64_MAX, UINT64_MAX - 7};
    const char *path = tensor_file_path("lengths");
    for (size_t index = 0; index < sizeof lengths / sizeof lengths[0]; index++) {
        tensor_file_write(path, lengths[index], header, sizeof header - 1, "12345678", 8);
        check_refusal(path, "a header's length", "header would have");
    }
    for (uint64_t length = 2; length < sizeof header + 7; length++) {
        tensor_file_write(path, length, header, sizeof header - 1, "12345678", 8);
        if (length != sizeof header - 1)
            check_refusal(path, "a header's length", NULL);
    }
    check_case("a header's length that is not its own is refused");

    file_bytes whole;
    tensor_file_write(path, sizeof header - 1, header, sizeof header - 1, "12345678", 8);
    ls_error error;
    CHECK(try_open(path, &error) == LS_OK, "%s", error.text);
    whole = tensor_file_read(path);
    for (size_t length = 0; length < whole.count; length++) {
        tensor_file_put(path, whole.bytes, length);
        check_refusal(path, "a shorter file", NULL);
    }
    free(whole.bytes);
    check_case("a file that was cut off anywhere is refused");

    CHECK(try_open(tensor_file_path("absent"), &error) == LS_BAD_INPUT);
    CHECK(try_open(tensor_file_path("."), &error) == LS_BAD_INPUT);
    CHECK(try_open("/dev/zero", &error) == LS_BAD_INPUT);
    path = tensor_file_path("other");
    tensor_file_put(path, "PK\3\4............................", 32);
    check_refusal(path, "a file of torch.save", "torch.save");
    check_case("what is no such file is refused");
}

/* What is parsed takes many times its text: 24 bytes and more for a "0,". */
static void test_memory(void) {
    enum { ZEROS = 4 << 20 };
    char *header = malloc(2 * ZEROS + 64);
    size_t length = (size_t)sprintf(header, "{\"a\":[");
    for (int index = 0; index < ZEROS; index++, length += 2)
        memcpy(header + length, "0,", 2);
    length += (size_t)sprintf(header + length, "0]}");
    const char *path = tensor_file_path("memory");
    tensor_file_write(path, length, header, length, NULL, 0);
    check_refusal(path, "a header of many values", "more memory");
    memset(header, '[', length);
    memcpy(header, "{\"a\":", 5);
    tensor_file_write(path, length, header, length, NULL, 0);
    check_refusal(path, "a deep header", "depth");
    free(header);
    check_case("a header that asks for more memory than its file is worth is refused");
}

static void test_writer(void) {
    static const safetensors_tensor tensors[] = {
        {.name = "w\"\\\xC3\xA9", .type = SAFETENSORS_F32, .dim_count = 2, .dims = {1, 3}},
        {.name = "n", .type = SAFETENSORS_I64}};
    static const safetensors_text about[] = {{"model", "a \"b\"\n"}};
    const float values[3] = {1.5f, NAN, -0.0f};
    const int64_t count = 7;
    float back[3];
    int64_t number;
    safetensors_writer *writer = NULL;
    safetensors *file = NULL;
    ls_error error = {0};
    const char *path = tensor_file_path("written");
    CHECK(safetensors_create(path, tensors, 2, about, 1, &writer, &error) == LS_OK, "%s",
          error.text);
    CHECK(safetensors_put(writer, values, sizeof values, &error) == LS_OK);
    CHECK(safetensors_put(writer, &count, sizeof count, &error) == LS_OK);
    CHECK(safetensors_finish(writer, &error) == LS_OK, "%s", error.text);
    CHECK(safetensors_open(path, &file, &error) == LS_OK, "%s", error.text);
    const safetensors_tensor *w = safetensors_find(file, tensors[0].name);
    CHECK(w && w->dim_count == 2 && w->dims[1] == 3);
    CHECK(w && safetensors_read_floats(file, w, back, &error) == LS_OK);
    CHECK(memcmp(back, values, sizeof back) == 0);
    CHECK(safetensors_read_integers(file, safetensors_find(file, "n"), &number, &error) == LS_OK &&
          number == 7);
    CHECK(strcmp(safetensors_about(file, "model"), about[0].text) == 0);
    safetensors_close(file);
    check_case("what was written is read back");

    path = tensor_file_path("half");
    CHECK(safetensors_create(path, tensors, 2, NULL, 0, &writer, &error) == LS_OK);
    CHECK(safetensors_put(writer, values, 4, &error) == LS_OK);
    CHECK(safetensors_finish(writer, &error) == LS_FAILED && strstr(error.text, "did not come"));
    ls_error absent;
    CHECK(try_open(path, &absent) == LS_BAD_INPUT && strstr(absent.text, "No such file"), "%s",
          absent.text);
    check_case("half a file gets no name");
}

int main(void) {
    test_types();
    test_lies();
    test_lengths();
    test_memory();
    test_writer();
    return check_done();
}
