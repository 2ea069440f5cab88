#include "runtime/route/chat_wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ac {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

RemoteRequest request_of(std::string prompt) {
  RemoteRequest request;
  request.messages = {{.role = "user", .content = std::move(prompt)}};
  return request;
}

// Whatever is added to RemoteRequest or to the options, this is all that leaves the machine.
TEST(ChatRequestBody, IsExactlyThis) {
  EXPECT_EQ(chat_request_body("big-1", request_of("Why?")),
            R"({"model":"big-1","messages":[{"role":"user","content":"Why?"}],"max_tokens":256,)"
            R"("temperature":0.0,"stream":true,"stream_options":{"include_usage":true}})");
  RemoteRequest request;
  request.messages = {{"system", "Be \"brief\"\n"}, {"user", "α?"}, {"assistant", ""}};
  request.max_tokens = 7;
  request.temperature = 0.7f;
  request.top_p = 0.95f;
  request.seed = 0xffffffffffffffffu;
  request.stop = {"END", "\n\n"};
  request.response_format = R"({"type":"json_object"})";
  request.messages.push_back({"tool", "7", R"({"role":"tool","tool_call_id":"c","content":"7"})"});
  request.tools = R"([{"type":"function","function":{"name":"f"}}])";
  request.tool_choice = R"("auto")";
  EXPECT_EQ(chat_request_body("big-1", request),
            R"({"model":"big-1","messages":[{"role":"system","content":"Be \"brief\"\n"},)"
            R"({"role":"user","content":"α?"},{"role":"assistant","content":""},)"
            R"({"role":"tool","tool_call_id":"c","content":"7"}],"max_tokens":7,)"
            R"("temperature":0.7,"top_p":0.95,"seed":9223372036854775807,"stop":["END","\n\n"],)"
            R"("response_format":{"type":"json_object"},)"
            R"("tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"auto",)"
            R"("stream":true,"stream_options":{"include_usage":true}})");
}

TEST(ChatRequestBody, TokensAreClamped) {
  RemoteRequest request = request_of("x");
  for (const int32_t asked : {0, -1, INT32_MIN}) {
    request.max_tokens = asked;
    EXPECT_THAT(chat_request_body("m", request), HasSubstr("\"max_tokens\":1,"));
  }
  request.max_tokens = INT32_MAX;
  EXPECT_THAT(chat_request_body("m", request), HasSubstr("\"max_tokens\":1000000,"));
}

TEST(ChatRequestBody, BrokenUtf8IsReplaced) {
  EXPECT_THAT(chat_request_body("m", request_of("a\xff"
                                                "b")),
              HasSubstr("a\xEF\xBF\xBD"
                        "b"));
}

TEST(Printable, TakesOutWhatATerminalWouldObey) {
  EXPECT_EQ(printable("plain text", 100), "plain text");
  EXPECT_EQ(printable("a\x1b[2Jb\r\n\tc\x7f", 100), "a [2Jb c");
  EXPECT_EQ(printable("α…\u2026 日本 😀", 100), "α…\u2026 日本 😀");
  EXPECT_EQ(printable("a\u0085b\u202ec\u2066d\u200fe", 100), "a b c d e");
  EXPECT_EQ(printable(std::string_view("a\0b", 3), 100), "a b");
  // Overlong, surrogate, cut, lone continuation: none is UTF-8.
  EXPECT_EQ(printable("a\xC0\x80z\xED\xA0\x80z\xF5\x80\x80\x80z\x80z\xE2\x82", 100), "a z z z z");
  EXPECT_EQ(printable("abcdef", 3), "abc...");
  EXPECT_EQ(printable("日本", 4), "日...");
  EXPECT_EQ(printable("  a  ", 100), "a");
}

TEST(ErrorMessage, EveryFormThatServersUse) {
  EXPECT_EQ(error_message_of(R"({"error":{"message":"no","type":"t","code":"c"}})"), "no (c)");
  EXPECT_EQ(error_message_of(R"({"error":{"message":"no","code":404}})"), "no (404)");
  EXPECT_EQ(error_message_of(R"({"error":{"message":"no","code":null}})"), "no");
  EXPECT_EQ(error_message_of(R"({"error":"no"})"), "no");
  EXPECT_EQ(error_message_of(R"({"object":"error","message":"no","code":40001})"), "no (40001)");
  EXPECT_EQ(error_message_of(R"({"detail":"no"})"), "no");
  EXPECT_EQ(error_message_of(R"({"detail":[{"loc":["x"],"msg":"no","type":"y"}]})"), "no");
  EXPECT_EQ(error_message_of(R"([{"error":{"message":"no"}}])"), "no");
  EXPECT_EQ(error_message_of("Service Unavailable\n"), "Service Unavailable");
  EXPECT_EQ(error_message_of(" \n<!DOCTYPE html><p>x"), "an HTML page");
  EXPECT_EQ(error_message_of("{\"error\":{\"message\":7}}"), "{\"error\":{\"message\":7}}");
  EXPECT_EQ(error_message_of(""), "");
}

// What a reader makes of a stream, in one word and a text.
std::string read(std::string_view stream, size_t piece = 1u << 20, int32_t max_tokens = 100) {
  AnswerReader reader(max_tokens, nullptr);
  for (size_t at = 0; at < stream.size(); at += piece) {
    if (Status status = reader.feed_stream(stream.substr(at, piece)); !status.has_value()) {
      return "invalid: " + status.error().message;
    }
  }
  Result<RemoteAnswer> answer = reader.finish();
  return answer.has_value() ? "complete: " + answer->text : answer.error().message;
}

std::string event(std::string_view json) { return fmt::format("data: {}\n\n", json); }

const std::string kHello =
    event(R"({"model":"big-1","choices":[{"index":0,"delta":{"role":"assistant"}}]})") +
    event(R"({"choices":[{"index":0,"delta":{"content":"Hel"}}]})") +
    event(R"({"choices":[{"index":0,"delta":{"content":"lo"}}]})") +
    event(R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})") +
    event(R"({"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}})");

TEST(AnswerReader, AWholeAnswer) {
  std::vector<std::string> pieces;
  AnswerReader reader(10, [&](std::string_view piece) {
    pieces.emplace_back(piece);
    return true;
  });
  ASSERT_TRUE(reader.feed_stream(kHello + event("[DONE]")).has_value());
  EXPECT_TRUE(reader.done());
  EXPECT_TRUE(reader.relayed());
  EXPECT_EQ(reader.n_events(), 5);
  const Result<RemoteAnswer> answer = reader.finish();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->text, "Hello");
  EXPECT_EQ(answer->model, "big-1");
  EXPECT_EQ(answer->finish_reason, "stop");
  EXPECT_TRUE(answer->usage_known);
  EXPECT_EQ(answer->prompt_tokens, 5);
  EXPECT_EQ(answer->completion_tokens, 2);
  EXPECT_THAT(pieces, ElementsAre("Hel", "lo"));
}

// The commonest real fault: no prefix of an answer may pass for an answer.
TEST(AnswerReader, NoCutIsComplete) {
  const std::string whole = kHello + event("[DONE]");
  EXPECT_EQ(read(whole), "complete: Hello");
  for (size_t n = 0; n < whole.size(); ++n) {
    const std::string result = read(whole.substr(0, n));
    // "data: [DONE]" with its line or empty line not ended is still all of the answer.
    if (whole.substr(0, n).find("[DONE]") != std::string::npos) {
      EXPECT_EQ(result, "complete: Hello");
    } else {
      EXPECT_THAT(result, HasSubstr("stream cut after ")) << n;
    }
  }
  EXPECT_EQ(read(""), "stream cut after 0 events");
  EXPECT_EQ(read(kHello.substr(0, kHello.find("\n\n") + 2)), "stream cut after 1 event");
}

TEST(AnswerReader, AnySplitIsTheSame) {
  const std::string whole = kHello + event("[DONE]");
  for (size_t piece = 1; piece < 50; ++piece) EXPECT_EQ(read(whole, piece), "complete: Hello");
}

TEST(AnswerReader, BothEndsAreNeeded) {
  EXPECT_EQ(read(event(R"({"choices":[{"delta":{"content":"x"}}]})") + event("[DONE]")),
            "the answer ended without finish_reason after 1 event");
  EXPECT_EQ(read(kHello), "stream cut after 5 events");
  EXPECT_EQ(read(event("[DONE]")), "the answer ended without finish_reason after 0 events");
}

TEST(AnswerReader, ErrorFrames) {
  EXPECT_EQ(read(kHello + event(R"({"error":{"message":"boom"}})") + event("[DONE]")),
            "invalid: error from the server: boom");
  EXPECT_EQ(read(event(R"({"error":"boom"})")), "invalid: error from the server: boom");
  EXPECT_EQ(read(event(R"({"object":"error","message":"boom","code":7})")),
            "invalid: error from the server: boom (7)");
  EXPECT_EQ(read(event(R"({"error":{}})")), "invalid: error from the server: no message");
  EXPECT_EQ(read(event(R"({"error":null,"choices":[{"delta":{"content":"x"},)"
                       R"("finish_reason":"stop"}]})") +
                 event("[DONE]")),
            "complete: x");
}

TEST(AnswerReader, BrokenEvents) {
  for (const char* data :
       {"{", "7", "[]", "null", "\"x\"", "{\"choices\":[{\"delta\":{\"content\":7}}]}",
        "{\"a\":\"\xff\"}", "<html>", "{\"a\":1}{\"b\":2}"}) {
    EXPECT_THAT(read(event(data) + kHello + event("[DONE]")), HasSubstr("invalid: event 1"))
        << data;
  }
  const std::string deep(100000, '[');
  EXPECT_THAT(read(event(deep)), HasSubstr("invalid: event 1"));
}

TEST(AnswerReader, OddEventsThatAreFine) {
  for (const char* data :
       {"{}", R"({"choices":null})", R"({"choices":[]})", R"({"choices":7})", R"({"choices":[7]})",
        R"({"choices":[{"delta":null}]})", R"({"choices":[{"delta":{"content":null}}]})",
        R"({"choices":[{"index":1,"delta":{"content":"other"}}]})",
        R"({"choices":[{"delta":{"reasoning_content":"hm"}}]})", R"({"usage":7})",
        R"({"usage":{"prompt_tokens":-1,"completion_tokens":1e99}})", R"({"model":7})"}) {
    EXPECT_EQ(read(event(data) + kHello + event("[DONE]")), "complete: Hello") << data;
  }
  // After [DONE] nothing counts.
  EXPECT_EQ(read(kHello + event("[DONE]") + event("rubbish") + event("[DONE]")), "complete: Hello");
}

TEST(AnswerReader, TextFarBeyondWhatWasAskedForIsRefused) {
  const std::string piece = event(
      fmt::format(R"({{"choices":[{{"delta":{{"content":"{}"}}}}]}})", std::string(1000, 'x')));
  std::string stream;
  for (int i = 0; i < 5; ++i) stream += piece;
  // 64 bytes for each token and 4096 more.
  EXPECT_THAT(read(stream, 1u << 20, 14), HasSubstr("invalid: a text of more than 4992 bytes"));
  EXPECT_THAT(read(stream, 1u << 20, 15), Not(HasSubstr("invalid")));
}

TEST(AnswerReader, TheReceiverCanStop) {
  AnswerReader reader(10, [](std::string_view) { return false; });
  const Status status = reader.feed_stream(kHello);
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, ErrorCode::kCancelled);
}

TEST(AnswerReader, AWholeBody) {
  const std::string body =
      R"({"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},)"
      R"("finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":2}})";
  AnswerReader reader(10, nullptr);
  ASSERT_TRUE(reader.feed_json(body).has_value());
  const Result<RemoteAnswer> answer = reader.finish();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->text, "Hi");
  EXPECT_EQ(answer->finish_reason, "length");
  for (size_t n = 0; n < body.size(); ++n) {
    AnswerReader cut(10, nullptr);
    EXPECT_FALSE(cut.feed_json(body.substr(0, n)).has_value()) << n;
  }
}

TEST(AnswerReader, CallsComeInPieces) {
  AnswerReader reader(50, nullptr);
  for (const char* delta :
       {R"({"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"c1","type":"function",
            "function":{"name":"weather","arguments":""}}]})",
        R"({"tool_calls":[{"index":0,"function":{"arguments":"{\"at\":"}}]})",
        R"({"tool_calls":[{"index":1,"id":"c2","function":{"name":"time","arguments":"{}"}}]})",
        R"({"tool_calls":[{"index":0,"function":{"arguments":"\"Bern\"}"}}]})"}) {
    std::string line = fmt::format(R"({{"choices":[{{"index":0,"delta":{}}}]}})", delta);
    std::erase(line, '\n');
    ASSERT_TRUE(reader.feed_stream("data: " + line + "\n\n"));
  }
  ASSERT_TRUE(reader.feed_stream(
      "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n"
      "data: [DONE]\n\n"));
  const auto answer = reader.finish();
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->tool_calls.size(), 2u);
  EXPECT_EQ(answer->tool_calls[0].id, "c1");
  EXPECT_EQ(answer->tool_calls[0].name, "weather");
  EXPECT_EQ(answer->tool_calls[0].arguments, R"({"at":"Bern"})");
  EXPECT_EQ(answer->tool_calls[1].name, "time");
  AnswerReader whole(50, nullptr);
  ASSERT_TRUE(whole.feed_json(
      R"({"choices":[{"message":{"content":null,"tool_calls":[{"id":"c","function":{"name":"f",
          "arguments":"{}"}}]},"finish_reason":"tool_calls"}]})"));
  EXPECT_EQ(whole.finish()->tool_calls[0].name, "f");
  for (const char* bad : {R"(7)", R"([7])", R"([{"index":128}])"}) {
    AnswerReader broken(50, nullptr);
    const Status status = broken.feed_json(
        fmt::format(R"({{"choices":[{{"message":{{"tool_calls":{}}}}}]}})", bad));
    EXPECT_EQ(status.has_value(), std::string_view(bad).find("128") != std::string_view::npos) << bad;
  }
  AnswerReader endless(1, nullptr);
  Status status;
  const std::string piece =
      R"(data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":")" +
      std::string(1000, 'x') + "\"}}]}}]}\n\n";
  for (int i = 0; i < 20 && status; ++i) status = endless.feed_stream(piece);
  EXPECT_FALSE(status) << "far beyond what was asked for";
}

TEST(ModelIds, OnlyStringsAndOnlyPrintable) {
  Result<std::vector<std::string>> ids =
      model_ids_of(R"({"data":[{"id":"a"},{"id":"b\u001b[2J"},{"id":7},7,{}]})");
  ASSERT_TRUE(ids.has_value());
  EXPECT_THAT(*ids, ElementsAre("a", "b [2J"));
  for (const char* body : {"", "{}", "[]", "7", R"({"data":7})", "<html>"}) {
    ids = model_ids_of(body);
    ASSERT_FALSE(ids.has_value()) << body;
    EXPECT_EQ(ids.error().code, ErrorCode::kRemote);
  }
}

}  // namespace
}  // namespace ac
