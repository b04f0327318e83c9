/* rules/pod_fields.c: how lists merge, and that its tables agree with each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "doc/json.h"
#include "rules/pod_fields.h"
#include "unit/scratch.h"

static void lists(void **state) {
  static const struct {
    const char *list, *key;
    enum mg_list_merge merge;
  } rows[] = {
      {"containers", "name", MG_MERGE_KEY},
      {"volumeMounts", "mountPath", MG_MERGE_KEY},
      {"hostAliases", "ip", MG_MERGE_KEY},
      {"topologySpreadConstraints", "topologyKey", MG_MERGE_KEY},
      {"tolerations", "", MG_MERGE_VALUE},
      {"envFrom", "", MG_MERGE_VALUE},
      {"args", "", MG_MERGE_WHOLE},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    mg_str key = {0};
    if (mg_pod_list_merge(mg_str_of(rows[i].list), &key) != rows[i].merge || !mg_str_is(key, rows[i].key))
      fail_msg("%s: %.*s", rows[i].list, MG_FMT(key));
  }
}

/* Lists of objects that are known by a key demand it of every item, and have it in their table. */
static void check_table(const struct mg_field *table) {
  for (; table->key; table++) {
    mg_str key = {0};
    const struct mg_field *row = NULL;
    if (table->type == &mg_t_object) check_table(((const struct mg_shape *)table->arg)->fields);
    if (table->type != &mg_t_list) continue;
    const struct mg_item *item = table->arg;
    if (item->type == &mg_t_object) check_table(((const struct mg_shape *)item->arg)->fields);
    if (mg_pod_list_merge(mg_str_of(table->key), &key) != MG_MERGE_KEY) continue;
    if (item->type == &mg_t_object) row = mg_pod_field_of(((const struct mg_shape *)item->arg)->fields, key);
    if (!row || !row->required) fail_msg("%s: its items need not have %.*s", table->key, MG_FMT(key));
  }
}

static void tables(void **state) {
  (void)state;
  check_table(mg_pod_template_fields);
  assert_non_null(mg_pod_field_of(mg_pod_container_fields, MG_S("env")));
  assert_null(mg_pod_field_of(mg_pod_container_fields, MG_S("envs")));
}

static uint32_t found_at(const char *list, const char *like, const char *key) {
  uint32_t index;
  return mg_pod_find_item(json(list), json(like), mg_str_of(key), &index).at ? index : UINT32_MAX;
}

static void items(void **state) {
  const char *ports = "[{\"containerPort\":53},{\"containerPort\":53,\"protocol\":\"UDP\"}]";
  (void)state;
  assert_int_equal(found_at("[null,7,{\"name\":null},{\"name\":\"a\",\"value\":\"1\"}]", "{\"name\":\"a\"}", "name"), 3);
  assert_int_equal(found_at("[{\"name\":\"b\"}]", "{\"name\":\"a\"}", "name"), UINT32_MAX);
  assert_int_equal(found_at("[{}]", "{}", "name"), UINT32_MAX);
  assert_int_equal(found_at("{\"name\":\"a\"}", "{\"name\":\"a\"}", "name"), UINT32_MAX);
  assert_int_equal(found_at(ports, "{\"containerPort\":53,\"protocol\":\"UDP\"}", "containerPort"), 1);
  assert_int_equal(found_at(ports, "{\"containerPort\":53.0,\"protocol\":\"TCP\"}", "containerPort"), 0);
  assert_int_equal(found_at(ports, "{\"containerPort\":53,\"protocol\":\"SCTP\"}", "containerPort"), UINT32_MAX);
  assert_int_equal(found_at("[\"a\",\"b\"]", "\"b\"", ""), 1);
  assert_int_equal(found_at("[{\"a\":1,\"b\":2}]", "{\"b\":2,\"a\":1}", ""), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lists),
      cmocka_unit_test(tables),
      cmocka_unit_test_setup_teardown(items, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
