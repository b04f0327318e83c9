/* What is shown of commands: their builders' noise goes, and so does whatever looks like a secret. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "registry/weights.h"
#include "unit/chance.h"
#include "unit/scratch.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define TEN "0123456789"
#define FIFTY TEN TEN TEN TEN TEN

static void test_clean(void **state) {
  static const struct {
    const char *command, *shown;
  } rows[] = {
      {"COPY weights/ /models/ # buildkit", "COPY weights/ /models/"},
      {"/bin/sh -c #(nop)  CMD [\"bash\"]", "CMD [\"bash\"]"},
      {"/bin/sh -c #(nop) COPY dir:01 in /m ", "COPY dir:01 in /m"},
      {"/bin/sh -c apt-get  update\t&& \\\n  true", "RUN apt-get update && \\ true"},
      {"RUN /bin/sh -c pip install x # buildkit", "RUN pip install x"},
      {"RUN |2 A=1 B=two words /bin/sh -c make # buildkit", "RUN make"},
      {"RUN |1 TOKEN=/bin/sh /bin/sh -c make # buildkit", "RUN make"},
      {"|1 PLANTED=hunter2 /bin/bash -o pipefail -c make", "RUN make"},
      {"RUN |1 PLANTED=hunter2 no shell at all", "RUN"},
      {"ARG PLANTED=hunter2", "ARG PLANTED"},
      {"/bin/sh -c #(nop)  ARG PLANTED=hunter2", "ARG PLANTED"},
      {"ENV HF_TOKEN=hunter2 A=b", "ENV HF_TOKEN=*** A=b"},
      {"ENV HF_TOKEN hunter2", "ENV HF_TOKEN ***"},
      {"ENV A my token", "ENV A my token"},
      {"RUN echo 'machine x login me password hunter2' > .netrc", "RUN echo 'machine x login me password ***' > .netrc"},
      {"ENV PASSWORD=\"hunter 2\" A=b", "ENV PASSWORD=*** A=b"},
      {"RUN /bin/sh -c login --token hunter2 -v", "RUN login --token *** -v"},
      {"RUN /bin/sh -c login --token=hunter2 -v", "RUN login --token=*** -v"},
      {"RUN /bin/sh -c login --password-stdin -v", "RUN login --password-stdin -v"},
      {"RUN /bin/sh -c curl -u me:hunter2 https://x", "RUN curl -u *** https://x"},
      {"RUN /bin/sh -c curl https://me:hunter2@x/y?token=hunter2&z=1", "RUN curl https://***@x/y?token=***"},
      {"RUN /bin/sh -c curl -H \"Authorization: Bearer hunter2\" -o f", "RUN curl -H \"Authorization: ***\" -o f"},
      {"RUN /bin/sh -c echo hf_hunter2 ghp_hunter2hunter2", "RUN echo *** ***"},
      {"RUN /bin/sh -c python -c \"hf_hub_download('x', token='hunter2')\"", "RUN python -c \"hf_hub_download('x', token=***\""},
      {"RUN /bin/sh -c echo '{\"password\": \"hunter2\", \"a\": 1}' > f", "RUN echo '{\"password\": *** \"a\": 1}' > f"},
      {"RUN /bin/sh -c echo don't PASSWORD='hunter2 hunter2' x", "RUN echo don't PASSWORD=*** x"},
      {"RUN |1 A=x /bin/sh -c hunter2 /bin/sh -c make # buildkit", "RUN make"},
      {"RUN |2 A=\"x y\" B='/bin/sh -c' hunter2 /bin/bash -o pipefail -c make", "RUN make"},
      {"|1 A=/bin/sh -c wget hunter2 /bin/sh -c make", "RUN make"},
      {"RUN /bin/sh -c sshpass -p hunter2 scp -P 22 a b", "RUN sshpass -p *** scp -P 22 a b"},
      {"RUN /bin/sh -c sshpass -phunter2 scp a b", "RUN sshpass -p*** scp a b"},
      {"RUN /bin/sh -c mysql -u me -phunter2 db && grep -p x", "RUN mysql -u me -p*** db && grep -p x"},
      {"RUN /bin/sh -c docker login -u me -p hunter2 x.io", "RUN docker login -u me -p *** x.io"},
      {"RUN /bin/sh -c mkdir -p /models && cp -p a b", "RUN mkdir -p /models && cp -p a b"},
      {"RUN /bin/sh -c curl -ume:hunter2 --user=me:hunter2 https://x", "RUN curl -u*** --user=*** https://x"},
      {"RUN /bin/sh -c curl -u 'me:hunter 2' https://x", "RUN curl -u *** https://x"},
      {"RUN /bin/sh -c x --password -hunter2 y", "RUN x --password *** y"},
      {"RUN /bin/sh -c x --password 'hunter 2' y", "RUN x --password *** y"},
      {"RUN /bin/sh -c curl -H 'Authorization: Digest hunter2, x=\"hunter2\"' -o f", "RUN curl -H 'Authorization: ***' -o f"},
      {"RUN /bin/sh -c curl -H Authorization:\\ Basic\\ hunter2 -o f", "RUN curl -H Authorization:*** -o f"},
      {"RUN /bin/sh -c echo Authorization: A hunter2 > f", "RUN echo Authorization: *** > f"},
      {"RUN /bin/sh -c curl -b sid=hunter2 -H 'Cookie: a; b=hunter2' x", "RUN curl -b *** -H 'Cookie: ***' x"},
      {"RUN /bin/sh -c echo 'password = hunter2' > f", "RUN echo 'password = ***' > f"},
      {"RUN /bin/sh -c echo root:hunter2 | chpasswd", "RUN echo *** | chpasswd"},
      {"RUN /bin/sh -c printf %s hunter2|docker login -u me --password-stdin",
       "RUN printf *** |docker login -u me --password-stdin"},
      {"RUN /bin/sh -c aws configure set aws_secret_access_key hunter2", "RUN aws configure set aws_secret_access_key ***"},
      {"RUN /bin/sh -c echo '<password>hunter2</password>' > f", "RUN echo '<password>***' > f"},
      {"CMD [\"curl\",\"-u\",\"me:hunter2\",\"x\"]", "CMD [\"curl\",\"-u\",***"},
      {"CMD [\"x\" \"--password\" \"hunter2\" \"y\"]", "CMD [\"x\" \"--password\" *** \"y\"]"},
      {"RUN /bin/sh -c rsync me:hunter2@host:/x .", "RUN rsync me:***@host:/x ."},
      {"RUN /bin/sh -c echo \"{\\\"token\\\":\\\"hunter2\\\"}\" x", "RUN echo \"{\\\"token\\\":***\" x"},
      {"COPY --from=x.io/a:1@sha256:00 tokenizer_config.json vocab.txt /m/",
       "COPY --from=x.io/a:1@sha256:00 tokenizer_config.json vocab.txt /m/"},
      {"RUN a\x1b[31m\xe2\x80\xae" "b", "RUN a\xef\xbf\xbd[31m\xef\xbf\xbd" "b"},
      {"umoci insert", "umoci insert"},
      {"", ""},
  };
  (void)state;
  for (size_t i = 0; i < COUNT(rows); i++) {
    mg_str shown = mg_weights_clean_command(&arena, mg_str_of(rows[i].command));
    if (!mg_str_is(shown, rows[i].shown)) fail_msg("%s: %.*s", rows[i].command, MG_FMT(shown));
  }
}

/* ---- secrets at random places ---- */

/* What stands on both sides of a secret; the last are of build arguments. */
static const char *const places[][2] = {
    {"sshpass -p ", " ssh h"}, {"sshpass -p", " ssh h"}, {"curl -u me:", " https://h"}, {"curl -ume:", " https://h"},
    {"curl --user me:", " h"}, {"curl --user=me:", " h"}, {"curl -u \"me:", "\" h"}, {"curl --proxy-user 'me:", "' h"},
    {"curl -b ", " h"}, {"curl -H 'Authorization: Bearer ", "' h"}, {"curl -H \"authorization: token ", "\" h"},
    {"curl -H 'Authorization: Digest username=\"a\", response=\"", "\"' h"}, {"curl -H \"Cookie: a=b; sid=", "\" h"},
    {"curl -H 'PRIVATE-TOKEN: ", "' h"}, {"wget --header='X-Auth-Token: ", "' h"}, {"wget --http-password ", " h"},
    {"git -c http.extraheader=\"AUTHORIZATION: basic ", "\" clone h"}, {"git clone https://me:", "@h/x"},
    {"scp me:", "@h:/x ."}, {"x --password ", " y"}, {"x --password=", " y"}, {"x --password='", "' y"}, {"x --token \"", "\" y"},
    {"x --api-key ", " y"}, {"X_SECRET=", " make"}, {"export A=1 DB_PASS='", "' && make"}, {"mysql -u root -p", " db"},
    {"docker login -u me -p ", " r.example"}, {"podman login -p ", ""}, {"az login -u a -p ", ""}, {"redis-cli -a ", " ping"},
    {"unzip -P ", " a.zip"}, {"7z x -p", " a.7z"}, {"echo ", " | docker login -u me --password-stdin"},
    {"echo 'root:", "' | chpasswd"},
    {"docker login --password-stdin <<< ", " x"}, {"printf 'machine h login me password ", "' >f"},
    {"echo 'password = ", "' >f"}, {"echo '{\"password\": \"", "\"}' >f"}, {"echo \"{\\\"token\\\":\\\"", "\\\"}\" >f"},
    {"echo '<password>", "</password>' >f"},
    {"aws configure set aws_secret_access_key ", ""}, {"wget 'https://h/x?sig=", "&a=b'"},
    {"python -c \"login(token='", "')\""}, {"python -c \"run(['curl','-u','me:", "'])\""}, {"openssl enc -pass pass:", " -in f"},
    {"npm config set //r.example/:_authToken ", ""},
};

/* No character of it ends a word. */
static void put_secret(char *to, size_t n) {
  static const char set[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+=%!^~";
  for (size_t i = 0; i < n; i++) to[i] = set[random_below(i ? sizeof set - 1 : 62)];
  to[n] = '\0';
}

static void put_noise(struct mg_buf *out) {
  static const char *const words[] = {"apt-get update", "mkdir -p /models", "cd /x", "hf download a/b", "pip install -U torch",
                                      "make -j 4", "echo don't", "wget -q https://h/m.gguf", "cp -a a b", "echo \"a b\"",
                                      "set -eux"};
  for (unsigned i = random_below(3); i--;)
    mg_buf_printf(out, "%s %s ", words[random_below(COUNT(words))], random_below(2) ? "&&" : ";");
}

static void expect_hidden(const char *secret, mg_str command) {
  mg_str words = {0}, shown = mg_weights_clean_command(&arena, command);
  if (mg_str_has(shown, mg_str_of(secret))) fail_msg("%s in \"%.*s\" of \"%.*s\"", secret, MG_FMT(shown), MG_FMT(command));
  if (mg_weights_command(&arena, command, &words) && mg_str_has(words, mg_str_of(secret)))
    fail_msg("%s in \"%.*s\", the words of \"%.*s\"", secret, MG_FMT(words), MG_FMT(command));
}

static void test_secrets_anywhere(void **state) {
  static const char *const frames[] = {"/bin/sh -c ", "RUN /bin/sh -c ", "RUN |1 A=b /bin/bash -o pipefail -c ", "RUN ",
                                       "|2 A=x y B=\" /bin/sh -c "};
  long runs = random_runs(5000);
  (void)state;
  for (long i = 0; i < runs; i++) {
    struct mg_buf command;
    char secret[40];
    mg_buf_init(&command, &arena, 4096);
    put_secret(secret, 8 + random_below(24));
    unsigned at = random_below(COUNT(places));
    mg_buf_printf(&command, "%s", frames[random_below(COUNT(frames))]);
    put_noise(&command);
    mg_buf_printf(&command, "%s%s%s ", places[at][0], secret, places[at][1]);
    if (random_below(2)) mg_buf_printf(&command, "&& ");
    if (random_below(2)) put_noise(&command);
    if (random_below(2)) mg_buf_lit(&command, "# buildkit");
    expect_hidden(secret, mg_buf_str(&command));
    mg_arena_reset(&arena);
  }
}

/* Whatever a build argument has in it. */
static void test_build_arguments(void **state) {
  static const char *const parts[] = {"/bin/sh -c", "/bin/bash", "-c", "'", "\"", "a=b", "&&", "|", "# buildkit", "RUN", "wget",
                                      "/bin/sh"};
  (void)state;
  for (int i = 0; i < 5000; i++) {
    struct mg_buf command;
    char secret[40];
    mg_buf_init(&command, &arena, 4096);
    put_secret(secret, 8 + random_below(24));
    mg_buf_printf(&command, "%s|%u A=", random_below(2) ? "RUN " : "", 1 + random_below(2));
    for (unsigned k = random_below(5); k--;) mg_buf_printf(&command, "%s ", parts[random_below(COUNT(parts))]);
    mg_buf_printf(&command, "%s%s", secret, random_below(2) ? ".gguf" : "");
    for (unsigned k = random_below(5); k--;) mg_buf_printf(&command, " %s", parts[random_below(COUNT(parts))]);
    mg_buf_lit(&command, " /bin/sh -c make # buildkit");
    expect_hidden(secret, mg_buf_str(&command));
    mg_arena_reset(&arena);
  }
}

static void test_clean_is_bounded(void **state) {
  (void)state;
  mg_str shown = mg_weights_clean_command(&arena, MG_S("COPY " FIFTY FIFTY FIFTY FIFTY " /x"));
  assert_int_equal(shown.n, MG_COMMAND_MAX);
  assert_true(mg_str_starts(shown, MG_S("COPY 0123")) && mg_str_ends(shown, MG_S("1\xe2\x80\xa6")));
  assert_int_equal(mg_weights_clean_command(&arena, MG_S("RUN /bin/sh -c " FIFTY FIFTY FIFTY FIFTY)).n, MG_COMMAND_MAX);
  struct mg_buf text;
  mg_buf_init(&text, &arena, 1000);
  mg_buf_lit(&text, "X");
  for (int i = 0; i < 100; i++) mg_buf_lit(&text, "\xc3\xa4");
  mg_str umlauts = mg_weights_clean_command(&arena, mg_buf_str(&text));
  assert_true(umlauts.n <= MG_COMMAND_MAX && mg_str_ends(umlauts, MG_S("\xc3\xa4\xe2\x80\xa6")));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_clean),
      cmocka_unit_test(test_secrets_anywhere),
      cmocka_unit_test(test_build_arguments),
      cmocka_unit_test(test_clean_is_bounded),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
