/* Asks a model one question and streams the answer: example MODEL PROMPT
 *
 *   cc example.c $(pkg-config --cflags --libs agentcompress) -o example
 */
#include <agentcompress.h>
#include <stdio.h>

static int show(const char* text, size_t text_bytes, void* user_data) {
  FILE* const out = (FILE*)user_data;
  fwrite(text, 1, text_bytes, out);
  /* Nobody reads any more: the rest need not be made. */
  return fflush(out) != 0;
}

static int fail(void) {
  fprintf(stderr, "%s: %s\n", agentcompress_code_name(agentcompress_last_code()),
          agentcompress_last_error());
  return 1;
}

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: example MODEL PROMPT (agentcompress %s)\n", agentcompress_version());
    return 2;
  }
  agentcompress* handle = NULL;
  if (agentcompress_open(NULL, NULL, argv[1], &handle) != AC_OK) return fail();

  const agentcompress_message question = {"user", argv[2]};
  agentcompress_ask_options options = AC_ASK_OPTIONS_INIT;
  options.max_tokens = 64;
  options.on_text = show;
  options.user_data = stdout;
  agentcompress_answer* answer = NULL;
  const agentcompress_code code = agentcompress_ask(handle, &question, 1, &options, &answer);
  if (answer != NULL) {
    printf("\n");
    fprintf(stderr, "%s %s: %lld tokens in %.2f s, $%.4f, %s\n",
            answer->place == AC_PLACE_LOCAL ? "local" : "remote", answer->model,
            (long long)answer->completion_tokens, answer->seconds, answer->cost_usd,
            answer->finish);
  }
  agentcompress_free(answer);
  agentcompress_close(handle);
  return code == AC_OK ? 0 : fail();
}
