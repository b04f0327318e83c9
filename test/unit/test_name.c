#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "kube/name.h"

struct row {
  const char *text;
  bool good;
};

static void check(bool (*is)(mg_str), const struct row *rows) {
  for (; rows->text; rows++)
    if (is(mg_str_of(rows->text)) != rows->good) fail_msg("\"%s\" should be %s", rows->text, rows->good ? "good" : "bad");
}

/* n bytes of 'a', with `head` before them. */
static mg_str repeat(char *buf, const char *head, size_t n) {
  size_t h = strlen(head);
  memcpy(buf, head, h);
  memset(buf + h, 'a', n);
  return (mg_str){buf, h + n};
}

static void label_values(void **state) {
  (void)state;
  static const struct row rows[] = {
      {"", true},     {"a", true},    {"A-b_c.9", true}, {"true", true}, {"-a", false},  {"a-", false}, {".", false},
      {"a b", false}, {"a/b", false}, {"\xc3\xa4", false}, {"a\n", false}, {"_a", false}, {"9", true},   {NULL, false},
  };
  check(mg_name_is_label_value, rows);
  assert_false(mg_name_is_label_value((mg_str){"a\0b", 3}));
}

static void label_keys(void **state) {
  (void)state;
  static const struct row rows[] = {
      {"", false},      {"spot", true},          {"nvidia.com/gpu", true}, {"nvidia.com/mig-1g.5gb", true}, {"/gpu", false},
      {"a/", false},    {"a/b/c", false},        {"Nvidia.com/gpu", false}, {"a..b/c", false},              {"-a/b", false},
      {"a.b-/c", false}, {"a_b/c", false},       {"a/B_c.D", true},         {"a/-", false},                 {NULL, false},
  };
  check(mg_name_is_label_key, rows);
}

static void dns_labels(void **state) {
  (void)state;
  static const struct row rows[] = {
      {"", false}, {"dshm", true}, {"dshm-2", true}, {"Dshm", false}, {"a.b", false},
      {"-a", false}, {"a-", false}, {"0", true}, {NULL, false},
  };
  check(mg_name_is_dns_label, rows);
}

static void dns_subdomains(void **state) {
  (void)state;
  static const struct row rows[] = {
      {"", false},   {"ml-training", true}, {"a.b.c", true}, {"a.", false},  {".a", false},
      {"a..b", false}, {"a-.b", false},     {"a.-b", false}, {"a.B", false}, {NULL, false},
  };
  check(mg_name_is_dns_subdomain, rows);
}

static void limits(void **state) {
  (void)state;
  char buf[512];
  for (size_t n = 62; n <= 64; n++) {
    assert_int_equal(mg_name_is_label_value(repeat(buf, "", n)), n <= 63);
    assert_int_equal(mg_name_is_dns_label(repeat(buf, "", n)), n <= 63);
    assert_int_equal(mg_name_is_label_key(repeat(buf, "", n)), n <= 63);
    assert_int_equal(mg_name_is_label_key(repeat(buf, "a.b/", n)), n <= 63);
  }
  for (size_t n = 252; n <= 254; n++) {
    mg_str name = repeat(buf, "", n);
    assert_int_equal(mg_name_is_dns_subdomain(name), n <= 253);
    memcpy(buf + n, "/b", 2);
    assert_int_equal(mg_name_is_label_key((mg_str){buf, n + 2}), n <= 253);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(label_values),   cmocka_unit_test(label_keys), cmocka_unit_test(dns_labels),
      cmocka_unit_test(dns_subdomains), cmocka_unit_test(limits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
