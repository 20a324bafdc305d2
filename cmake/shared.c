/* The shared library has no source of its own, and CMake wants one. */
extern const char skuai_shared_library_of_the_objects_of_the_static_one;
