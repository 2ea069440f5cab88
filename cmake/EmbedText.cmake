# Writes a C++ file that holds text files as string literals: the product is one binary.
#
#   cmake -D "FILES=a.txt b.txt" -D OUT=out.cc -D HEADER=path.h -D FUNCTION=ns::f -D TYPE=ns::T -P EmbedText.cmake
#
# The function returns std::span<const TYPE>, a TYPE is {name, text}. With -D SPLIT=yes a file that is longer than one
# string literal may be becomes several of them, one after the other, each ending with a line.
set(most 65000)
separate_arguments(FILES)
set(rows "")
foreach(file IN LISTS FILES)
  get_filename_component(name "${file}" NAME)
  file(READ "${file}" text)
  string(LENGTH "${text}" length)
  while(length GREATER most)
    if(NOT SPLIT)
      message(FATAL_ERROR "${file}: ${length} bytes are more than one string literal may have; split it")
    endif()
    string(SUBSTRING "${text}" 0 ${most} part)
    string(FIND "${part}" "\n" cut REVERSE)
    math(EXPR cut "${cut} + 1")
    string(SUBSTRING "${text}" 0 ${cut} part)
    string(SUBSTRING "${text}" ${cut} -1 text)
    string(APPEND rows "    {\"${name}\", {R\"ac_text(${part})ac_text\", ${cut}}},\n")
    string(LENGTH "${text}" length)
  endwhile()
  # With its length: counting so many characters is more than clang does while it compiles.
  string(APPEND rows "    {\"${name}\", {R\"ac_text(${text})ac_text\", ${length}}},\n")
endforeach()
set(content "// Generated from text files.\n#include \"${HEADER}\"\n\n")
string(APPEND content "namespace {\nconstexpr ${TYPE} kFiles[] = {\n${rows}};\n}  // namespace\n\n")
string(APPEND content "std::span<const ${TYPE}> ${FUNCTION}() { return kFiles; }\n")
file(WRITE "${OUT}" "${content}")
