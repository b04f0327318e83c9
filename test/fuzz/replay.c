/* A target without libFuzzer: runs every file of the folders that are given. TAP. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define INPUT_MAX ((size_t)8 << 20)

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) {
  (void)data;
  (void)max;
  return size;
}

static int visible(const struct dirent *entry) {
  return entry->d_name[0] != '.';
}

static bool run(const char *folder, const char *name) {
  char path[1024];
  MG_BUF_AUTO text;
  mg_buf_init(&text, NULL, INPUT_MAX + 1);
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "rb");
  char *to = mg_buf_room(&text, INPUT_MAX + 1);
  if (!file || !to) return false;
  size_t n = fread(to, 1, INPUT_MAX + 1, file);
  bool good = !ferror(file) && n <= INPUT_MAX;
  fclose(file);
  if (!good) return false;
  char *exact = fuzz_exact((mg_str){to, n});
  LLVMFuzzerTestOneInput((const uint8_t *)exact, n);
  free(exact);
  return true;
}

int main(int argc, char **argv) {
  int failed = 0, number = 0;
  for (int i = 1; i < argc; i++) {
    struct dirent **names = NULL;
    int count = scandir(argv[i], &names, visible, alphasort);
    if (count <= 0) {
      printf("Bail out! nothing in %s\n", argv[i]);
      return 2;
    }
    printf("1..%d\n", count);
    fflush(stdout); /* whatever aborts, the plan has been said */
    for (int k = 0; k < count; k++) {
      bool good = run(argv[i], names[k]->d_name);
      printf("%s %d - %s\n", good ? "ok" : "not ok", ++number, names[k]->d_name);
      fflush(stdout);
      failed |= !good;
      free(names[k]);
    }
    free(names);
  }
  return failed;
}
