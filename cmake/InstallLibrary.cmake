# What programs that use the library need: `cmake --install BUILD --component library`.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(made "${PROJECT_BINARY_DIR}/made")
set(package_folder "${CMAKE_INSTALL_LIBDIR}/cmake/agentcompress")
install(TARGETS agentcompress_capi EXPORT agentcompressTargets
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT library NAMELINK_COMPONENT library
        INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(FILES runtime/capi/agentcompress.h DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT library)

file(RELATIVE_PATH AC_UP_FROM_PKGCONFIG "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
string(REGEX REPLACE "/$" "" AC_UP_FROM_PKGCONFIG "${AC_UP_FROM_PKGCONFIG}")
configure_file(cmake/agentcompress.pc.in "${made}/agentcompress.pc" @ONLY)
install(FILES "${made}/agentcompress.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT library)

install(EXPORT agentcompressTargets NAMESPACE agentcompress:: DESTINATION "${package_folder}" COMPONENT library)
# Before 1.0 what works with one minor version need not work with the next.
write_basic_package_version_file("${made}/agentcompressConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES cmake/agentcompressConfig.cmake "${made}/agentcompressConfigVersion.cmake"
        DESTINATION "${package_folder}" COMPONENT library)
install(FILES runtime/capi/example.c DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT library)
