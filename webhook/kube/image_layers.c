#include "kube/image_layers.h"

static bool same_layer(const struct mg_layer_fact *a, const struct mg_layer_fact *b) {
  return mg_str_eq(a->digest, b->digest) || (a->diff_id.n && mg_str_eq(a->diff_id, b->diff_id));
}

static uint32_t shared_layers(const struct mg_platform_fact *a, const struct mg_platform_fact *b) {
  uint32_t n = 0;
  while (n < a->layer_count && n < b->layer_count && same_layer(&a->layers[n], &b->layers[n])) n++;
  return n;
}

/* Of the first layers, each digest once. */
static int64_t sum_of(const struct mg_platform_fact *platform, uint32_t layers) {
  int64_t sum = 0;
  for (uint32_t i = 0; i < layers; i++) {
    bool again = false;
    for (uint32_t k = 0; k < i && !again; k++) again = mg_str_eq(platform->layers[k].digest, platform->layers[i].digest);
    if (!again) sum += platform->layers[i].size;
  }
  return sum;
}

struct mg_credit mg_image_credit(const struct mg_platform_fact *platform, const struct mg_image_facts *const *bases,
                                 uint32_t count) {
  struct mg_credit best = {.over = platform->total};
  for (uint32_t b = 0; bases && b < count; b++) {
    for (uint32_t i = 0; bases[b] && i < bases[b]->platform_count; i++) {
      uint32_t n = shared_layers(platform, &bases[b]->platforms[i]);
      if (n > best.layers) best = (struct mg_credit){n, b, platform->total};
    }
  }
  if (platform->total >= 0) best.over -= sum_of(platform, best.layers);
  return best;
}

uint32_t mg_image_largest(const struct mg_platform_fact *platform) {
  uint32_t largest = 0;
  for (uint32_t i = 1; i < platform->layer_count; i++)
    if (platform->layers[i].size > platform->layers[largest].size) largest = i;
  return largest;
}

bool mg_platform_is(mg_str platform, mg_str asked) {
  if (!mg_str_starts(platform, asked)) return false;
  return !asked.n || platform.n == asked.n || platform.p[asked.n] == '/';
}

mg_str mg_size_text(struct mg_arena *arena, int64_t bytes) {
  static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  uint32_t unit = 0;
  int64_t one = 1024;
  if (bytes < 1024) return mg_arena_printf(arena, "%d B", (int)(bytes < 0 ? 0 : bytes));
  while (unit < 5 && bytes / one >= 1024) one *= 1024, unit++;
  int64_t whole = bytes / one, rest = bytes % one, hundredths = rest / (one / 1024) * 100 / 1024;
  /* Of 1024ths, rounded up; a rest below one of them counts as well. */
  if (hundredths * 1024 < rest / (one / 1024) * 100 || rest % (one / 1024)) hundredths++;
  if (hundredths == 100) whole++, hundredths = 0;
  if (!hundredths) return mg_arena_printf(arena, "%d %s", (int)whole, units[unit]);
  if (hundredths % 10 == 0) return mg_arena_printf(arena, "%d.%d %s", (int)whole, (int)(hundredths / 10), units[unit]);
  return mg_arena_printf(arena, "%d.%02d %s", (int)whole, (int)hundredths, units[unit]);
}
