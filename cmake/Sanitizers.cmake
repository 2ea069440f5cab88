if(AC_SANITIZE)
  add_compile_options(-fsanitize=${AC_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${AC_SANITIZE})
endif()
if(AC_FUZZ)
  # Coverage feedback from every object; without it libFuzzer does not start. Its main comes with ac_add_fuzz.
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_link_options(-fsanitize=fuzzer-no-link)
endif()
if(AC_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Boost.Asio has fences, which g++ cannot instrument; it says so in every file that includes it.
  add_compile_options(-Wno-tsan)
endif()
