# What `cmake --install` puts where beside the program, and the Debian package (cpack -G DEB).
include(GNUInstallDirs)
include(InstallLibrary)

# Made by the program itself, from its own tables.
set(made "${PROJECT_BINARY_DIR}/made")
add_custom_command(
  OUTPUT "${made}/agentcompress.1" "${made}/agentcompress.bash" "${made}/_agentcompress" "${made}/agentcompress.fish"
  COMMAND ${CMAKE_COMMAND} -E make_directory "${made}"
  COMMAND agentcompress man > "${made}/agentcompress.1"
  COMMAND agentcompress completion bash > "${made}/agentcompress.bash"
  COMMAND agentcompress completion zsh > "${made}/_agentcompress"
  COMMAND agentcompress completion fish > "${made}/agentcompress.fish"
  DEPENDS agentcompress
  VERBATIM)
add_custom_target(made_by_the_program ALL DEPENDS "${made}/agentcompress.1")
install(FILES "${made}/agentcompress.1" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
install(FILES "${made}/agentcompress.bash" DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions"
        RENAME agentcompress)
install(FILES "${made}/_agentcompress" DESTINATION "${CMAKE_INSTALL_DATADIR}/zsh/site-functions")
install(FILES "${made}/agentcompress.fish" DESTINATION "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d")

configure_file(cmake/agentcompress.service.in "${made}/agentcompress.service" @ONLY)
install(FILES "${made}/agentcompress.service" DESTINATION lib/systemd/user)
install(FILES README.md DESTINATION "${CMAKE_INSTALL_DOCDIR}")
install(FILES runtime/hooks/python/agentcompress.py runtime/hooks/js/agentcompress.mjs
        DESTINATION "${CMAKE_INSTALL_DATADIR}/agentcompress/hooks")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME agentcompress)
set(CPACK_PACKAGE_CONTACT "The AgentCompress authors <agentcompress@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "answer prompts with the smallest model that will still succeed")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS ca-certificates)
include(CPack)
