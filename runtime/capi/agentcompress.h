/* libagentcompress: language-model answers from C, and from whatever can call C.
 *
 * A handle is what `agentcompress ask` has in its hands: settings, local variants, a predictor and
 * perhaps a remote full model. A question goes in; the smallest model that will still succeed
 * answers; a receipt says which one that was, why, and what it cost.
 *
 *   agentcompress* handle = NULL;
 *   agentcompress_answer* answer = NULL;
 *   const agentcompress_message question = {"user", "Summarise: ..."};
 *   if (agentcompress_open(NULL, NULL, "lab.zoo", &handle) != AC_OK ||
 *       agentcompress_ask(handle, &question, 1, NULL, &answer) != AC_OK) {
 *     fprintf(stderr, "%s\n", agentcompress_last_error());
 *   } else {
 *     puts(answer->text);
 *   }
 *   agentcompress_free(answer);
 *   agentcompress_close(handle);
 *
 * Texts      UTF-8 that ends in a zero byte, unless their size is given beside them. What is
 *            passed in is read during the call and not kept.
 * Memory     What a function gives back through its last arguments is one block each, with
 *            everything that it points at, and stays valid until agentcompress_free, even after
 *            the handle is closed. On failure these arguments are set to NULL (one exception:
 *            agentcompress_ask).
 * Errors     A function that may fail returns a code; agentcompress_last_error says in words what
 *            was wrong and where. A NULL that is not allowed is AC_INVALID_ARGUMENT. No exception
 *            comes out.
 * Threads    A handle may be used by any number of threads at once. Answers of local variants
 *            take turns, in the order in which they were asked for; while one waits for the
 *            remote others go on. Each call computes with as many threads as `threads` in
 *            [engine] says. After fork() a handle is the parent's alone.
 * Process    Warnings go to stderr; the override "log.level=off" turns them off. Level and
 *            SIGPIPE belong to the process: the last handle opened decides the level, signals are
 *            left alone.
 * Units      Bytes, tokens, seconds and US dollars, as the names say.
 *
 * What there is keeps its meaning while AC_API_VERSION stays; what is added stands at the end of a
 * struct or of an enumeration.
 */
#ifndef AGENTCOMPRESS_H
#define AGENTCOMPRESS_H

#include <stddef.h>
#include <stdint.h>

#define AC_API_VERSION 1

#if defined(__GNUC__)
#define AC_API __attribute__((visibility("default")))
#else
#define AC_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* AC_API_VERSION of the library that is there at run time, and its release: "0.1.0". Never fail. */
AC_API int agentcompress_api_version(void);
AC_API const char* agentcompress_version(void);

/* ---- errors ---- */

typedef enum agentcompress_code {
  AC_OK = 0,
  AC_INVALID_ARGUMENT = 1, /* what was asked for makes no sense; a setting that cannot be */
  AC_NOT_FOUND = 2,        /* a file, a model or a variant that does not exist */
  AC_CORRUPT_FILE = 3,     /* a file that breaks its own format */
  AC_UNSUPPORTED = 4,      /* valid, but nothing that this library can do */
  AC_IO = 5,               /* the operating system refused */
  AC_REMOTE = 6,           /* the remote failed, and nobody else may answer */
  AC_OUT_OF_MEMORY = 7,
  AC_CONTEXT_FULL = 8, /* prompt and answer are longer than the model's context */
  AC_CANCELLED = 9,    /* an exception came out of a callback */
  AC_INTERNAL = 10     /* a mistake of the library */
} agentcompress_code;

/* Of the last call in this thread that failed; AC_OK and "" before any has. The text is valid
 * until the next call in this thread. */
AC_API agentcompress_code agentcompress_last_code(void);
AC_API const char* agentcompress_last_error(void);
/* "invalid_argument"; "unknown" for a number that is no code. */
AC_API const char* agentcompress_code_name(agentcompress_code code);

/* ---- a handle ---- */

typedef struct agentcompress agentcompress;

/* Reads settings and opens what may answer. No weights are loaded and no connection is made
 * before the first question.
 *   config_file  an ini file as for `agentcompress --config`. NULL: ./agentcompress.ini where it
 *                exists. The user's and the system's file and AGENTCOMPRESS_* variables count as
 *                they do there.
 *   overrides    settings that win over all of those, "section.key=value" each
 *                ("engine.threads=2", "privacy.offline=yes"), a NULL behind the last; NULL: none.
 *                `agentcompress config show` lists all there are.
 *   model        a zoo, a GGUF file or a Hugging Face folder. NULL: the zoo of the settings, or
 *                else the one that comes with the library.
 * Answers are written down in the ledger as those of "library", without a word of them, unless
 * "ledger.keep=no". */
AC_API agentcompress_code agentcompress_open(const char* config_file, const char* const* overrides,
                                             const char* model, agentcompress** handle);

/* NULL is allowed. No call on the handle may be running or follow; inside a callback it does
 * nothing. */
AC_API void agentcompress_close(agentcompress* handle);

/* The names that may be asked for as `model` below: "auto", "local" and "remote" where there are
 * such, and the id of every local variant; a NULL behind the last. */
AC_API agentcompress_code agentcompress_models(agentcompress* handle, const char*** names);

/* ---- a question ---- */

typedef struct agentcompress_message {
  const char* role; /* "system", "user" or "assistant" */
  const char* content;
} agentcompress_message;

/* A piece of the answer, whole UTF-8 characters, `text_bytes` bytes without a zero behind them;
 * valid during the call. Comes on the thread that asked or on one of the library's own, one piece
 * after the other, while the one that asked waits. Returning something else than 0 stops
 * the answer. From here no function may be called on the handle but agentcompress_cancel; the
 * others fail. */
typedef int (*agentcompress_on_text)(const char* text, size_t text_bytes, void* user_data);

/* Begin with AC_ASK_OPTIONS_INIT, which leaves everything as the settings have it, and change
 * what should be otherwise:
 *   agentcompress_ask_options options = AC_ASK_OPTIONS_INIT;
 *   options.max_tokens = 64; */
typedef struct agentcompress_ask_options {
  size_t struct_size;      /* of the caller's header */
  int32_t max_tokens;      /* longest answer; below 1: as set */
  double temperature;      /* 0: always the likeliest token; below 0: as set */
  double top_p;            /* 0 to 1; below 0: as set */
  int64_t seed;            /* of the sampler; below 0: as set */
  const char* const* stop; /* texts that the answer ends before, NULL behind the last; NULL: none */
  const char* model;       /* a name of agentcompress_models; NULL: "auto" */
  double threshold;        /* 0 to 1: predicted success that a local variant must reach; below 0: as
                              set */
  const char* workflow;    /* questions of one id are steps that share risk and budget, for as long
                              as the handle is open; NULL: a question of its own */
  const char* json_schema; /* the answer is JSON that is valid by this schema; NULL: any text */
  agentcompress_on_text on_text; /* NULL: only the whole answer */
  void* user_data;               /* passed on to on_text */
} agentcompress_ask_options;

#define AC_ASK_OPTIONS_INIT \
  { sizeof(agentcompress_ask_options), 0, -1.0, -1.0, -1, NULL, NULL, -1.0, NULL, NULL, NULL, NULL }

typedef enum agentcompress_place { AC_PLACE_LOCAL = 0, AC_PLACE_REMOTE = 1 } agentcompress_place;

typedef struct agentcompress_answer {
  const char* text;
  size_t text_bytes;         /* without the zero */
  agentcompress_place place; /* who answered: this machine or the remote */
  const char* model;         /* the variant's id, or the remote model as its server names it */
  const char* reason;        /* why there: "confident", "pinned", "remote_down", ... */
  const char* finish;        /* "stop", "length", "cancelled" or "interrupted" */
  int64_t prompt_tokens;
  int64_t completion_tokens;
  double seconds;             /* from the question to the end of the answer */
  double first_token_seconds; /* 0 when no text came */
  double cost_usd;            /* of the remote; 0 on this machine */
  const char* receipt_json;   /* all of that and more: confidence, degraded, doubts, notes */
} agentcompress_answer;

/* Answers a conversation, whose last message is usually the user's. `options` NULL: all as set.
 * An answer that was stopped is no failure: its finish is "cancelled", its text is what had come.
 *
 * An answer that broke off after its first piece is a failure, and *answer is set all the same:
 * its finish is "interrupted", and its text must not pass for a whole one. */
AC_API agentcompress_code agentcompress_ask(agentcompress* handle,
                                            const agentcompress_message* messages,
                                            size_t n_messages,
                                            const agentcompress_ask_options* options,
                                            agentcompress_answer** answer);

/* Ends every answer that is being made or waited for on this handle; those that are asked for
 * later are not touched. From any thread. */
AC_API void agentcompress_cancel(agentcompress* handle);

/* Where the question would go, and why, as a JSON object: place, variant, reason, confidence,
 * candidates, ... (as `agentcompress route --explain --json`). Nothing runs, no connection is
 * made. */
AC_API agentcompress_code agentcompress_route(agentcompress* handle,
                                              const agentcompress_message* messages,
                                              size_t n_messages,
                                              const agentcompress_ask_options* options,
                                              char** json);

/* A vector of length 1 for a text, made on this machine. `model`: a local variant; NULL, "auto"
 * or "local": the best one. Vectors of different models cannot be compared. */
AC_API agentcompress_code agentcompress_embed(agentcompress* handle, const char* model,
                                              const char* text, float** vector, size_t* n_floats);

/* Gives back what one of the functions above gave. NULL is allowed. */
AC_API void agentcompress_free(void* memory);

#ifdef __cplusplus
}
#endif

#endif
