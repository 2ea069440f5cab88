if(AC_SANITIZE)
  add_compile_options(-fsanitize=${AC_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${AC_SANITIZE})
endif()
